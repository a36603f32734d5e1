"""Every error git-kv raises, in families named after what the caller does next.

A family fixes the exit code of the command line and the retry class; `docs/errors.md` is generated
from this file. Rules do not raise these: they return a `gitkv.model.verdict.Verdict`. Only edges
turn a verdict into a `RejectedError`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gitkv.model.verdict import Verdict

RETRY_NEVER = "never"  # the same call will fail the same way
RETRY_RELOAD = "reload"  # read the new state, decide again, then retry
RETRY_LATER = "later"  # nothing is wrong with the call; the world is not ready


class GitKvError(Exception):
    """Root of all errors of git-kv. `hint` is advice for a person, printed on its own line."""

    exit_code = 5
    retry = RETRY_NEVER

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        """Pickled and copied as it is, whatever its constructor takes: errors cross processes."""
        return _remade, (type(self), self.args), self.__dict__


def _remade(kind: type[GitKvError], args: tuple[object, ...]) -> GitKvError:
    """An error without its attributes, which `pickle` and `copy` set after that."""
    return kind.__new__(kind, *args)


class UsageError(GitKvError):
    """The command line or a call's arguments make no sense."""

    exit_code = 129


class KeyNotFoundError(GitKvError, KeyError):
    """No such key in the view that was asked."""

    exit_code = 1

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return str(self.args[0])


class KeyInvalidError(GitKvError, ValueError):
    """The key breaks the grammar of `docs/spec/format.md`, section Keys."""

    exit_code = 4


class ExpiredError(GitKvError, KeyError):
    """The key's time to live is over since `expires`, in seconds since 1970."""

    exit_code = 7

    def __init__(self, message: str, *, expires: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.expires = expires

    def __str__(self) -> str:
        return str(self.args[0])


class ConflictError(GitKvError):
    """An expectation about the current state does not hold; `expected` and `actual` say which."""

    exit_code = 2
    retry = RETRY_RELOAD

    def __init__(self, message: str, *, expected: str, actual: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.expected = expected
        self.actual = actual


class PolicyError(GitKvError):
    """The policy is missing, unreadable, or forbids the call (exit 3)."""

    exit_code = 3


_NOT_JUDGED = ({"stargate.unavailable"}, {"clock.behind"})


class RejectedError(GitKvError):
    """A transaction was refused by the rules; `verdict` holds every reason."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__("; ".join(reason.text() for reason in verdict.reasons))
        self.verdict = verdict
        if {reason.rule for reason in verdict.reasons} in _NOT_JUDGED:
            self.retry = RETRY_LATER  # nothing is wrong with the transaction

    @property
    def exit_code(self) -> int:  # type: ignore[override]  # the family spans 2, 3, 4, 5 and 8
        """The exit code of the worst reason."""
        return self.verdict.exit_code


class IntegrityError(GitKvError):
    """Stored or fetched data contradicts itself or what was trusted before: stop, and tell a
    person.
    """

    exit_code = 8


class AccessError(GitKvError):
    """A host refuses us, or is not the host that is known: nothing changes until a person changes
    it. `offered`: fingerprints of the keys that ssh offered, None where no log-in was refused.
    """

    exit_code = 5

    def __init__(
        self, message: str, *, hint: str = "", offered: tuple[str, ...] | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.offered = offered


class UnavailableError(GitKvError):
    """A server or a service cannot answer now."""

    exit_code = 5
    retry = RETRY_LATER


class BusyError(UnavailableError):
    """Another process holds a lock in the repository; a moment later it will not, unless it was
    killed.
    """


class MachineError(UnavailableError):
    """This machine cannot do it now: its disk is full or failing, or a file may not be written."""


class NotLeaderError(UnavailableError):
    """This Stargate is a standby; the message names the leader."""

    exit_code = 9


class MirrorTimeoutError(UnavailableError):
    """The mirror did not show the transaction in time."""

    exit_code = 10


class ToolError(GitKvError):
    """git, ssh, gpg or the operating system failed in a way the rules do not foresee."""

    exit_code = 5
