"""The stores in memory, for tests and for callers who want to try rules without a disk. They pass
the contract suites of the real ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from gitkv.errors import ConflictError, IntegrityError, NotLeaderError
from gitkv.model.content import BytesContent
from gitkv.model.oid import COMMIT, OID_BYTES, ZERO_OID, Oid, hash_object
from gitkv.model.refs import Ref, RefUpdate
from gitkv.ports import Delivery, Lease, RefStore


class MemoryObjectStore:
    """ObjectStore over a dictionary."""

    def __init__(self) -> None:
        self._objects: dict[Oid, tuple[bytes, bytes]] = {}

    def add(self, kind: bytes, body: bytes) -> Oid:
        """Stores an object; its id."""
        oid = hash_object(kind, body)
        self._objects[oid] = kind, body
        return oid

    def all(self) -> Iterator[tuple[Oid, bytes, bytes]]:
        """Id, kind and body of every object."""
        return ((oid, kind, body) for oid, (kind, body) in list(self._objects.items()))

    def drop(self, oid: Oid) -> None:
        """Loses an object, as a damaged disk does."""
        del self._objects[oid]

    def replace(self, oid: Oid, kind: bytes, body: bytes) -> None:
        """Lets an id lead to another object, as a damaged disk or a liar does."""
        self._objects[oid] = kind, body

    def read(self, oid: Oid, kind: bytes) -> bytes:
        """The body of an object of this kind. Raises IntegrityError when it is missing or of
        another kind.
        """
        found, body = self._object(oid)
        if found != kind:
            raise IntegrityError(
                f"object {oid.hex()}: expected a {kind.decode()}, got a {found.decode()}"
            )
        return body

    def read_many(self, oids: Iterable[Oid], kind: bytes) -> Iterator[bytes]:
        """The bodies of these objects, in the order asked."""
        return (self.read(oid, kind) for oid in oids)

    def read_pieces(self, oid: Oid, kind: bytes) -> Iterator[bytes]:
        """The body in pieces of at most a mebibyte. Raises as `read`."""
        return BytesContent(self.read(oid, kind)).pieces()

    def sizes(self, oids: Iterable[Oid]) -> Iterator[int]:
        """Bytes of each object, in the order asked. Raises IntegrityError for a missing one."""
        return (len(self._object(oid)[1]) for oid in oids)

    def kinds(self, oids: Iterable[Oid]) -> Iterator[bytes | None]:
        """The kind of each object, in the order asked; None for a missing one."""
        return (self._objects[oid][0] if oid in self._objects else None for oid in oids)

    def has(self, oid: Oid) -> bool:
        """Whether the object is here."""
        return oid in self._objects

    def expand(self, abbreviation: str) -> Oid | None:
        """The one object id that starts so; None when there is none, or more than one."""
        found = [oid for oid in self._objects if oid.hex().startswith(abbreviation)]
        return found[0] if len(found) == 1 else None

    def _object(self, oid: Oid) -> tuple[bytes, bytes]:
        found = self._objects.get(oid)
        if found is None:
            raise IntegrityError(f"object {oid.hex()} is missing")
        return found


class MemoryRefStore:
    """RefStore over a dictionary."""

    def __init__(self, refs: Mapping[Ref, Oid] | None = None) -> None:
        self._refs: dict[Ref, Oid] = dict(refs or {})

    def read(self, ref: Ref) -> Oid | None:
        """The object id that a ref names; None when there is no such ref."""
        return self._refs.get(ref)

    def read_all(self, prefix: bytes = b"refs/") -> dict[Ref, Oid]:
        """All refs whose names start with `prefix`."""
        return {ref: oid for ref, oid in self._refs.items() if ref.startswith(prefix)}

    def move(self, updates: Sequence[RefUpdate]) -> None:
        """Moves all refs or none. Raises ConflictError when an `old` is not the current value."""
        after = dict(self._refs)
        if len({update.ref for update in updates}) != len(updates):
            raise ValueError("a ref is moved twice at once")
        for ref, old, new in updates:
            _check_shape(ref, old, new)
            actual = self._refs.get(ref, ZERO_OID)
            if actual != old:
                raise _conflict(ref, old.hex(), actual.hex())
            after[ref] = Oid(new)
        self._refs = _nested_nowhere({ref: oid for ref, oid in after.items() if oid != ZERO_OID})


def _check_shape(ref: bytes, old: bytes, new: bytes) -> None:
    if (
        not ref.startswith(b"refs/")
        or b"\n" in ref
        or b" " in ref
        or len(old) != OID_BYTES
        or len(new) != OID_BYTES
    ):
        raise ValueError(f"not a ref update: {ref[:80]!r}")


def _nested_nowhere(refs: dict[Ref, Oid]) -> dict[Ref, Oid]:
    for ref in refs:
        parts = ref.split(b"/")
        for depth in range(1, len(parts)):
            if Ref(b"/".join(parts[:depth])) in refs:
                raise _conflict(
                    ref,
                    "no ref above it",
                    b"/".join(parts[:depth]).decode("utf-8", "backslashreplace"),
                )
    return refs


def _conflict(ref: Ref, expected: str, actual: str) -> ConflictError:
    name = ref.decode("utf-8", "backslashreplace")
    return ConflictError(
        f"{name} has moved: expected {expected}, got {actual}", expected=expected, actual=actual
    )


class MemoryLease:
    """Lease that a test gives and takes."""

    def __init__(self) -> None:
        self.current, self.leads = 1, True

    def fence(self) -> int:
        """`current`. Raises NotLeaderError unless `leads`."""
        if not self.leads:
            raise NotLeaderError("another Stargate leads")
        return self.current


class MemoryJournal:
    """Journal over a store of objects and one of refs. `packs`: the objects, as (kind, body), that
    stand for a pack of that path.
    """

    def __init__(self, objects: MemoryObjectStore, refs: RefStore, lease: Lease) -> None:
        self._objects, self._refs, self._lease = objects, refs, lease
        self.packs: dict[str, Sequence[tuple[bytes, bytes]]] = {}
        self._fence_seen = 0
        self._begun: tuple[int, list[Oid], Delivery] | None = None

    def prepare(self, delivery: Delivery, fence: int) -> None:
        """As in the port: adds the objects of the pack and the commits."""
        self._check_not_older(fence)
        brought = list(self.packs.get(delivery.pack_path, ()))
        brought += [(COMMIT, body) for body in delivery.commits]
        new = [one for one in brought if not self._objects.has(hash_object(*one))]
        self._begun = fence, [self._objects.add(*one) for one in new], delivery

    def commit(self, fence: int) -> None:
        """As in the port; raises ValueError when nothing is prepared."""
        if self._begun is None:
            raise ValueError("nothing is prepared")
        if not fence == self._begun[0] == self._lease.fence():
            raise NotLeaderError("the leadership has changed")
        self._refs.move(self._begun[2].updates)

    def finish(self) -> None:
        """As in the port."""
        begun, self._begun = self._begun, None
        for oid in begun[2].dropped if begun is not None else ():
            self._objects.drop(oid)

    def abort(self) -> None:
        """As in the port: drops the objects that were new."""
        begun, self._begun = self._begun, None
        for oid in begun[1] if begun is not None else ():
            self._objects.drop(oid)

    def recover(self, fence: int) -> str:
        """As in the port."""
        self._check_not_older(fence)
        if self._begun is None:
            return ""
        if self._begun[0] > fence:
            raise NotLeaderError("a later leader is at work")
        updates = self._begun[2].updates
        if all((self._refs.read(ref) or ZERO_OID) == old for ref, old, _ in updates):
            self.abort()
            return "back"
        self.finish()
        return "forward"

    def _check_not_older(self, fence: int) -> None:
        if fence < self._fence_seen:
            raise NotLeaderError("the leadership is over")
        self._fence_seen = fence
