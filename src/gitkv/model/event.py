"""What a Stargate tells its operator, one class for each kind of event: to a log, to metrics, to
whoever subscribes. What an event means, and what to do about it: docs/operate/log.md.

A field named like a word of Python's has an underscore, which nobody sees. An empty field says
nothing: "", None or no items.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import Field, dataclass, fields
from typing import Any, ClassVar, dataclass_transform


@dataclass_transform(frozen_default=True)
class Event:
    """Something that has happened: a frozen dataclass. `name` is for logs and metrics, and does not
    change.
    """

    name: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __init_subclass__(cls, *, name: str) -> None:
        cls.name = name
        dataclass(frozen=True)(cls)

    def fields(self) -> dict[str, object]:
        """Name to value, in order."""
        return {field.name.rstrip("_"): getattr(self, field.name) for field in fields(self)}


Report = Callable[[Event], None]


# The process


class DaemonServing(Event, name="serving"):
    """Connections are answered at the address `ssh`."""

    ssh: str
    repository: str
    namespaces: Sequence[str]


class DaemonRecovered(Event, name="recovered"):
    """The last process did not end politely; `swept`: how many files of it were removed."""

    locks: Sequence[str]
    intent: str
    swept: int


class DaemonDraining(Event, name="draining"):
    """It was told to end."""

    why: str


class DaemonStopped(Event, name="stopped"):
    """It has ended."""

    by: str = ""
    hint: str = ""


class DaemonFailed(Event, name="failed"):
    """It cannot go on."""

    error: str


class DaemonEnded(Event, name="ended"):
    """It did not start, or failed; `exit` is the exit code, `kind` the class of the error."""

    error: str
    kind: str
    hint: str
    exit: int


class LimitsLow(Event, name="limits.low"):
    """The process may run out of address space, in bytes."""

    address_space: int
    expected: int
    hint: str


class PythonError(Event, name="python.error"):
    """An error that nobody was waiting for. `unlogged`: how many before it were left out."""

    from_: str = ""
    detail: str = ""
    error: str = ""
    at: str = ""
    hint: str = ""
    unlogged: int | None = None


class PythonWarning(Event, name="python.warning"):
    """A warning that nobody was waiting for."""

    from_: str = ""
    detail: str = ""
    error: str = ""
    at: str = ""


# Maintenance


class PacksRolledUp(Event, name="maintained"):
    """Packs were rolled up."""

    packs_before: int


class QuarantineSwept(Event, name="quarantine.swept"):
    """What a failing disk had not let go of is gone: so many files."""

    left: int


class MaintenanceFailed(Event, name="maintenance.failed"):
    """A task of maintenance could not be done; all of them, without `task`."""

    task: str = ""
    detail: str = ""
    hint: str = ""


class MaintenanceRecovered(Event, name="maintenance.recovered"):
    """It can be done again."""

    task: str = ""


# Pushes


class PushAccepted(Event, name="push.accepted"):
    """A transaction was accepted: keys `set` and `del`, ledger commit, whose keys signed."""

    who: str
    seconds: float
    ns: str
    seq: int
    set: int
    del_: int
    ledger: str
    signers: Sequence[str]


class PolicyAccepted(Event, name="policy.accepted"):
    """A policy change was accepted."""

    who: str
    seconds: float


class PushRefused(Event, name="push.refused"):
    """A push was refused; `exit` is the client's exit code, `reasons` what it was told."""

    who: str
    seconds: float
    ns: str
    exit: int
    reasons: Sequence[str]


class PushDropped(Event, name="push.dropped"):
    """The client spoke another protocol, or left."""

    who: str
    why: str


class PushFailed(Event, name="push.failed"):
    """A push could not be judged or stored, by our fault or the machine's."""

    error: str
    short_of: str = ""


class PushUntidy(Event, name="push.untidy"):
    """What a push held could not be tidied up after the decision."""

    error: str


class CommitUntidy(Event, name="commit.untidy"):
    """What the durable step left could not be tidied up."""

    error: str


# Connections


class LoginRefused(Event, name="login.refused"):
    """A connection did not log in: its keys, or why. `unlogged` as in PythonError."""

    peer: str
    who: str = ""
    keys: Sequence[str] = ()
    why: str = ""
    unlogged: int | None = None


class LoginFailed(Event, name="login.failed"):
    """A log-in could not be judged. `unlogged` as in PythonError."""

    peer: str
    error: str
    hint: str = ""
    unlogged: int | None = None


class ConnectionDropped(Event, name="connection.dropped"):
    """A principal's connection broke a limit or the protocol."""

    peer: str
    who: str
    why: str


class ConnectionFailed(Event, name="connection.failed"):
    """A defect of ours ended a connection."""

    peer: str
    who: str
    error: str
    hint: str = ""


class SessionFailed(Event, name="session.failed"):
    """One session ended by our fault or the machine's."""

    who: str
    error: str
    short_of: str = ""
    hint: str = ""


class SessionRefused(Event, name="session.refused"):
    """A known key asked for what there is not, or is not valid any more."""

    who: str
    why: str = ""
    command: str = ""


# The mirror


class MirrorPushed(Event, name="mirror.pushed"):
    """It has the refs in `detail` now."""

    ns: str = ""
    detail: str = ""
    failures: int = 0


class MirrorFailed(Event, name="mirror.failed"):
    """It could not be reached, or refused; so many `failures` in a row."""

    ns: str = ""
    detail: str = ""
    failures: int = 0
    hint: str = ""


class MirrorDiverged(Event, name="mirror.diverged"):
    """It holds what we never had."""

    ns: str = ""
    detail: str = ""
    failures: int = 0


class MirrorRecovered(Event, name="mirror.recovered"):
    """What failed before any push works again, or an alarm is over: of a namespace, or of all or
    the policy without `ns`.
    """

    ns: str = ""


class MirrorChanged(Event, name="mirror.changed"):
    """Somebody moved back or removed refs there."""

    refs: Sequence[str]


class MirrorUnseen(Event, name="mirror.unseen"):
    """It could not be reached at the start, and writes are let in all the same."""

    detail: str


class MirrorNone(Event, name="mirror.none"):
    """There is none."""


class MirrorUnremembered(Event, name="mirror.unremembered"):
    """What it confirmed could not be written down."""

    detail: str


class WritesHeld(Event, name="writes.held"):
    """No write is let in."""

    why: str
    hint: str


# The audit after the answer


class AuditPassed(Event, name="audit.passed"):
    """A transaction is good and may be published."""

    ns: str
    seq: int
    ledger: str


class AuditViolation(Event, name="audit.violation"):
    """A writer signed what is forbidden; `suspended`: who may write nothing from now on."""

    ns: str
    seq: int
    signer: str
    suspended: str
    reasons: Sequence[str]


class AuditRestored(Event, name="audit.restored"):
    """The state of `state_of` is current again, as transaction `seq`."""

    ns: str
    seq: int
    state_of: int


class AuditReapplied(Event, name="audit.reapplied"):
    """A later transaction was applied again."""

    ns: str
    seq: int
    txn: str


class AuditNotReapplied(Event, name="audit.not-reapplied"):
    """A later transaction could not be applied again."""

    ns: str
    seq: int
    txn: str
    why: str


class AuditFailed(Event, name="audit.failed"):
    """The audit could not run: of a namespace, or of all of them without `ns`."""

    ns: str = ""
    detail: str = ""
    hint: str = ""


class AuditRecovered(Event, name="audit.recovered"):
    """It runs again."""

    ns: str = ""
