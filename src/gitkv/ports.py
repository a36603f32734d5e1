"""What the use cases need of the world. Adapters live in `git/`, `sign/` and `testing/`; rules
(`ledger/`, `wire/`) never see these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from gitkv.errors import GitKvError, IntegrityError
from gitkv.model.identity import PublicKey, Signature
from gitkv.model.oid import Oid
from gitkv.model.refs import Namespace, Ref, RefUpdate


class ObjectStore(Protocol):
    """Reads objects by id. Raises IntegrityError when one is missing, or is not of the kind asked
    for.
    """

    def read(self, oid: Oid, kind: bytes) -> bytes:
        """The body of the object."""

    def read_many(self, oids: Iterable[Oid], kind: bytes) -> Iterator[bytes]:
        """The bodies, in the order asked; much faster than one by one."""

    def read_pieces(self, oid: Oid, kind: bytes) -> Iterator[bytes]:
        """The body in pieces, none of which is large; for a body that may be. The errors come
        before the first piece, but for a body that is damaged further on.
        """

    def sizes(self, oids: Iterable[Oid]) -> Iterator[int]:
        """Body sizes in bytes, in the order asked, without reading the bodies."""

    def kinds(self, oids: Iterable[Oid]) -> Iterator[bytes | None]:
        """Kinds in the order asked; None for what is missing."""

    def has(self, oid: Oid) -> bool:
        """Whether the object is there."""

    def expand(self, abbreviation: str) -> Oid | None:
        """The object whose id begins with these hex digits; None when none or several do."""


class RefStore(Protocol):
    """Reads refs, and moves several as one."""

    def read(self, ref: Ref) -> Oid | None:
        """The object id that a ref names; None when there is no such ref."""

    def read_all(self, prefix: bytes = b"refs/") -> dict[Ref, Oid]:
        """All refs whose names start with `prefix`."""

    def move(self, updates: Sequence[RefUpdate]) -> None:
        """All or nothing, durable on return. Raises ConflictError when an `old` is not the current
        value.
        """


class Signer(Protocol):
    """Signs commits for the configured identity."""

    def sign(self, payload: bytes) -> bytes:
        """The armoured signature (ends in LF) over a commit object without its gpgsig header.
        Raises ToolError.
        """


class Verifier(Protocol):
    """Checks commit signatures against a set of keys."""

    def verify(
        self, payload: bytes, armour: bytes, keys: Sequence[PublicKey], now_s: int
    ) -> Signature:
        """`armour`: as in the commit, empty for none; `now_s`: seconds since 1970 by which keys
        expire (spec/policy 6).
        """


class Clock(Protocol):
    def now_s(self) -> int:
        """Seconds since 1970-01-01T00:00:00Z."""


class OutcomeUnknownError(GitKvError):
    """Neither acceptance nor refusal can be promised: the client must look for its transaction."""


class Delivery(NamedTuple):
    """All that is to become the repository's state at once, as plain values: the path of a checked
    pack that nobody can see yet ("" for none), the gateway's own commits (watchlog entries), and
    the refs that move. `dropped`: earlier such commits that no ref reaches any more afterwards.
    """

    pack_path: str
    commits: Sequence[bytes]
    updates: Sequence[RefUpdate]
    dropped: Sequence[Oid] = ()


class Lease(Protocol):
    """Who leads. The fence is the number of a leadership; a later leader's is higher."""

    def fence(self) -> int:
        """The fence of our leadership. Raises NotLeaderError when we do not lead."""


class Journal(Protocol):
    """The durable step: `prepare`, then `commit` or `abort`; one delivery at a time.

    After an error of `prepare`, and after one of `commit` that is not OutcomeUnknownError, nothing
    has moved: `abort` removes what was brought.
    """

    def prepare(self, delivery: Delivery, fence: int) -> None:
        """Brings everything into place, durably; no ref shows it yet. Raises OSError,
        NotLeaderError for a fence below one that was seen.
        """

    def commit(self, fence: int) -> None:
        """Moves the refs of the prepared delivery as one, durably. Raises ConflictError when one is
        not where the delivery says, NotLeaderError when the fence is not, or not any more, that of
        the lease, OSError, and OutcomeUnknownError when the disk does not confirm the move.
        """

    def finish(self) -> None:
        """Removes what a committed delivery dropped, then forgets its record. Raises OSError; a
        later `recover` does it.
        """

    def abort(self) -> None:
        """Leaves nothing of a prepared delivery whose refs did not move. Raises OSError; a later
        `recover` does it.
        """

    def recover(self, fence: int) -> str:
        """Ends what was begun and not finished, by this process, a killed one or a former leader:
        "" nothing to do, "forward" its refs had moved, "back" what it brought is removed. Raises
        NotLeaderError when a later leader began it.
        """


class ObjectTooLargeError(IntegrityError):
    """An object is larger than its reader would ever hold; it was not read."""


class PackObjects(ObjectStore, Protocol):
    """An ObjectStore that sees a pack in quarantine before the repository's own objects. Raises
    ObjectTooLargeError instead of reading what is larger than was agreed.
    """

    def close(self) -> None:
        """Ends reading; harmless when done before."""


