"""What verification reads: lines of commits, and objects whose bodies hash to the ids they are
asked by.

git checks ids when a pack arrives, not when an object is read: a disk, or somebody at it, may have
changed one since. Lines are followed through the commits' own bytes, so neither replaced objects
nor grafts show another history.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from gitkv.errors import GitKvError, IntegrityError, UnavailableError
from gitkv.model.oid import BLOB, COMMIT, OID_HEX, TREE, Oid, hash_object, parse_oid
from gitkv.model.verdict import INTEGRITY, FormError, reason
from gitkv.ports import ObjectStore

_GROUP_BYTES = 8 << 20
_MISSING_MAX = 20
_LOST = (IntegrityError, UnavailableError)  # the latter: of a partial clone, which lacks it
_TREE_LINE = len(b"tree \n") + OID_HEX
_PARENT_LINE = len(b"parent \n") + OID_HEX


class ProvedObjects:
    """The audit's `Loader`, and a Load of the rules, over an object store that is not believed.

    `missing`: objects that were asked for and are not there, the first few.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self.missing: list[Oid] = []

    def load(self, oid: Oid, kind: bytes) -> bytes:
        """Raises IntegrityError."""
        try:
            body = self._objects.read(oid, kind)
        except _LOST as error:
            raise self._lost([oid], error) from None
        return _proved(oid, kind, body)

    def commits(self, line: Iterable[Oid]) -> Iterator[tuple[Oid, bytes]]:
        """Ids and bodies, unproved, read in groups. Raises IntegrityError for a missing one."""
        ids = list(line)
        return zip(ids, self._read_many(ids, COMMIT), strict=True)

    def tree(self, oid: Oid) -> bytes:
        """The body of a tree object, proved by its id. Raises LookupError."""
        try:
            return self.load(oid, TREE)
        except IntegrityError as error:
            raise LookupError(str(error)) from error

    def sizes(self, oids: Sequence[Oid]) -> Sequence[int]:
        """The audit asks for the sizes of everything a transaction sets: here each is read to the
        end, some megabytes at a time.
        """
        try:
            sizes = list(self._objects.sizes(oids))
        except _LOST as error:
            raise LookupError(str(self._lost(oids, error))) from error
        group: list[Oid] = []
        held = 0
        for oid, size in zip(oids, sizes, strict=True):
            if group and held + size > _GROUP_BYTES:
                self._read_through(group)
                group, held = [], 0
            group.append(oid)
            held += size
        self._read_through(group)
        return sizes

    def trees(self, oids: Sequence[Oid]) -> Iterator[bytes]:
        """The bodies of these trees, proved, in the order asked. Raises LookupError."""
        return self._proved_many(oids, TREE)

    def blobs(self, oids: Sequence[Oid]) -> Iterator[bytes]:
        """The bodies of these blobs, proved, in the order asked. Raises LookupError."""
        return self._proved_many(oids, BLOB)

    def _read_through(self, oids: Sequence[Oid]) -> None:
        for _ in self.blobs(oids):
            pass

    def _proved_many(self, oids: Sequence[Oid], kind: bytes) -> Iterator[bytes]:
        try:
            for oid, body in zip(oids, self._read_many(oids, kind), strict=True):
                yield _proved(oid, kind, body)
        except IntegrityError as error:
            raise LookupError(str(error)) from error

    def _read_many(self, oids: Sequence[Oid], kind: bytes) -> Iterator[bytes]:
        try:
            yield from self._objects.read_many(oids, kind)
        except _LOST as error:
            raise self._lost(oids, error) from None

    def _lost(self, oids: Iterable[Oid], error: GitKvError) -> IntegrityError:
        """Notes which of the objects are missing; what to raise."""
        absent = list(islice((oid for oid in oids if not self._has(oid)), _MISSING_MAX))
        self.missing += absent[: _MISSING_MAX - len(self.missing)]
        if absent:
            return IntegrityError(f"object {absent[0].hex()} is missing")
        return IntegrityError(str(error), hint=error.hint)

    def _has(self, oid: Oid) -> bool:
        try:
            return self._objects.has(oid)
        except UnavailableError:
            return False


def _proved(oid: Oid, kind: bytes, body: bytes) -> bytes:
    if hash_object(kind, body) != oid:
        raise IntegrityError(
            f"{kind.decode()} {oid.hex()} holds what hashes to {hash_object(kind, body).hex()}"
        )
    return body


class Sighting(NamedTuple):
    """A ref of this repository that somebody's tip was seen by, and the commit it names."""

    ref: str
    tip: Oid


def first_parent(body: bytes) -> Oid | None:
    """Of a commit in any form git takes. Raises ValueError for anything else."""
    if not body.startswith(b"tree ") or body[_TREE_LINE - 1 : _TREE_LINE] != b"\n":
        raise ValueError("not a commit: it does not begin with a tree")
    line = body[_TREE_LINE : _TREE_LINE + _PARENT_LINE]
    if not line.startswith(b"parent "):
        return None
    return parse_oid(line[len(b"parent ") : -1])


def line_to(tip: Oid, objects: ProvedObjects) -> list[Oid]:
    """The commits from the first to `tip`, oldest first, by first parents.

    Raises IntegrityError when one is missing or unreadable.
    """
    return _back(tip, objects, {})[1]


def one_line(sightings: Sequence[Sighting], objects: ProvedObjects) -> list[Oid]:
    """The one line, oldest first, that all these tips stand on; empty without a sighting.

    Raises FormError when two of them contradict each other, IntegrityError when a commit is
    missing.
    """
    line: list[Oid] = []
    places: dict[Oid, int] = {}
    for ref, tip in sightings:
        met, more = _back(tip, objects, places)
        if not more:
            continue
        if line and met != line[-1]:
            expected = f"one line of commits with {line[-1].hex()}, as {sightings[0].ref} shows"
            raise FormError(reason(INTEGRITY, "remote.forked", ref, expected, tip.hex()))
        places |= {oid: place for place, oid in enumerate(more, len(line))}
        line += more
    return line


def _back(tip: Oid, objects: ProvedObjects, known: dict[Oid, int]) -> tuple[Oid | None, list[Oid]]:
    """The known commit that the line to `tip` leads back to, None for none, and what comes after
    it, oldest first.
    """
    found: list[Oid] = []
    at: Oid | None = tip
    while at is not None and at not in known:
        found.append(at)
        try:
            at = first_parent(objects.load(at, COMMIT))
        except ValueError as broken:
            raise IntegrityError(f"the line of commits to {tip.hex()}: {broken}") from None
        except IntegrityError as error:
            raise IntegrityError(
                f"the line of commits to {tip.hex()} cannot be followed: {error}"
            ) from None
    return at, found[::-1]
