"""Anchors: what somebody knows of a history from elsewhere and wants to find in it again, such as
the gateway's key, a receipt, or a commit. What is right in itself may still be another store, or
an older state of this one; an anchor tells.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from gitkv.model.oid import Oid, parse_oid
from gitkv.model.verdict import INTEGRITY, Reason, reason

_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


class Anchor(NamedTuple):
    """`text` as given; `oid` of a commit or receipt, None for a key's fingerprint."""

    text: str
    oid: Oid | None


def parse_anchor(text: str) -> Anchor:
    """Raises ValueError for what is neither a fingerprint nor a whole commit id. An abbreviated one
    pins nothing: another commit with the same beginning is quickly made.
    """
    if _FINGERPRINT.fullmatch(text):
        return Anchor(text, None)
    try:
        return Anchor(text, parse_oid(text.encode("utf-8", "surrogateescape")))
    except ValueError:
        raise ValueError(
            f"{text[:80]!r} is not an anchor: expected SHA256:… (a key's fingerprint, 43 "
            "characters after the colon) or a commit of 40 hex digits"
        ) from None


def judge_anchors(
    anchors: Sequence[Anchor], gateway: str, history: Collection[Oid], where: str
) -> list[Reason]:
    """What of the anchors is not there. `gateway`: fingerprint of the key that trust begins with,
    "" for none; `history`: every commit that was judged; `where`: which history that is.
    """
    found = []
    for text, oid in anchors:
        if oid is None and text != gateway:
            expected = f"trust to begin with the gateway's key {text}"
            found.append(reason(INTEGRITY, "anchor.key", where, expected, gateway or "no key"))
        elif oid is not None and oid not in history:
            hint = "git fetch, then verify again, lest it be an older state or another store"
            expected = f"{text} in the history"
            found.append(reason(INTEGRITY, "anchor.missing", where, expected, "none such", hint))
    return found
