"""Brings the mirror to the audited state, never by force.

Level-triggered: the work is the difference between our refs and what the mirror has confirmed, so a
lost queue, a crash or days of outage lose nothing. Ledger, index, watchlog and watermark of a
namespace travel all or none; usually everything travels in one push, and what the mirror will not
take travels by itself, so that it holds up nothing else. What others do to the mirror is found out
by looking at it now and then: what is lost or older is brought back, what was never ours is an
alarm. Before the first write the gateway looks whether the mirror is ahead of it: an old backup
never serves (docs/adr/0014).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from gitkv.errors import GitKvError, IntegrityError
from gitkv.gateway.backoff import Backoffs
from gitkv.gateway.deliver import DurableStep
from gitkv.gateway.followers.chunks_first import ChunksFirst
from gitkv.gateway.followers.follower import POLL_S, cause_of
from gitkv.gateway.followers.published import POLICY, Part, part_of, published
from gitkv.gateway.gate import Gate
from gitkv.gateway.hold import WriteHold
from gitkv.gateway.place import holds, is_known_place
from gitkv.gateway.telling import Step
from gitkv.model.configuration import DEFAULTS, MirrorTiming, RetryPauses
from gitkv.model.event import (
    Event,
    MirrorChanged,
    MirrorDiverged,
    MirrorFailed,
    MirrorPushed,
    MirrorRecovered,
    MirrorUnremembered,
    MirrorUnseen,
    Report,
    WritesHeld,
)
from gitkv.model.oid import ZERO_OID, Oid
from gitkv.model.refs import LEDGER, POLICY_REF, WATERMARK, Ref, RefUpdate
from gitkv.model.verdict import FormError, printable
from gitkv.ports import PUSHED, REJECTED, UP_TO_DATE, History, Host, PushStatus, Remote

ALL = "*"  # what concerns the mirror as a whole
_REFS_SHOWN = 5
_EVENTS = {"pushed": MirrorPushed, "failed": MirrorFailed, "diverged": MirrorDiverged}

Parts = Mapping[str, Part]


class MirrorOutcome(NamedTuple):
    """`state`: "current" nothing to do, "pushed", "diverged" (alarm), "failed" (try later),
    "recovered" (what failed is there without us);
    `detail` for the log. `part`: what it is about, a namespace, POLICY, or ALL.
    """

    state: str
    detail: str = ""
    part: str = ALL


class _Seen(NamedTuple):
    """Refs of ours on the mirror that stand at what is not in our history, and parts of which that
    could not be found out.
    """

    foreign: dict[Ref, Oid]
    unclear: dict[str, str]


class Mirroring(NamedTuple):
    """What a mirror follows, and what it may stop: `hold` keeps writes out while the mirror has
    what this repository has not.
    """

    gate: Gate
    history: History
    host: Host
    durable: DurableStep
    hold: WriteHold
    report: Report
    step: Step


class Mirror:
    """The follower of one mirror of a Stargate. What comes within the least time between two pushes
    travels together.
    """

    name = "mirror"
    is_woken = True

    def __init__(
        self,
        mirroring: Mirroring,
        remote: Remote,
        timing: MirrorTiming = DEFAULTS.mirror,
        now_s: Callable[[], float] = time.monotonic,
        retry: RetryPauses = DEFAULTS.retry,
    ) -> None:
        self._gate, self._history, self._host = mirroring[:3]
        self._durable, self._hold, self._report, self._step = mirroring[3:]
        self._remote = remote
        self._timing, self._interval_s = timing, timing.interval_for_s(remote.address)
        self._now_s = now_s
        self._backoffs = Backoffs(now_s, pauses=retry)
        self._confirmed: dict[Ref, Oid] = {}
        self._policy_there: Oid | None = None  # the policy that readers find there, if it is ours
        self._looked_s = -timing.look_every_s
        self._pushed_s = -self._interval_s
        self._has_begun = False
        self._chunks = ChunksFirst(self._gate.objects, self._history, remote, timing)

    def begin(self) -> None:
        """Looks at the mirror before the first write. Writes are held while it has what this
        repository has not; they are let in without it only where this directory served last.
        """
        self._has_begun = True
        try:
            foreign = _whole(self._look())
        except (GitKvError, FormError) as error:
            if is_known_place(self._host, self._gate, self._history):
                self._report(MirrorUnseen(str(error)))
                self._hold.end()
            else:
                self._hold_writes(
                    "the mirror cannot be reached, and this directory is not known to be the "
                    f"newest: {error}"
                )
            return
        self._settle(foreign)
        self._confirmed = {}  # the first push asks once more, and tells the log where it stands

    def failed(self, detail: str, hint: str) -> Event:
        """As in the port."""
        return MirrorFailed(detail=detail, hint=hint)

    def recovered(self) -> Event:
        """As in the port."""
        return MirrorRecovered()

    def step(self) -> float:
        """Looks when it is time, and pushes what is pending and not left alone for now."""
        if not self._has_begun:
            self.begin()
        wait_s = self._pushed_s + self._interval_s - self._now_s()
        wait_s = max(wait_s, self._backoffs.left_s(ALL))
        if wait_s > 0.0:
            return wait_s
        outcomes = self._guarded(self._look_if_due)
        if not any(outcome.part == ALL for outcome in outcomes):
            self._note(outcomes)
            outcomes = self._guarded(lambda: self._push_due(is_last=False))
        self._note(outcomes)
        if not any(outcome.part == ALL and outcome.state != "pushed" for outcome in outcomes):
            self._backoffs.succeeded(ALL)
        wait_s = self._pushed_s + self._interval_s - self._now_s()
        return max(wait_s, self._backoffs.left_s(ALL), self._backoffs.next_s(POLL_S))

    def finish(self) -> None:
        """Pushes what is left, without waiting for the interval; what fails is left alone."""
        if not self._backoffs.failures(ALL):
            self._guarded(lambda: self._push_due(is_last=True))

    def push_once(self) -> MirrorOutcome:
        """Brings the mirror up to date now, as far as it takes it; the worst that happened. What
        fails on the way is an outcome, not an error.
        """
        return _worst(self._guarded(self._push_all))

    def look_once(self) -> MirrorOutcome:
        """Looks what the mirror has now; what it lost is pending again."""
        return _worst(self._guarded(self._look_now))

    def _guarded(self, act: Callable[[], Iterable[MirrorOutcome]]) -> list[MirrorOutcome]:
        outcomes: list[MirrorOutcome] = []
        try:
            for outcome in act():  # one by one: what came before a failure counts
                outcomes.append(outcome)
        except (GitKvError, FormError, OSError) as error:
            outcomes.append(MirrorOutcome("failed", str(error)))
        return outcomes

    def _note(self, outcomes: Iterable[MirrorOutcome]) -> None:
        for state, detail, part in outcomes:
            ns = "" if part in (ALL, POLICY) else part
            if state == "recovered":
                self._report(MirrorRecovered(ns))
                continue
            if state != "pushed":
                self._backoffs.failed(part, detail)
            failures = self._backoffs.failures(part) if state != "pushed" else 0
            self._report(_EVENTS[state](ns, detail, failures))

    def _look_if_due(self) -> list[MirrorOutcome]:
        is_due = self._now_s() - self._looked_s >= self._timing.look_every_s
        if self._hold.because or is_due:
            return self._look_now()
        return []

    def _look_now(self) -> list[MirrorOutcome]:
        seen = self._look()
        if self._hold.because:
            foreign = _whole(seen)
            self._settle(foreign)
            return [MirrorOutcome("diverged", _told(foreign))] if foreign else []
        outcomes = [MirrorOutcome("failed", why, part) for part, why in seen.unclear.items()]
        for part in sorted({_part_of(ref) for ref in seen.foreign}):
            outcomes.append(MirrorOutcome("diverged", _told(_only(seen.foreign, part)), part))
        return outcomes

    def _settle(self, foreign: Mapping[Ref, Oid]) -> None:
        if foreign:
            self._hold_writes(f"the mirror has what this repository has not: {_told(foreign)}")
            return
        if self._hold.because:
            self._hold.end()
        self._remember()

    def _hold_writes(self, why: str) -> None:
        if self._hold.begin(why):
            hint = "restore the newest state, or repair the mirror: docs/operate/backup.md"
            self._report(WritesHeld(why, hint))

    def _push_all(self) -> Iterator[MirrorOutcome]:
        if self._hold.because:
            return
        parts, unreadable = published(self._gate)
        for ns, why in unreadable.items():
            yield MirrorOutcome("failed", why, ns)
        yield from self._push_group(parts)

    def _push_due(self, is_last: bool) -> Iterator[MirrorOutcome]:
        """Everything that does not fail at present together, and each part that does by itself when
        it is its time; `is_last`: not those.
        """
        if self._hold.because:
            return
        backoffs, (parts, unreadable) = self._backoffs, published(self._gate)
        pending = [name for name in parts if self._is_pending(parts[name])]
        for name in backoffs.keep([ALL, *unreadable, *pending]):
            yield MirrorOutcome("recovered", "", name)
        due = [name for name in parts if backoffs.failures(name) and not backoffs.left_s(name)]
        sound = {name: part for name, part in parts.items() if not backoffs.failures(name)}
        alone = [] if is_last else [{name: parts[name]} for name in due]
        groups = [*alone[:1], sound, *alone[1:]] if POLICY in due else [sound, *alone]
        for ns, why in unreadable.items():
            if not backoffs.left_s(ns):
                yield MirrorOutcome("failed", why, ns)
        for group in groups:
            yield from self._push_group(group)

    def _push_group(self, group: Parts) -> Iterator[MirrorOutcome]:
        """All or none of them in one push; each by itself where the mirror does not take all."""
        group = {name: part for name, part in group.items() if self._may_go(part, group)}
        if not any(self._is_pending(part) for part in group.values()):
            return
        for part in group.values():
            self._chunks.send(part.refs, self._confirmed)
        # All of them, not the pending ones alone: the answer tells of every ref where it stands.
        wanted = {ref: oid for part in group.values() for ref, oid in part.refs.items()}
        statuses = self._remote.push(wanted, timeout_s=self._chunks.timeout_s())
        bad = {
            ref: status
            for ref, status in statuses.items()
            if status.state not in (PUSHED, UP_TO_DATE)
        }
        if not bad:
            yield self._confirm(group, wanted)
            self._chunks.clear()
            return
        for ref in wanted:
            self._confirmed.pop(ref, None)
        if len(group) == 1:
            yield self._why_not(next(iter(group)), bad)
            return
        for name, part in group.items():
            yield from self._push_group({name: part})

    def _may_go(self, part: Part, group: Parts) -> bool:
        """Whether readers can judge it: the policy travels with it, or is there."""
        if part.judged_by is None or POLICY in group:
            return True
        return holds(self._gate, self._history, self._policy_there, part.judged_by)

    def _is_pending(self, part: Part) -> bool:
        return any(self._confirmed.get(ref) != oid for ref, oid in part.refs.items())

    def _confirm(self, group: Parts, wanted: dict[Ref, Oid]) -> MirrorOutcome:
        self._step("mirror-pushed")
        self._move_watermarks(wanted)
        pushed = sorted(
            ref.decode() for ref, oid in wanted.items() if self._confirmed.get(ref) != oid
        )
        self._confirmed |= wanted
        self._policy_there = self._confirmed.get(POLICY_REF, self._policy_there)
        self._pushed_s = self._now_s()
        for name in group:
            self._backoffs.succeeded(name)
        self._remember()
        part = next(iter(group)) if len(group) == 1 else ALL
        return MirrorOutcome("pushed", " ".join(pushed), part)

    def _why_not(self, name: str, bad: Mapping[Ref, PushStatus]) -> MirrorOutcome:
        """An atomic push fails for every ref when it fails for one: which one is asked of the
        mirror itself.
        """
        if any(status.state == REJECTED for status in bad.values()):
            foreign = _only(self._look().foreign, name)
            if foreign:
                return MirrorOutcome("diverged", _told(foreign), name)
        ref, status = min(bad.items(), key=lambda entry: "atomic" in entry[1].reason)
        detail = f"{ref.decode()}: {status.state} {status.reason}".rstrip()
        return MirrorOutcome("failed", detail, name)

    def _look(self) -> _Seen:
        """Notes what the mirror shows."""
        theirs = self._remote.refs(timeout_s=self._timing.look_timeout_s)
        self._looked_s = self._now_s()
        parts, refs = published(self._gate).parts, self._gate.refs.read_all()
        wanted = {ref: oid for part in parts.values() for ref, oid in part.refs.items()}
        lost = [ref for ref, oid in self._confirmed.items() if theirs.get(ref) != oid]
        self._confirmed = {ref: oid for ref, oid in theirs.items() if wanted.get(ref) == oid}
        for part in parts.values():  # pushed before a crash, perhaps, and not noted any more
            if not self._is_pending(part):
                self._move_watermarks(part.refs)
        seen = self._compare(theirs, refs)
        is_ours = POLICY_REF not in seen.foreign and POLICY not in seen.unclear
        self._policy_there = theirs.get(POLICY_REF) if is_ours else None
        moved = sorted(ref.decode() for ref in lost if ref not in seen.foreign)
        if moved:
            self._report(MirrorChanged(moved[:_REFS_SHOWN]))
        return seen

    def _compare(self, theirs: Mapping[Ref, Oid], refs: Mapping[Ref, Oid]) -> _Seen:
        seen = _Seen({}, {})
        for ref, oid in theirs.items():
            part = part_of(ref)
            if part is None:
                continue
            try:
                if not holds(self._gate, self._history, refs.get(ref), oid):
                    seen.foreign[ref] = oid
            except (GitKvError, FormError, OSError) as error:
                seen.unclear[part] = f"{printable(ref)}: {cause_of(error)}"
        return seen

    def _remember(self) -> None:
        try:
            self._host.remember(self._confirmed)
        except OSError as error:
            self._report(MirrorUnremembered(str(error)))

    def _move_watermarks(self, confirmed: Mapping[Ref, Oid]) -> None:
        refs = self._gate.refs
        with self._durable.lock:
            updates = [
                RefUpdate(ref, refs.read(ref) or ZERO_OID, oid)
                for ref, oid in confirmed.items()
                if ref.startswith(WATERMARK) and refs.read(ref) != oid
            ]
            if updates:
                self._durable.move_marks(updates)


def _whole(seen: _Seen) -> dict[Ref, Oid]:
    """The foreign refs, where every part is known. Raises IntegrityError otherwise: writes are let
    in on what is known only.
    """
    for why in seen.unclear.values():
        raise IntegrityError(why)
    return seen.foreign


def _part_of(ref: Ref) -> str:
    return part_of(ref) or POLICY


def _only(foreign: Mapping[Ref, Oid], part: str) -> dict[Ref, Oid]:
    return {ref: oid for ref, oid in foreign.items() if part_of(ref) == part}


def _worst(outcomes: Iterable[MirrorOutcome]) -> MirrorOutcome:
    order = ("diverged", "failed", "pushed", "recovered", "current")
    ranked = sorted(outcomes, key=lambda outcome: order.index(outcome.state))
    return ranked[0] if ranked else MirrorOutcome("current")


def _told(foreign: Mapping[Ref, Oid]) -> str:
    """The refs that diverged, ledgers first, and where they stand."""
    order = sorted(foreign, key=lambda ref: (not ref.startswith(LEDGER), ref))
    shown = ", ".join(f"{printable(ref)} at {foreign[ref].hex()}" for ref in order[:_REFS_SHOWN])
    return shown if len(order) <= _REFS_SHOWN else f"{shown} and {len(order) - _REFS_SHOWN} more"
