"""A key is valid at each moment asked about, or its signature does not count."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitkv.model.public_key import parse_ssh_key
from gitkv.sign.verifier import SignatureVerifier
from gitkv.verifying.validity import Signed, verify_at

VECTORS = Path(__file__).parents[2] / "vectors" / "signatures"
MADE_S = 1_700_000_000  # the OpenPGP keys and signatures
PAYLOAD = (VECTORS / "payload").read_bytes()


def _signed(name: str) -> Signed:
    return Signed(PAYLOAD, (VECTORS / f"{name}.sig").read_bytes())


@pytest.mark.parametrize(
    ("moments", "status"),
    [
        ((MADE_S, MADE_S), "good"),
        ((MADE_S, MADE_S + 99), "good"),
        ((MADE_S, MADE_S + 100), "expired-key"),
        ((MADE_S + 100, MADE_S), "expired-key"),
        ((MADE_S + 100,), "expired-key"),
    ],
)
def test_the_later_moment_tells_for_a_key_that_can_only_end(
    moments: tuple[int, ...], status: str
) -> None:
    key = parse_ssh_key((VECTORS / "ssh-ed25519.pub").read_bytes())
    keys = [key._replace(not_after_s=MADE_S + 100)]
    verifier = SignatureVerifier("/nowhere", {})
    assert verify_at(verifier, _signed("ssh-ed25519"), keys, moments).status == status


def test_no_signature_is_unsigned_at_any_moment() -> None:
    verifier = SignatureVerifier("/nowhere", {})
    assert verify_at(verifier, Signed(PAYLOAD, b""), [], (1, 2)).status == "unsigned"
