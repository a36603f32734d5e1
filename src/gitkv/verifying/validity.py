"""When a key must be valid for its signature to count: the one rule of spec/policy 6.3, for whoever
admits a commit and for whoever judges it later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gitkv.model.identity import PublicKey, Signature
from gitkv.ports import Verifier


class Signed(NamedTuple):
    """A commit as its signature sees it: `payload` is what is signed, `armour` is b"" for none."""

    payload: bytes
    armour: bytes


def verify_at(
    verifier: Verifier, signed: Signed, keys: Sequence[PublicKey], moments: Sequence[int]
) -> Signature:
    """The outcome for a key that must be valid at each of the moments (seconds since 1970): good,
    or the first that is not.
    """
    first, *others = sorted(set(moments), reverse=True)
    outcome = verifier.verify(signed.payload, signed.armour, keys, first)
    # `not_after` and `revoked` can only get worse with time, so the latest moment tells; an OpenPGP
    # key has a beginning, too.
    if any(key.fingerprint == outcome.fingerprint and key.kind == "openpgp" for key in keys):
        for moment in others:
            if outcome.status == "good":
                outcome = verifier.verify(signed.payload, signed.armour, keys, moment)
    return outcome
