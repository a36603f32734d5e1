"""Who signed: the outcome of checking one signature, and the keys a policy knows."""

from __future__ import annotations

from typing import NamedTuple


class PublicKey(NamedTuple):
    """A key of a principal. `kind` is "ssh" or "openpgp".

    `material`: for ssh the wire-format public key blob (RFC 4253 6.6); for openpgp the
    ASCII-armoured public key block. `fingerprint`: "SHA256:<base64>" for ssh, 40 upper-case hex
    digits of the primary key for openpgp. `not_after_s`: the judge's time (seconds since 1970) from
    which it is refused, 0 for never; `revoked`: refused always.
    """

    kind: str
    material: bytes
    fingerprint: str
    not_after_s: int = 0
    revoked: bool = False


class Signature(NamedTuple):
    """The outcome of checking a signature's form and mathematics; whether the key may write is the
    policy's business.

    `status`: "good", "unsigned", "malformed" (not the one accepted spelling), "bad" (does not
    verify), "unknown-key", "expired-key", "revoked-key". `fingerprint`: of the signing key where it
    could be read, else "". `detail`: one line for the log and the reason.
    """

    status: str
    fingerprint: str = ""
    detail: str = ""
