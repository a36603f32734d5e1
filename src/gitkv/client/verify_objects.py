"""What verification reads: lines of commits, and objects whose bodies hash to the ids they are
asked by.

git checks ids when a pack arrives, not when an object is read: a disk, or somebody at it, may have
changed one since.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gitkv.client.replica import Replica
from gitkv.errors import IntegrityError
from gitkv.git.audit_loader import AuditLoader
from gitkv.git.object_store import GitObjectStore
from gitkv.git.process import failure
from gitkv.model.oid import BLOB, COMMIT, OID_HEX, TREE, Oid, hash_object, parse_oid

_GROUP_BYTES = 8 << 20


def line_to(replica: Replica, tip: Oid) -> list[Oid]:
    """The commits from the first to `tip`, as git follows first parents; whether each names the one
    before it is the audit's question.

    Raises IntegrityError when one is missing or unreadable.

    """
    done = replica.git.run(
        "-c",
        "core.commitGraph=false",
        "rev-list",
        "--first-parent",
        "--reverse",
        tip.hex(),
        "--",
        check=False,
    )
    if done.code != 0:
        raise IntegrityError(
            f"commits before {tip.hex()} cannot be followed: {failure('rev-list', done)}",
            hint="run: git fsck",
        )
    found = [
        parse_oid(done.stdout[at : at + OID_HEX]) for at in range(0, len(done.stdout), OID_HEX + 1)
    ]
    if not found or found[-1] != tip:
        raise IntegrityError(f"the line of commits to {tip.hex()} does not end there")
    return found


def commits_of(replica: Replica, line: Iterable[Oid]) -> Iterator[tuple[Oid, bytes]]:
    """Ids and bodies; the bodies come in groups. Raises IntegrityError for one that is missing."""
    ids = list(line)
    return zip(ids, replica.objects.read_many(ids, COMMIT), strict=True)


class ProvedObjects:
    """The audit's `Loader`, and a Load of the rules, over an object store that is not believed."""

    def __init__(self, objects: GitObjectStore) -> None:
        self._objects = objects
        self._loader = AuditLoader(objects)

    def load(self, oid: Oid, kind: bytes) -> bytes:
        """Raises IntegrityError."""
        body = self._objects.read(oid, kind)
        if hash_object(kind, body) != oid:
            raise IntegrityError(_lie(oid, kind, body))
        return body

    def tree(self, oid: Oid) -> bytes:
        return _proved(oid, TREE, self._loader.tree(oid))

    def sizes(self, oids: Sequence[Oid]) -> Sequence[int]:
        """The audit asks for the sizes of everything a transaction sets: here each is read to the
        end, some megabytes at a time.
        """
        sizes = self._loader.sizes(oids)
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
        return (
            _proved(oid, TREE, body)
            for oid, body in zip(oids, self._loader.trees(oids), strict=True)
        )

    def blobs(self, oids: Sequence[Oid]) -> Iterator[bytes]:
        return (
            _proved(oid, BLOB, body)
            for oid, body in zip(oids, self._loader.blobs(oids), strict=True)
        )

    def _read_through(self, oids: Sequence[Oid]) -> None:
        for _ in self.blobs(oids):
            pass


def _proved(oid: Oid, kind: bytes, body: bytes) -> bytes:
    if hash_object(kind, body) != oid:
        raise LookupError(_lie(oid, kind, body))
    return body


def _lie(oid: Oid, kind: bytes, body: bytes) -> str:
    return f"{kind.decode()} {oid.hex()} holds what hashes to {hash_object(kind, body).hex()}"
