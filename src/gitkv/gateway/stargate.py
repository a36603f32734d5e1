"""One Stargate put together: which part of it gets which others, and which ports. Nothing is
decided here, and no use case but the start takes the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gitkv.gateway.author import Author
from gitkv.gateway.deliver import DurableStep, Stored
from gitkv.gateway.followers.audit import Auditing
from gitkv.gateway.followers.mirror import Mirroring
from gitkv.gateway.gate import Gate
from gitkv.gateway.hold import WriteHold
from gitkv.gateway.judge import Judging
from gitkv.gateway.known import KnownTransactions
from gitkv.gateway.own_key import OwnKey
from gitkv.gateway.push_room import PushRoom
from gitkv.gateway.receive import Receiving
from gitkv.gateway.telling import Announcements, Step, never_failing
from gitkv.gateway.turns import Turns
from gitkv.model.event import Report
from gitkv.ports import (
    Clock,
    History,
    Host,
    Journal,
    Lease,
    ObjectStore,
    RefStore,
    Signer,
    Spool,
    Verifier,
)


class Adapters(NamedTuple):
    """The world as Stargate uses it. `spool` begins a pack of its own."""

    objects: ObjectStore
    refs: RefStore
    history: History
    host: Host
    spool: Callable[[], Spool]
    journal: Journal
    lease: Lease
    signer: Signer
    verifier: Verifier
    clock: Clock


def _nothing(name: str) -> None:
    """For whoever watches no steps."""


class Stargate:
    """The parts, by what they are for."""

    def __init__(self, adapters: Adapters, report: Report, step: Step = _nothing) -> None:
        objects, refs, history, host = adapters[:4]
        signer, verifier, clock = adapters.signer, adapters.verifier, adapters.clock
        self.report, self.step = never_failing(report), step
        self.history, self.host = history, host
        self.lease, self.journal = adapters.lease, adapters.journal
        self.gate, self.known, self.room = Gate(objects, refs), KnownTransactions(), PushRoom()
        self.turns = Turns()  # used by the daemon's loop alone
        self.own_key = OwnKey(signer, verifier, clock)
        self.announcements = Announcements()
        self.hold = WriteHold(self.announcements)
        self.durable = DurableStep(
            Stored(adapters.journal, adapters.lease, refs),
            self.known,
            self.hold,
            announcements=self.announcements,
            report=self.report,
            step=step,
        )
        self.judging = Judging(self.gate, self.known, verifier, clock, step)
        self.receiving = Receiving(self.judging, self.own_key, self.durable, self.hold, self.report)
        self.author = Author(self.gate, signer, clock, self.durable, adapters.spool, self.report)
        self.auditing = Auditing(self.author, verifier, history, self.announcements, self.report)
        self.mirroring = Mirroring(
            self.gate, history, host, self.durable, self.hold, self.report, step
        )


def open_stargate(adapters: Adapters) -> Stargate:
    """A Stargate that reports nothing: for set-up."""
    return Stargate(adapters, lambda event: None)
