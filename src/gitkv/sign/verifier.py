"""Checks a commit's signature, of either kind, against the keys a policy knows. Whether the signer
may write is left to the rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gitkv.model.identity import PublicKey, Signature
from gitkv.sign import sshsig
from gitkv.sign.gnupg import GnupgVerifier

_OPENPGP_BEGIN = b"-----BEGIN PGP "


def preload() -> None:
    """Loads what verifying an Ed25519 signature takes, which is slow to load, while there is
    time.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    del InvalidSignature, Ed25519PublicKey


class SignatureVerifier:
    """The port `Verifier`. SSH is checked in process; gpg is started only for an OpenPGP signature
    by a key the policy knows.
    """

    def __init__(self, gnupg_dir: str, env: Mapping[str, str]) -> None:
        """`gnupg_dir`: a directory of this user alone, made when first needed; `env`: the
        environment of the process.
        """
        self._gnupg = GnupgVerifier(gnupg_dir, env)

    def verify(
        self, payload: bytes, armour: bytes, keys: Sequence[PublicKey], now_s: int
    ) -> Signature:
        """`armour` as in the commit, b"" for none; `now_s`: the moment at which a key must be
        valid. Which moments count is spec/policy 6.3's (`gitkv.verifying.validity`).

        Raises ToolError when gpg is needed and cannot be used.
        """
        if not armour:
            return Signature("unsigned")
        if armour.startswith(_OPENPGP_BEGIN):
            openpgp_keys = [key for key in keys if key.kind == "openpgp"]
            outcome = self._gnupg.verify(payload, armour, openpgp_keys, now_s)
        else:
            outcome = _verify_ssh(payload, armour, keys)
        return outcome if outcome.status != "good" else _still_valid(outcome, keys, now_s)


def _verify_ssh(payload: bytes, armour: bytes, keys: Sequence[PublicKey]) -> Signature:
    try:
        signature = sshsig.parse(armour)
    except ValueError as error:
        return Signature("malformed", "", str(error))
    name = sshsig.fingerprint(signature.key_blob)
    if not any(key.kind == "ssh" and key.material == signature.key_blob for key in keys):
        return Signature("unknown-key", name, "no key of the policy")
    if not sshsig.holds(signature, payload):
        return Signature("bad", name, "the signature does not verify")
    return Signature("good", name, "SSH signature")


def _still_valid(outcome: Signature, keys: Sequence[PublicKey], now_s: int) -> Signature:
    """A key listed twice is as valid as its strictest entry."""
    entries = [key for key in keys if key.fingerprint == outcome.fingerprint]
    if any(key.revoked for key in entries):
        return outcome._replace(status="revoked-key", detail="the policy has revoked this key")
    ends = [key.not_after_s for key in entries if key.not_after_s]
    if ends and now_s >= min(ends):
        return outcome._replace(status="expired-key", detail="the policy has let this key expire")
    return outcome