class IntakeLimits(NamedTuple):
    """What one pack may cost. A blob may be as large as the largest value (spec/policy 5.4); trees
    and commits are far smaller. `inflated_bytes_max`: of all its objects together; `chain_max`:
    deltas between an object and the whole one that it is made from; `work_s_max`: for taking the
    pack in, without the time that its sender is waited for.
    """

    pack_bytes_max: int = 2 << 30
    objects_max: int = 999_999
    blob_bytes_max: int = 100 << 20
    other_bytes_max: int = 16 << 20
    inflated_bytes_max: int = 4 << 30
    chain_max: int = 250  # git's own default is 50 (`pack.depth`); this is for who raises it
    memory_bytes_max: int = 1 << 30
    cpu_s_max: int = 300
    work_s_max: float = 600.0


class QuarantinedPack(NamedTuple):
    """A checked pack. `oids`: the objects that were sent; `bases`: objects of ours that complete a
    thin pack, both in ascending order; `size`: what was sent, in bytes.

    `pack_path` is "" when it is empty.
    """

    pack_path: str
    oids: tuple[Oid, ...]
    bases: tuple[Oid, ...]
    size: int = 0


class Intake(Protocol):
    """A pack from outside, checked and measured, that nobody else can see yet. Raises OSError and
    ToolError.
    """

    def objects(self, object_bytes_max: int) -> PackObjects:
        """Reads the pack and the repository. To be closed."""

    def discard(self) -> None:
        """Removes what is left of it, also when its pack was delivered; harmless when done
        before.
        """


class Spool(Protocol):
    """A pack of our own in the making: it takes the same way in as everybody's. Raises OSError when
    the disk is full, ToolError, and UnavailableError when the machine is short of something.
    """

    def add(self, kind: bytes, body: bytes) -> Oid:
        """Adds an object; its id."""

    def finish(self) -> str:
        """The path of the checked pack, for a Delivery."""

    def discard(self) -> None:
        """Removes what is left of it; harmless when done before."""


class History(Protocol):
    """How the repository's commits follow each other, by their parents, which are hashed. Raises
    ToolError when a commit is not here, IntegrityError when the objects are damaged.
    """

    def is_ancestor(self, older: Oid, newer: Oid) -> bool:
        """Whether `older` is `newer` or one of its ancestors."""

    def commits_back(self, newest: Oid) -> Iterator[Oid]:
        """`newest` and all its ancestors, newest first, one at a time."""

    def reachable(self, tips: Iterable[Oid], known: Iterable[Oid] = ()) -> Iterator[Oid]:
        """Every object that these commits reach, themselves included, one at a time; without what
        their ancestors `known` do.
        """


class PushStatus(NamedTuple):
    """What became of one ref that was to move on another repository; `reason` is printable."""

    state: str
    reason: str = ""


PUSHED = "ok"
UP_TO_DATE = "up-to-date"
REJECTED = "rejected"  # this side saw that the move is not a fast-forward
REMOTE_REJECTED = "remote rejected"
PUSH_UNCLEAR = "error"  # the remote's answer was lost: the move may have happened


class Remote(Protocol):
    """Another repository, such as the mirror. Raises UnavailableError when it cannot be reached or
    falls silent, AccessError when it refuses us, IntegrityError for an answer that is none.
    """

    @property
    def address(self) -> str:
        """Where it is, as its operator names it."""

    def refs(self, *, timeout_s: float | None = None) -> dict[Ref, Oid]:
        """Its refs, as it lists them."""

    def push(
        self, wanted: Mapping[Ref, Oid], *, timeout_s: float | None = None
    ) -> dict[Ref, PushStatus]:
        """Moves its refs there, all or none and never by force; what became of each. A refusal is
        an answer; an answer that was lost is UnavailableError, and anything may have happened.
        """

    def stage(self, ref: Ref, tree: bytes, *, timeout_s: float | None = None) -> PushStatus:
        """Makes a new ref there that names this tree, of blobs that are here."""

    def drop(self, refs: Sequence[Ref], *, timeout_s: float | None = None) -> dict[Ref, PushStatus]:
        """Removes refs there, all or none."""


class Settings(NamedTuple):
    """What the repository's own `config` says. `mirror`: a URL, "" when there is deliberately
    none.
    """

    mirror: str
    namespaces: tuple[Namespace, ...]


class Host(Protocol):
    """The place where a Stargate's state is kept. Raises OSError, IntegrityError for what is not as
    a whole Stargate's, ToolError.
    """

    def settings(self) -> Settings:
        """Its settings, once its files are seen to be whole. Raises ToolError when it was never
        finished.
        """

    def unlock(self) -> list[str]:
        """Removes locks that a killed process left; their names. For its only daemon, at start."""

    def sweep_drafts(self) -> list[str]:
        """Removes drafts of killed children; their names. For its only daemon, at start."""

    def sweep_quarantine(self) -> list[str]:
        """Removes what belongs to no pack at work; names of what was removed."""

    def check_view(self) -> None:
        """Raises IntegrityError when it shows other refs, objects or history than its own."""

    def pack_count(self) -> int:
        """How many packs there are: reading slows down with them."""

    def roll_up(self) -> None:
        """Makes few packs of many, while reading and writing go on."""

    def remember(self, confirmed: Mapping[Ref, Oid]) -> None:
        """Writes down, durably, that this place is current, and what its mirror has confirmed."""

    def remembered(self) -> Mapping[Ref, Oid] | None:
        """What was written down here; None when this is not that place, such as a backup that was
        put back.
        """
