"""What else a gateway uses of the world, in memory: packs, the history, a mirror, a place, a clock.
They pass the contract suites of the real ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from gitkv.errors import ToolError, UnavailableError
from gitkv.model.commit import parse_commit
from gitkv.model.oid import COMMIT, EMPTY_TREE, OID_BYTES, TREE, Oid, hash_object
from gitkv.model.refs import Namespace, Ref
from gitkv.ports import (
    PUSHED,
    REJECTED,
    UP_TO_DATE,
    History,
    ObjectTooLargeError,
    PushStatus,
    QuarantinedPack,
    Settings,
)
from gitkv.testing.memory import MemoryObjectStore

Packs = dict[str, Sequence[tuple[bytes, bytes]]]  # as of MemoryJournal: path to (kind, body)
_TREE_MODE = b"40000"


class MemoryClock:
    """A clock that stands where it is put."""

    def __init__(self, now_s: int) -> None:
        self.now = now_s

    def now_s(self) -> int:
        """Seconds since 1970."""
        return self.now


class MemoryPackObjects(MemoryObjectStore):
    """PackObjects: a pack on top of a repository's objects."""

    def __init__(
        self, below: MemoryObjectStore, pack: Iterable[tuple[bytes, bytes]], bytes_max: int
    ) -> None:
        super().__init__()
        self._bytes_max = bytes_max
        for _, kind, body in below.all():
            self.add(kind, body)
        for kind, body in pack:
            self.add(kind, body)

    def read(self, oid: Oid, kind: bytes) -> bytes:
        """As in the port."""
        body = super().read(oid, kind)
        if len(body) > self._bytes_max:
            raise ObjectTooLargeError(
                f"object {oid.hex()}: expected at most {self._bytes_max} bytes, got {len(body)}"
            )
        return body

    def close(self) -> None:
        """Nothing: it holds nothing but memory."""


class MemoryIntake:
    """Intake of these objects; `pack` is what was received."""

    def __init__(
        self, objects: MemoryObjectStore, packs: Packs, sent: Sequence[tuple[bytes, bytes]]
    ) -> None:
        self._objects, self._packs, self._sent = objects, packs, sent
        oids = tuple(sorted({hash_object(*one) for one in sent}))
        path = f"pack-{id(self)}" if sent else ""
        self.pack = QuarantinedPack(path, oids, ())
        if path:
            packs[path] = sent

    def objects(self, object_bytes_max: int) -> MemoryPackObjects:
        """As in the port."""
        return MemoryPackObjects(self._objects, self._sent, object_bytes_max)

    def discard(self) -> None:
        """As in the port."""
        self._packs.pop(self.pack.pack_path, None)


class MemorySpool:
    """Spool that ends among `packs`."""

    def __init__(self, packs: Packs) -> None:
        self._packs, self._path = packs, f"spool-{id(self)}"
        self._added: dict[Oid, tuple[bytes, bytes]] = {}

    def add(self, kind: bytes, body: bytes) -> Oid:
        """As in the port."""
        oid = hash_object(kind, body)
        self._added[oid] = kind, body
        return oid

    def finish(self) -> str:
        """As in the port."""
        self._packs[self._path] = list(self._added.values())
        return self._path

    def discard(self) -> None:
        """As in the port."""
        self._added = {}
        self._packs.pop(self._path, None)


