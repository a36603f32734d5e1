"""What the audit reads, from any object store: the same bodies, with a missing object told as
LookupError, which the audit judges.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gitkv.errors import IntegrityError
from gitkv.model.oid import BLOB, TREE, Oid
from gitkv.ports import ObjectStore


class AuditLoader:
    """The audit's `Loader` over an ObjectStore."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def tree(self, oid: Oid) -> bytes:
        """The body of a tree object. Raises LookupError when it is missing or damaged."""
        try:
            return self._objects.read(oid, TREE)
        except IntegrityError as error:
            raise LookupError(str(error)) from error

    def sizes(self, oids: Sequence[Oid]) -> Sequence[int]:
        """Bytes of each blob, in the order asked."""
        try:
            return list(self._objects.sizes(oids))
        except IntegrityError as error:
            raise LookupError(str(error)) from error

    def trees(self, oids: Sequence[Oid]) -> Iterator[bytes]:
        """The bodies of these trees, in the order asked."""
        return self._read_many(oids, TREE)

    def blobs(self, oids: Sequence[Oid]) -> Iterator[bytes]:
        """The bodies of these blobs, in the order asked."""
        return self._read_many(oids, BLOB)

    def _read_many(self, oids: Sequence[Oid], kind: bytes) -> Iterator[bytes]:
        try:
            yield from self._objects.read_many(oids, kind)
        except IntegrityError as error:
            raise LookupError(str(error)) from error
