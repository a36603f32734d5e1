"""Making a judged delivery the state of the repository, through the journal, and telling of it.

An error before the commit point is a refusal; an error after it never is. What the step consists
of on a disk is `git/journal.py`'s.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gitkv.errors import GitKvError
from gitkv.gateway.hold import WriteHold
from gitkv.gateway.known import KnownTransactions
from gitkv.gateway.telling import Announcements, Step
from gitkv.model.event import CommitUntidy, Report
from gitkv.model.oid import ZERO_OID, Oid
from gitkv.model.refs import RefUpdate
from gitkv.ports import Delivery, Journal, Lease, OutcomeUnknownError, RefStore


class Stored(NamedTuple):
    """What the state is kept in, and who may move it."""

    journal: Journal
    lease: Lease
    refs: RefStore


class DurableStep:
    """The one way in which refs move. `lock` is held by whoever moves them, from the last look at
    where they stand on.
    """

    def __init__(
        self,
        stored: Stored,
        known: KnownTransactions,
        hold: WriteHold,
        *,
        announcements: Announcements,
        report: Report,
        step: Step,
    ) -> None:
        self.lock = threading.RLock()
        self._journal, self._lease, self._refs = stored
        self._known, self._hold, self._announcements = known, hold, announcements
        self._report, self._step = report, step

    def make_durable(self, delivery: Delivery, txns: Sequence[str] = ()) -> None:
        """Makes the delivery the repository's state, durably; to be called with `lock` held.
        `txns`: the ids of its transactions, known from the commit point on.

        Raises ConflictError, with nothing changed, when a ref is not where the delivery says;
        OSError, with nothing changed, when the disk fails before the commit point;
        OutcomeUnknownError when the disk does not confirm that the refs moved; UnavailableError
        while writes are held, and its NotLeaderError on a standby.
        """
        self._hold.check()
        self._known.learn(txns)  # first, since from the commit point on nothing may stop it
        try:
            self._move(delivery)
        except OutcomeUnknownError:
            if self._have_moved(delivery.updates):
                self._follow_up()
            else:
                self._known.forget(txns)
            raise
        except Exception:
            self._known.forget(txns)
            raise
        self._follow_up()

    def move_marks(self, updates: Sequence[RefUpdate], dropped: Sequence[Oid] = ()) -> None:
        """Moves refs that say how far a worker has come, and what lies between; `dropped`: commits
        of ours that nothing reaches any more. To be called with `lock` held.

        Raises as `make_durable`, but writes that are held do not stop it.
        """
        self._move(Delivery("", (), updates, dropped))
        self._tidy(self._journal.finish)

    def _move(self, delivery: Delivery) -> None:
        journal, fence = self._journal, self._lease.fence()
        # An intent that a failing disk would not let go of is finished before it is overwritten.
        self._tidy(lambda: journal.recover(fence))
        try:
            journal.prepare(delivery, fence)
        except BaseException:
            self._tidy(journal.abort)
            raise
        try:
            journal.commit(fence)
        except OutcomeUnknownError:
            raise
        except (OSError, GitKvError):  # nothing has moved: the refs stand at old values, or others'
            self._tidy(journal.abort)
            raise
        except Exception as error:  # out of memory, or a defect: it may have moved
            why = f"{type(error).__name__}: {error}"
            raise OutcomeUnknownError(f"the refs may have moved: {why}") from error

    def _follow_up(self) -> None:
        """What follows the commit point happens whatever the disk says: the push is accepted, and
        an error would be heard as a refusal. An intent that stays is finished by the next push or
        start.
        """
        self._tidy(self._announcements.announce)
        self._step("refs-moved")
        self._tidy(self._journal.finish)
        self._step("intent-cleared")

    def _tidy(self, work: Callable[[], object]) -> None:
        """What fails in tidying up changes no outcome; the error that stopped a delivery is the one
        to tell.
        """
        try:
            work()
        except Exception as error:
            self._report(CommitUntidy(str(error) or type(error).__name__))

    def _have_moved(self, updates: Sequence[RefUpdate]) -> bool:
        """Whether the refs are seen at their new values; False when nobody can tell."""
        try:
            return all((self._refs.read(ref) or ZERO_OID) == new for ref, _, new in updates)
        except (OSError, GitKvError):
            return False
