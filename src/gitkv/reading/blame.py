"""Who set each key last, when and why."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from gitkv.ledger.seek import LedgerCommit, seek
from gitkv.ledger.view import scan_lines
from gitkv.model.key import decode_name, encode_prefix
from gitkv.model.verdict import FormError
from gitkv.reading.lookup import at_revision
from gitkv.reading.signers import Maker, SignerNames
from gitkv.reading.state import State, malformed

_KEPT = 4096  # transactions whose maker is remembered while keys go by


class Blamed(NamedTuple):
    """A key and the transaction that set it last. `text`: its message; `size` in bytes; the rest as
    in Revision.
    """

    key: str
    seq: int
    commit: str
    time: int
    author: str
    signer: str
    principal: str
    text: str
    etag: str
    size: int


def blame_prefix(state: State, prefix: str = "", at: str = "") -> Iterator[Blamed]:
    """The unexpired keys that start with `prefix`, in order, each with its last change. Raises
    KeyInvalidError, UsageError for an unknown revision, IntegrityError.
    """
    start, commit = encode_prefix(prefix), at_revision(state, at)
    return _blamed(state, commit, start)


def _blamed(state: State, commit: LedgerCommit, start: bytes) -> Iterator[Blamed]:
    names = SignerNames(state.policy)

    @lru_cache(_KEPT)
    def made(seq: int) -> tuple[str, Maker, str]:
        found = seek(commit, seq, state.load)
        return found.oid.hex(), names.of(found), found.text.decode()

    try:
        for line in scan_lines(commit, start, state.load):
            if not line.is_expired(state.now_s):
                oid, who, text = made(line.mod)
                key = decode_name(line.name)
                yield Blamed(key, line.mod, oid, *who, text, line.oid.hex(), line.size)
    except FormError as error:
        raise malformed("index", commit, error) from None
