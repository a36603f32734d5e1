"""Making a judged delivery the state of the repository, through the journal, and telling of it.

An error before the commit point is a refusal; an error after it never is. What the step consists
of on a disk is `git/journal.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gitkv.errors import GitKvError
from gitkv.gateway.stargate import Stargate
from gitkv.model.oid import ZERO_OID, Oid
from gitkv.model.refs import RefUpdate
from gitkv.ports import Delivery, OutcomeUnknownError


def make_durable(stargate: Stargate, delivery: Delivery, txns: Sequence[str] = ()) -> None:
    """Makes the delivery the repository's state, durably; to be called with `stargate.moving` held.
    `txns`: the ids of its transactions, known from the commit point on.

    Raises ConflictError, with nothing changed, when a ref is not where the delivery says; OSError,
    with nothing changed, when the disk fails before the commit point; OutcomeUnknownError when the
    disk does not confirm that the refs moved; UnavailableError while writes are held, and its
    NotLeaderError on a standby.
    """
    stargate.check_writable()
    for txn in txns:  # first, since from the commit point on nothing may stop it
        stargate.learn_transaction(txn)
    try:
        _move(stargate, delivery)
    except OutcomeUnknownError:
        if _have_moved(stargate, delivery.updates):
            _follow_up(stargate)
        else:
            stargate.forget_transactions(txns)
        raise
    except Exception:
        stargate.forget_transactions(txns)
        raise
    _follow_up(stargate)


def move_marks(
    stargate: Stargate, updates: Sequence[RefUpdate], dropped: Sequence[Oid] = ()
) -> None:
    """Moves refs that say how far a worker has come, and what lies between; `dropped`: commits of
    ours that nothing reaches any more. To be called with `stargate.moving` held.

    Raises as `make_durable`, but writes that are held do not stop it.
    """
    _move(stargate, Delivery("", (), updates, dropped))
    _tidy(stargate, stargate.journal.finish)


def _move(stargate: Stargate, delivery: Delivery) -> None:
    journal, fence = stargate.journal, stargate.lease.fence()
    # An intent that a failing disk would not let go of is finished before it is overwritten.
    _tidy(stargate, lambda: journal.recover(fence))
    try:
        journal.prepare(delivery, fence)
    except BaseException:
        _tidy(stargate, journal.abort)
        raise
    try:
        journal.commit(fence)
    except OutcomeUnknownError:
        raise
    except (OSError, GitKvError):  # nothing has moved: the refs stand at old values, or another's
        _tidy(stargate, journal.abort)
        raise
    except Exception as error:  # out of memory, or a defect: it may have moved
        why = f"{type(error).__name__}: {error}"
        raise OutcomeUnknownError(f"the refs may have moved: {why}") from error


def _follow_up(stargate: Stargate) -> None:
    """What follows the commit point happens whatever the disk says: the push is accepted, and an
    error would be heard as a refusal. An intent that stays is finished by the next push or start.
    """
    _tidy(stargate, stargate.announce_move)
    stargate.step("refs-moved")
    _tidy(stargate, stargate.journal.finish)
    stargate.step("intent-cleared")


def _tidy(stargate: Stargate, work: Callable[[], object]) -> None:
    """What fails in tidying up changes no outcome; the error that stopped a delivery is the one to
    tell.
    """
    try:
        work()
    except Exception as error:
        stargate.report("commit.untidy", {"error": str(error) or type(error).__name__})


def tidy_up(stargate: Stargate, *works: Callable[[], None]) -> None:
    """Tidying after a decision: what fails in it is for the log, and changes no answer. The next
    start sweeps what stays.
    """
    for work in works:
        try:
            work()
        except Exception as error:
            stargate.report("push.untidy", {"error": str(error) or type(error).__name__})


def _have_moved(stargate: Stargate, updates: Sequence[RefUpdate]) -> bool:
    """Whether the refs are seen at their new values; False when nobody can tell."""
    try:
        return all((stargate.refs.read(ref) or ZERO_OID) == new for ref, _, new in updates)
    except (OSError, GitKvError):
        return False
