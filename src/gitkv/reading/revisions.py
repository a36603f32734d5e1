"""What a revision means: `@SEQ`, a commit, or the epoch's label."""

from __future__ import annotations

import re

from gitkv.errors import UsageError
from gitkv.ledger.seek import LedgerCommit, read_ledger_commit, seek
from gitkv.model.oid import COMMIT
from gitkv.model.verdict import FormError
from gitkv.reading.state import State, malformed

_SEQ = re.compile(r"@(0|[1-9][0-9]{0,14})")
_COMMIT = re.compile(r"[0-9a-f]{7,40}")


def resolve_revision(state: State, revision: str) -> LedgerCommit:
    """The ledger commit of `@SEQ`, a commit (7 hex digits or more), the current epoch's label, or
    "" for the tip.

    Raises UsageError for one that is not in the ledger, IntegrityError where the ledger is broken.
    """
    tip = state.tip
    number = _SEQ.fullmatch(revision)
    if not revision or revision == tip.attestation.epoch:
        return tip
    if number is None and _COMMIT.fullmatch(revision) is None:
        raise UsageError(
            f"{revision[:80]!r} is not a revision of namespace {state.ns}",
            hint="write @SEQ, a commit (7 hex digits or more), or an epoch label",
        )
    try:
        return seek(tip, int(number[1]), state.load) if number else _find_commit(state, revision)
    except FormError as error:
        raise malformed("history", tip, error) from None
    except ValueError as error:
        raise UsageError(str(error)) from None


def _find_commit(state: State, revision: str) -> LedgerCommit:
    oid = state.objects.expand(revision)
    if oid is None or next(iter(state.objects.kinds([oid]))) != COMMIT:
        raise UsageError(f"{revision} is not a commit here, or not a unique one")
    try:
        found = read_ledger_commit(oid, state.load)
    except FormError:
        raise UsageError(f"{revision} is not a ledger commit") from None
    if found.seq > state.tip.seq or seek(state.tip, found.seq, state.load).oid != oid:
        raise UsageError(f"{revision} is not in the trusted ledger of namespace {state.ns}")
    return found
