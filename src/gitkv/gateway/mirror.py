"""The mirror worker: brings the mirror to the audited state, never by force.

Level-triggered: the work is the difference between our refs and what the mirror has confirmed, so a
lost queue, a crash or days of outage lose nothing. Ledger, index, watchlog, policy and watermark
travel in one atomic push. What others do to the mirror is found out by looking at it now and then:
what is lost or older is brought back, what was never ours is an alarm. Before the first write the
gateway looks whether the mirror is ahead of it: an old backup never serves (docs/adr/0014).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from gitkv.errors import GitKvError
from gitkv.gateway.backoff import backoff_s
from gitkv.gateway.deliver import move_marks
from gitkv.gateway.place import holds, is_known_place, remember_confirmed
from gitkv.gateway.stargate import Stargate
from gitkv.git import transport
from gitkv.git.process import Git
from gitkv.model.oid import ZERO_OID, Oid
from gitkv.model.refs import (
    INDEX,
    LEDGER,
    POLICY_REF,
    WATCHLOG,
    WATERMARK,
    Namespace,
    Ref,
    RefUpdate,
    audited_ref,
    watchlog_ref,
    watermark_ref,
)
from gitkv.model.verdict import FormError, printable

PUSH_TIMEOUT_S = 600.0
LOOK_TIMEOUT_S = 15.0  # for a mirror that says nothing: the start waits for it
LOOK_EVERY_S = 180.0
_REFS_SHOWN = 5
_OURS = (INDEX, LEDGER, WATCHLOG)


class MirrorOutcome(NamedTuple):
    """`state`: "current" nothing to do, "pushed", "diverged" (alarm), "failed" (try later);
    `detail` for the log.
    """

    state: str
    detail: str = ""


class Mirror:
    """One mirror of a Stargate. `interval_s`: the least time between two pushes, what comes
    meanwhile travels together. `git` is the operator's own: credential helpers, ssh and proxies of
    their configuration are for the mirror.
    """

    def __init__(
        self,
        stargate: Stargate,
        git: Git,
        url: str,
        interval_s: float,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stargate = stargate
        self._git = git
        self._url = url
        self._interval_s = interval_s
        self._now_s = now_s
        self._confirmed: dict[Ref, Oid] = {}
        self._looked_s = -LOOK_EVERY_S
        self._has_begun = False

    def pending(self) -> dict[Ref, Oid]:
        """The refs the mirror has not confirmed, with the value it should have."""
        return {
            ref: oid
            for ref, oid in published_refs(self._stargate).items()
            if self._confirmed.get(ref) != oid
        }

    def begin(self) -> None:
        """Looks at the mirror before the first write. Writes are held while it has what this
        repository has not; they are let in without it only where this directory served last.
        """
        stargate = self._stargate
        self._has_begun = True
        try:
            foreign = self._look()
        except (GitKvError, FormError) as error:
            if is_known_place(stargate.git, stargate.objects, stargate.refs):
                stargate.report("mirror.unseen", {"detail": str(error)})
                stargate.release_writes()
            else:
                self._hold(
                    "the mirror cannot be reached, and this directory is not known to be the "
                    f"newest: {error}"
                )
            return
        self._settle(foreign)
        self._confirmed = {}  # the first push asks once more, and tells the log where it stands

    def push_once(self) -> MirrorOutcome:
        """Brings the mirror up to date in one push. What fails on the way is an outcome, not an
        error: the worker lives on.
        """
        try:
            return self._push_once()
        except (GitKvError, FormError, OSError) as error:
            return MirrorOutcome("failed", str(error))

    def look_once(self) -> MirrorOutcome:
        """Looks what the mirror has now; what it lost is pending again."""
        try:
            foreign = self._look()
        except (GitKvError, FormError, OSError) as error:
            return MirrorOutcome("failed", str(error))
        if self._stargate.held_because:
            self._settle(foreign)
        return MirrorOutcome("diverged", _told(foreign)) if foreign else MirrorOutcome("current")

    def _settle(self, foreign: Mapping[Ref, Oid]) -> None:
        if foreign:
            self._hold(f"the mirror has what this repository has not: {_told(foreign)}")
            return
        if self._stargate.held_because:
            self._stargate.release_writes()
        self._remember()

    def _hold(self, why: str) -> None:
        if self._stargate.hold_writes(why):
            hint = "restore the newest state, or repair the mirror: docs/operate/backup.md"
            self._stargate.report("writes.held", {"why": why, "hint": hint})

    def _push_once(self) -> MirrorOutcome:
        stargate, wanted = self._stargate, published_refs(self._stargate)
        if stargate.held_because or all(self._confirmed.get(ref) == wanted[ref] for ref in wanted):
            return MirrorOutcome("current")
        # All of them, not the pending ones alone: the answer tells of every ref where it stands.
        moves = [transport.Push(oid, ref) for ref, oid in sorted(wanted.items())]
        statuses = transport.push(self._git, self._url, moves, timeout_s=PUSH_TIMEOUT_S)
        bad = {
            ref: status
            for ref, status in statuses.items()
            if status.state not in (transport.OK, transport.UP_TO_DATE)
        }
        if bad:
            return self._why_not(bad)
        stargate.step("mirror-pushed")
        self._move_watermarks(wanted)
        pushed = sorted(
            ref.decode() for ref, oid in wanted.items() if self._confirmed.get(ref) != oid
        )
        self._confirmed = wanted
        self._remember()
        return MirrorOutcome("pushed", " ".join(pushed))

    def _why_not(self, bad: Mapping[Ref, transport.PushStatus]) -> MirrorOutcome:
        """An atomic push fails for every ref when it fails for one: which one is asked of the
        mirror itself.
        """
        self._confirmed = {}
        if any(status.state == transport.REJECTED for status in bad.values()):
            foreign = self._look()
            if foreign:
                return MirrorOutcome("diverged", _told(foreign))
        ref, status = min(bad.items(), key=lambda entry: "atomic" in entry[1].reason)
        return MirrorOutcome("failed", f"{ref.decode()}: {status.state} {status.reason}".rstrip())

    def _look(self) -> dict[Ref, Oid]:
        """Notes what the mirror shows; the refs of ours there that stand at what is not in our
        history.
        """
        stargate = self._stargate
        theirs = transport.ls_remote(self._git, self._url, timeout_s=LOOK_TIMEOUT_S)
        self._looked_s = self._now_s()
        wanted, refs = published_refs(stargate), stargate.refs.read_all()
        lost = [ref for ref, oid in self._confirmed.items() if theirs.get(ref) != oid]
        self._confirmed = {ref: oid for ref, oid in theirs.items() if wanted.get(ref) == oid}
        if self._confirmed == wanted:  # pushed before a crash, perhaps, and not noted any more
            self._move_watermarks(wanted)
        foreign = {
            ref: oid
            for ref, oid in theirs.items()
            if (ref == POLICY_REF or ref.startswith(_OURS))
            and not holds(stargate.git, stargate.objects, refs.get(ref), oid)
        }
        moved = sorted(ref.decode() for ref in lost if ref not in foreign)
        if moved:
            stargate.report("mirror.changed", {"refs": moved[:_REFS_SHOWN]})
        return foreign

    def _remember(self) -> None:
        try:
            remember_confirmed(self._stargate.git_dir, self._confirmed)
        except OSError as error:
            self._stargate.report("mirror.unremembered", {"detail": str(error)})

    def run(self, is_stopping: threading.Event) -> None:
        """The worker's loop; pushes what is left once more before it ends."""
        seen, failures = -1, 0
        if not self._has_begun:
            self.begin()
        while not is_stopping.is_set():
            outcome = self._step()
            failures = failures + 1 if outcome.state in ("failed", "diverged") else 0
            if outcome.state != "current":
                self._stargate.report(
                    f"mirror.{outcome.state}", {"detail": outcome.detail, "failures": failures}
                )
            if failures:
                is_stopping.wait(backoff_s(failures, random.random()))
            else:
                if outcome.state == "pushed":
                    is_stopping.wait(self._interval_s)
                seen = self._stargate.wait_for_move(seen, timeout_s=1.0)
        if not failures:
            self.push_once()

    def _step(self) -> MirrorOutcome:
        if self._stargate.held_because or self._now_s() - self._looked_s >= LOOK_EVERY_S:
            looked = self.look_once()
            if looked.state != "current":
                return looked
        return self.push_once()

    def _move_watermarks(self, confirmed: dict[Ref, Oid]) -> None:
        refs = self._stargate.refs
        with self._stargate.moving:
            updates = [
                RefUpdate(ref, refs.read(ref) or ZERO_OID, oid)
                for ref, oid in confirmed.items()
                if ref.startswith(WATERMARK) and refs.read(ref) != oid
            ]
            if updates:
                move_marks(self._stargate, updates)


def _told(foreign: Mapping[Ref, Oid]) -> str:
    """The refs that diverged, ledgers first, and where they stand."""
    order = sorted(foreign, key=lambda ref: (not ref.startswith(LEDGER), ref))
    shown = ", ".join(f"{printable(ref)} at {foreign[ref].hex()}" for ref in order[:_REFS_SHOWN])
    return shown if len(order) <= _REFS_SHOWN else f"{shown} and {len(order) - _REFS_SHOWN} more"


def published_refs(stargate: Stargate) -> dict[Ref, Oid]:
    """What the mirror should show: the policy, and each namespace as far as it is audited."""
    refs = stargate.refs.read_all()
    wanted = {POLICY_REF: refs[POLICY_REF]} if POLICY_REF in refs else {}
    for ns in stargate.namespaces():
        mark = refs.get(audited_ref(ns))
        if mark is not None:
            wanted |= _published(stargate, ns, mark)
    return wanted


def _published(stargate: Stargate, ns: Namespace, mark: Oid) -> dict[Ref, Oid]:
    entry = stargate.entry(mark)
    return {
        **entry.heads.by_ref(ns),
        watchlog_ref(ns, entry.epoch): mark,
        watermark_ref(ns): entry.heads.ledger,
    }