class MemoryHistory:
    """History over a store of objects."""

    def __init__(self, objects: MemoryObjectStore) -> None:
        self._objects = objects

    def is_ancestor(self, older: Oid, newer: Oid) -> bool:
        """As in the port."""
        self._parents(older)
        return older in self.commits_back(newer)

    def commits_back(self, newest: Oid) -> Iterator[Oid]:
        """As in the port."""
        seen, left = {newest}, [newest]
        while left:
            oid = left.pop(0)
            yield oid
            for parent in self._parents(oid):
                if parent not in seen:
                    seen.add(parent)
                    left.append(parent)

    def reachable(self, tips: Iterable[Oid]) -> Iterator[Oid]:
        """As in the port."""
        seen: set[Oid] = set()
        for tip in tips:
            for oid in self.commits_back(tip):
                tree = parse_commit(self._objects.read(oid, COMMIT)).tree
                for one in (oid, *self._below(tree)):
                    if one not in seen:
                        seen.add(one)
                        yield one

    def _parents(self, oid: Oid) -> tuple[Oid, ...]:
        if not self._objects.has(oid):
            raise ToolError(f"no such commit: {oid.hex()}")
        return parse_commit(self._objects.read(oid, COMMIT)).parents

    def _below(self, tree: Oid) -> Iterator[Oid]:
        yield tree
        rest = b"" if tree == EMPTY_TREE else self._objects.read(tree, TREE)
        while rest:
            head, _, rest = rest.partition(b"\0")
            oid, rest = Oid(rest[:OID_BYTES]), rest[OID_BYTES:]
            if head.split(b" ")[0] == _TREE_MODE:
                yield from self._below(oid)
            else:
                yield oid


class MemoryRemote:
    """Remote that a test breaks. `is_up`: whether it answers; `loses_answers`: it does what it is
    told, and the answer is lost; `refused`: refs that it does not take.
    """

    address = "memory"

    def __init__(self, history: History) -> None:
        self._history = history
        self.shown: dict[Ref, Oid] = {}
        self.is_up, self.loses_answers = True, False
        self.refused: dict[Ref, PushStatus] = {}

    def refs(self, *, timeout_s: float | None = None) -> dict[Ref, Oid]:
        """As in the port."""
        self._check_up()
        return dict(self.shown)

    def push(
        self, wanted: Mapping[Ref, Oid], *, timeout_s: float | None = None
    ) -> dict[Ref, PushStatus]:
        """As in the port."""
        self._check_up()
        bad = {ref: self.refused[ref] for ref in wanted if ref in self.refused}
        for ref, oid in wanted.items():
            if ref not in bad and not self._leads_to(self.shown.get(ref), oid):
                bad[ref] = PushStatus(REJECTED, "fetch first")
        if bad:
            others = PushStatus(REJECTED, "atomic push failed")
            return {ref: bad.get(ref, others) for ref in wanted}
        before, self.shown = self.shown, {**self.shown, **wanted}
        if self.loses_answers:
            raise UnavailableError("the answer of the mirror was lost")
        return {
            ref: PushStatus(UP_TO_DATE if before.get(ref) == oid else PUSHED)
            for ref, oid in wanted.items()
        }

    def _check_up(self) -> None:
        if not self.is_up:
            raise UnavailableError("the mirror does not answer")

    def _leads_to(self, old: Oid | None, new: Oid) -> bool:
        try:
            return old is None or self._history.is_ancestor(old, new)
        except ToolError:
            return False


class MemoryHost:
    """Host of which a test says what is the matter. `packs`: how many there are; `confirmed`: what
    was written down, None as after a backup was put back; `left`: what a killed process has left.
    """

    def __init__(self, mirror: str, namespaces: Sequence[Namespace]) -> None:
        self._settings = Settings(mirror, tuple(namespaces))
        self.packs = 1
        self.confirmed: dict[Ref, Oid] | None = None
        self.left: list[str] = []

    def settings(self) -> Settings:
        """As in the port."""
        return self._settings

    def unlock(self) -> list[str]:
        """As in the port: there are no locks."""
        return []

    def sweep_drafts(self) -> list[str]:
        """As in the port: there are no drafts."""
        return []

    def sweep_quarantine(self) -> list[str]:
        """As in the port."""
        left, self.left = self.left, []
        return left

    def check_view(self) -> None:
        """As in the port: there is no other view."""

    def pack_count(self) -> int:
        """As in the port."""
        return self.packs

    def roll_up(self) -> None:
        """As in the port."""
        self.packs = 1

    def remember(self, confirmed: Mapping[Ref, Oid]) -> None:
        """As in the port."""
        self.confirmed = dict(confirmed)

    def remembered(self) -> dict[Ref, Oid] | None:
        """As in the port."""
        return self.confirmed
