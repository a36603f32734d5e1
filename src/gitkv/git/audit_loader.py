"""What the audit reads, from any object store: the same bodies, with a missing object told as LookupError, which the audit judges."""

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
        return self._read(oid, TREE)

    def blob(self, oid: Oid) -> bytes:
        return self._read(oid, BLOB)

    def sizes(self, oids: Sequence[Oid]) -> Sequence[int]:
        try:
            return list(self._objects.sizes(oids))
        except IntegrityError as error:
            raise LookupError(str(error)) from error

    def blobs(self, oids: Sequence[Oid]) -> Iterator[bytes]:
        try:
            yield from self._objects.read_many(oids, BLOB)
        except IntegrityError as error:
            raise LookupError(str(error)) from error

    def _read(self, oid: Oid, kind: bytes) -> bytes:
        try:
            return self._objects.read(oid, kind)
        except IntegrityError as error:
            raise LookupError(str(error)) from error
