"""What a revision means: `@SEQ`, a commit, the epoch's label, or a moment."""

from __future__ import annotations

import re

from gitkv.errors import UsageError
from gitkv.ledger.seek import LedgerCommit, read_ledger_commit, seek
from gitkv.model.oid import COMMIT, Oid
from gitkv.model.verdict import FormError
from gitkv.reading.state import State, malformed

SEQ = re.compile(r"@(0|[1-9][0-9]{0,14})")
_COMMIT = re.compile(r"[0-9a-f]{7,40}")
_AGO = re.compile(r"([0-9]{1,9}) ?(s|m|h|d|w|second|minute|hour|day|week)s? ago")
_LIKE_A_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}.*|.* ago|yesterday|today|now|last .*")
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def resolve_revision(state: State, revision: str) -> LedgerCommit:
    """The ledger commit of `@SEQ`, a commit (7 hex digits or more), the current epoch's label, a
    moment (the state as it was accepted at or before it), or "" for the tip.

    Raises UsageError for one that is not in the ledger, IntegrityError where the ledger is broken.
    """
    tip = state.tip
    if not revision or revision == tip.attestation.epoch:
        return tip
    number = SEQ.fullmatch(revision)
    try:
        if number is not None:
            return seek(tip, int(number[1]), state.load)
        if _COMMIT.fullmatch(revision) is not None:
            return _find_commit(state, revision)
        return _find_moment(state, revision)
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
    return _trusted(state, found, revision)


def _trusted(state: State, found: LedgerCommit, revision: str) -> LedgerCommit:
    if found.seq > state.tip.seq or seek(state.tip, found.seq, state.load).oid != found.oid:
        raise UsageError(f"{revision} is not in the trusted ledger of namespace {state.ns}")
    return found


def _find_moment(state: State, revision: str) -> LedgerCommit:
    moment_s = _moment_s(state, revision)
    if moment_s > state.now_s:
        raise UsageError(f"{revision} is still to come: expected a moment that is over")
    oid: Oid | None = state.until(moment_s) if moment_s > 0 else None
    if oid is None:
        raise UsageError(f"namespace {state.ns} has no transaction at or before {revision}")
    return _trusted(state, read_ledger_commit(oid, state.load), revision)


def _moment_s(state: State, revision: str) -> int:
    from gitkv.model.moment import FORMS, parse_moment

    ago = _AGO.fullmatch(revision)
    if ago is not None:
        return state.now_s - int(ago[1]) * _UNITS_S[ago[2][0]]
    moment_s = parse_moment(revision)
    if moment_s is not None:
        return moment_s
    if _LIKE_A_MOMENT.fullmatch(revision):
        hint = f"write {FORMS}, or like '2 days ago' (seconds to weeks)"
        raise UsageError(f"{revision[:80]!r} is not a moment", hint=hint)
    raise UsageError(
        f"{revision[:80]!r} is not a revision of namespace {state.ns}",
        hint="write @SEQ, a commit (7 hex digits or more), an epoch label, or a date",
    )
