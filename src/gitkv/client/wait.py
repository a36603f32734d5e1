"""A fence: returns once a transaction is visible on the mirror or on Stargate, so that a read after
it sees the write.
"""

from __future__ import annotations

import os

from gitkv.client.follow import follow, shown_ledger
from gitkv.client.refresh import MIRROR, STARGATE
from gitkv.client.replica import Replica
from gitkv.client.standing import require_standing
from gitkv.client.trust.shown import Source, mirror_of, stargate_of
from gitkv.errors import AccessError, MirrorTimeoutError, UnavailableError, UsageError
from gitkv.git import transport
from gitkv.git.ancestry import is_ancestor
from gitkv.model.oid import Oid, parse_oid
from gitkv.model.refs import ledger_ref, watermark_ref

_PAUSE_FIRST_S, _PAUSE_LONGEST_S = 0.05, 1.0


def wait_for(replica: Replica, oid: str, visible_on: str, timeout_s: float) -> None:
    """Returns when the ledger commit `oid` is at or below the tip there; the local replica follows
    to that tip.

    Raises PolicyError when the audit has undone it, MirrorTimeoutError after `timeout_s` seconds,
    UsageError, and IntegrityError when what is shown cannot be trusted.
    """
    wanted = _parsed(oid)
    source = _source(replica, visible_on)
    look = _Look(replica, source, wanted)
    deadline_s = replica.host.monotonic_s() + timeout_s
    pause_s = _PAUSE_FIRST_S
    while not look.shows(max(1.0, deadline_s - replica.host.monotonic_s())):
        left_s = deadline_s - replica.host.monotonic_s()
        if left_s <= 0:
            raise MirrorTimeoutError(
                f"{source.name} did not show {oid} within {timeout_s:g} s: {look.last}",
                hint=look.advice(),
            )
        replica.host.sleep(min(pause_s, left_s))
        pause_s = min(pause_s * 2, _PAUSE_LONGEST_S)


class _Look:
    """Looks again and again; fetches only when something changed. `last` says what the last look
    showed.
    """

    def __init__(self, replica: Replica, source: Source, wanted: Oid) -> None:
        self.last = "nothing"
        self._failed: UnavailableError | None = None
        self._replica = replica
        self._source = source
        self._wanted = wanted
        self._seen: Oid | None = None

    def advice(self) -> str:
        """What to do after the last look: only a source that was seen is late by its own fault."""
        if self._failed is not None:
            return self._failed.hint or "check the network and the address, then wait again"
        if self._source.is_authority:
            return ""
        return "ask the operator: why is in Stargate's log (mirror.failed, mirror.diverged)"

    def shows(self, patience_s: float) -> bool:
        """Whether the wanted commit is there now. A source that cannot be reached does not show
        it.
        """
        self._failed = None
        refs = [watermark_ref(self._replica.ns), ledger_ref(self._replica.ns)]
        try:
            listed = transport.ls_remote(
                self._replica.git,
                self._source.address,
                [os.fsdecode(ref) for ref in refs],
                timeout_s=patience_s,
            )
        except UnavailableError as error:
            return self._not_seen(error)
        except AccessError as error:  # waiting does not help
            from gitkv.client.log_in import with_reason

            raise with_reason(self._replica, error) from None
        # The watermark moves after everything it vouches for has arrived; an authority, and a
        # mirror without one, is asked for its ledger.
        ledger = listed.get(refs[1])
        mark = ledger if self._source.is_authority else listed.get(refs[0], ledger)
        self.last = (
            f"it is at {mark.hex()}" if mark is not None else f"it has no {os.fsdecode(refs[1])}"
        )
        if mark is None or mark == self._seen:
            return False
        return self._arrived(mark)

    def _not_seen(self, error: UnavailableError) -> bool:
        self.last, self._failed = str(error), error
        return False

    def _arrived(self, mark: Oid) -> bool:
        """Whether the wanted commit is at or below `mark`, and receipts prove that it is shown:
        the mark itself is the source's word.
        """
        try:
            tip = follow(self._replica, self._source)
        except UnavailableError as error:
            return self._not_seen(error)
        replica = self._replica
        if not replica.has_commit(mark):
            return False
        proved = (
            tip.ledger.oid if self._source.is_authority else shown_ledger(replica, self._source)
        )
        if is_ancestor(replica.git, mark, proved):
            self._seen = mark  # there is no more to come for it
        there = replica.has_commit(self._wanted) and all(
            is_ancestor(replica.git, self._wanted, oid) for oid in (mark, proved)
        )
        if there:
            require_standing(replica, self._wanted, mark)
        return there


def _source(replica: Replica, visible_on: str) -> Source:
    if visible_on == STARGATE:
        return stargate_of(replica)
    if visible_on != MIRROR:
        raise UsageError(f"visible_on: expected mirror or stargate, got {visible_on[:60]!r}")
    if not replica.remote:
        raise UsageError("this repository has no mirror", hint="run: git kv remote setup")
    return mirror_of(replica)


def _parsed(oid: str) -> Oid:
    try:
        return parse_oid(oid.encode("ascii", "replace"))
    except ValueError:
        raise UsageError(f"oid: expected 40 lower-case hex digits, got {oid[:60]!r}") from None
