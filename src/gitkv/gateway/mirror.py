"""The mirror worker: brings the mirror to the audited state, never by force.

Level-triggered: the work is the difference between our refs and what the mirror has confirmed, so a
lost queue, a crash or days of outage lose nothing. Ledger, index, watchlog, policy and watermark
travel in one atomic push. A mirror that is not behind us is an alarm.
"""

from __future__ import annotations

import random
import threading
from typing import NamedTuple

from gitkv.errors import GitKvError
from gitkv.gateway.stargate import Stargate
from gitkv.git import transport
from gitkv.git.process import Git
from gitkv.model.oid import ZERO_OID, Oid
from gitkv.model.refs import (
    POLICY_REF,
    WATERMARK,
    Namespace,
    Ref,
    RefUpdate,
    audited_ref,
    index_ref,
    ledger_ref,
    watchlog_ref,
    watermark_ref,
)
from gitkv.model.verdict import FormError

BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 60.0
PUSH_TIMEOUT_S = 600.0


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

    def __init__(self, stargate: Stargate, git: Git, url: str, interval_s: float) -> None:
        self._stargate = stargate
        self._git = git
        self._url = url
        self._interval_s = interval_s
        self._confirmed: dict[Ref, Oid] = {}

    def pending(self) -> dict[Ref, Oid]:
        """The refs the mirror has not confirmed, with the value it should have."""
        return {
            ref: oid
            for ref, oid in published_refs(self._stargate).items()
            if self._confirmed.get(ref) != oid
        }

    def push_once(self) -> MirrorOutcome:
        """Brings the mirror up to date in one push. What fails on the way is an outcome, not an
        error: the worker lives on.
        """
        try:
            return self._push_once()
        except (GitKvError, FormError, OSError) as error:
            return MirrorOutcome("failed", str(error))

    def _push_once(self) -> MirrorOutcome:
        stargate, wanted = self._stargate, self.pending()
        if not wanted:
            return MirrorOutcome("current")
        moves = [transport.Push(oid, ref) for ref, oid in sorted(wanted.items())]
        statuses = transport.push(self._git, self._url, moves, timeout_s=PUSH_TIMEOUT_S)
        bad = {
            ref: status
            for ref, status in statuses.items()
            if status.state not in (transport.OK, transport.UP_TO_DATE)
        }
        if bad:
            ref, status = min(bad.items(), key=lambda entry: entry[1].state != transport.REJECTED)
            state = "diverged" if status.state == transport.REJECTED else "failed"
            return MirrorOutcome(state, f"{ref.decode()}: {status.state} {status.reason}".rstrip())
        stargate.step("mirror-pushed")
        self._move_watermarks(wanted)
        self._confirmed |= wanted
        return MirrorOutcome("pushed", " ".join(sorted(ref.decode() for ref in wanted)))

    def run(self, is_stopping: threading.Event) -> None:
        """The worker's loop; pushes what is left once more before it ends."""
        seen, failures = -1, 0
        while not is_stopping.is_set():
            outcome = self.push_once()
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

    def _move_watermarks(self, confirmed: dict[Ref, Oid]) -> None:
        refs = self._stargate.refs
        with self._stargate.moving:
            updates = [
                RefUpdate(ref, refs.read(ref) or ZERO_OID, oid)
                for ref, oid in confirmed.items()
                if ref.startswith(WATERMARK) and refs.read(ref) != oid
            ]
            if updates:
                refs.move(updates)


def backoff_s(failures: int, jitter: float) -> float:
    """Seconds to wait after so many failures in a row; `jitter` in [0, 1) spreads several
    gateways.
    """
    limit: float = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(failures - 1, 16))
    return limit * (0.5 + jitter / 2)


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
        ledger_ref(ns): entry.ledger,
        index_ref(ns): entry.index_oid,
        watchlog_ref(ns, entry.epoch): mark,
        watermark_ref(ns): entry.ledger,
    }
