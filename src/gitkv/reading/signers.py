"""Who made a ledger commit, for showing: the committer, the key its signature names, and whose key
that is.

Nothing is verified here: whether the signature holds, and the signer was allowed to write, was
judged when the transaction was accepted, and `git kv verify` judges it again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gitkv.ledger.seek import LedgerCommit
from gitkv.model.gateway_act import GATEWAY
from gitkv.model.policy import Policy


class Maker(NamedTuple):
    """`time` in seconds since 1970; `author` as "Name <email>"; `signer`: fingerprint or "";
    `principal`: name or "".
    """

    time: int
    author: str
    signer: str
    principal: str


class SignerNames:
    """Looks up makers; the policy is asked for once, when the first signed commit comes by."""

    def __init__(self, policy: Callable[[], Policy | None]) -> None:
        self._policy = policy
        self._names: dict[str, str] | None = None

    def of(self, commit: LedgerCommit) -> Maker:
        """Who made a ledger commit."""
        identity = commit.commit.identity()
        signer = named_key(commit.commit.armour)
        principal = self._principal(signer) if signer else ""
        return Maker(identity.seconds, f"{identity.name} <{identity.email}>", signer, principal)

    def _principal(self, fingerprint: str) -> str:
        if self._names is None:
            policy = self._policy()
            self._names = {} if policy is None else _names_of(policy)
        return self._names.get(fingerprint, "")


def named_key(armour: bytes) -> str:
    """The fingerprint of the key (or OpenPGP subkey) that a signature names, unproved; "" for none
    that can be read.
    """
    from gitkv.sign import openpgp, sshsig

    try:
        return (
            (openpgp if armour.startswith(b"-----BEGIN PGP ") else sshsig).signing_key(armour)
            if armour
            else ""
        )
    except ValueError:
        return ""


def _names_of(policy: Policy) -> dict[str, str]:
    from gitkv.model.public_key import openpgp_keys

    names = {key.fingerprint: GATEWAY for key in policy.gateway_keys}
    for principal in policy.principals:
        for key in principal.keys:
            names[key.fingerprint] = principal.name
            if key.kind == "openpgp":
                names |= {
                    packet.fingerprint: principal.name for packet in openpgp_keys(key.material)
                }
    return names
