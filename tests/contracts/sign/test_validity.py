"""What GnuPG says of a key that has a beginning, asked about more than one moment."""

from __future__ import annotations

from pathlib import Path

from gitkv.model.public_key import parse_openpgp_key
from gitkv.sign.verifier import SignatureVerifier
from gitkv.verifying.validity import Signed, verify_at

VECTORS = Path(__file__).parents[2] / "vectors" / "signatures"
MADE_S = 1_700_000_000  # the OpenPGP keys and signatures
PAYLOAD = (VECTORS / "payload").read_bytes()


def _signed(name: str) -> Signed:
    return Signed(PAYLOAD, (VECTORS / f"{name}.sig").read_bytes())


def test_an_openpgp_key_has_a_beginning_too(tmp_path: Path) -> None:
    keys = [parse_openpgp_key((VECTORS / "openpgp-ed25519.asc").read_bytes())]
    verifier = SignatureVerifier(str(tmp_path / "gnupg"), {"PATH": "/usr/bin:/bin"})
    signed = _signed("openpgp-ed25519")
    assert verify_at(verifier, signed, keys, (MADE_S + 5, MADE_S + 600)).status == "good"
    assert verify_at(verifier, signed, keys, (MADE_S - 86400, MADE_S + 600)).status != "good"
    assert verify_at(verifier, signed, keys, (MADE_S + 600, MADE_S - 86400)).status != "good"
