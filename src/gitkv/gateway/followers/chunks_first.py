"""Chunks for a mirror that takes only so much in one push: they go first, in several pushes, and
the refs that readers follow come with the last, as always all or none.

What has come already hangs on refs of its own, `refs/kv-staging/<ns>/<n>`, each of which names a
tree of chunks: git sends nothing that a tree shown by the other side reaches. They are the same
after a crash, so what has arrived is not sent again, and they go when the ledger has come.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gitkv.errors import UnavailableError
from gitkv.ledger.roots import open_chunks
from gitkv.ledger.tree_diff import differences
from gitkv.model.chunk_tree import parse_value_tree
from gitkv.model.commit import parse_commit
from gitkv.model.configuration import MirrorTiming
from gitkv.model.oid import BLOB, COMMIT, EMPTY_TREE, TREE, Oid, hash_object
from gitkv.model.refs import CHUNKS, STAGING, Ref
from gitkv.ports import PUSHED, UP_TO_DATE, History, ObjectStore, PushStatus, Remote

_SLOWEST_BYTES_A_S = 1 << 20
_ENTRIES_MAX = 50_000  # of one tree: below 2 MB


class ChunksFirst:
    """Sends chunks ahead to one mirror."""

    def __init__(
        self,
        objects: ObjectStore,
        history: History,
        remote: Remote,
        timing: MirrorTiming,
    ) -> None:
        self._objects, self._history = objects, history
        self._remote, self._timing = remote, timing
        self._staged: list[Ref] = []

    def send(self, refs: Mapping[Ref, Oid], confirmed: Mapping[Ref, Oid]) -> None:
        """Sends what is too much for the push that moves `refs`. Raises UnavailableError when the
        mirror does not take it.
        """
        for ref, after in refs.items():
            if ref.startswith(CHUNKS) and confirmed.get(ref) != after:
                self._send(ref, confirmed.get(ref), after)

    def clear(self) -> None:
        """Removes what came ahead, once the ledger is there. Raises UnavailableError."""
        staged, self._staged = self._staged, []
        if staged:
            self._drop(staged)

    def timeout_s(self) -> float:
        """For a push of as much as one may bring."""
        return self._timing.push_timeout_s + self._timing.push_bytes / _SLOWEST_BYTES_A_S

    def _send(self, ref: Ref, known: Oid | None, after: Oid) -> None:
        if not self._is_much(known, after):
            return
        theirs = self._remote.refs(timeout_s=self._timing.look_timeout_s)
        there = theirs.get(ref)
        before = there if there is not None and self._objects.has(there) else None
        start = STAGING + ref.removeprefix(CHUNKS).rpartition(b"@")[0] + b"/"
        self._staged += [other for other in theirs if other.startswith(start)]
        if not self._is_much(before, after):
            return
        for number, chunks in enumerate(self._batches(before, after)):
            staging = Ref(b"%b%d" % (start, number))
            body = b"".join([b"100644 %06x\0%b" % (at, oid) for at, oid in enumerate(chunks)])
            if theirs.get(staging) == hash_object(TREE, body):
                continue
            if staging in theirs:  # of another plan: a tree never moves on to another
                self._drop([staging])
            else:
                self._staged.append(staging)
            _require(staging, self._remote.stage(staging, body, timeout_s=self.timeout_s()))

    def _is_much(self, before: Oid | None, after: Oid) -> bool:
        """Whether the values that are new may be more than one push takes."""
        old, new = (self._store(commit) for commit in (before, after))
        total = 0
        for found in differences(open_chunks(old, self._load), open_chunks(new, self._load)):
            if found.new is not None:
                groups = parse_value_tree(self._load(Oid(found.new), TREE))
                total += sum(group.size for group in groups)
                if total > self._timing.push_bytes:
                    return True
        return False

    def _store(self, commit: Oid | None) -> Oid | None:
        if commit is None:
            return None
        tree = parse_commit(self._load(commit, COMMIT)).tree
        return None if tree == EMPTY_TREE else tree

    def _batches(self, before: Oid | None, after: Oid) -> Iterator[list[Oid]]:
        """The new chunks, in runs that one push takes."""
        run: list[Oid] = []
        held = 0
        for oid, size in self._new_chunks(before, after):
            if run and (held + size > self._timing.push_bytes or len(run) == _ENTRIES_MAX):
                yield run
                run, held = [], 0
            run.append(oid)
            held += size
        yield run

    def _new_chunks(self, before: Oid | None, after: Oid) -> Iterator[tuple[Oid, int]]:
        new = list(self._history.reachable([after], [] if before is None else [before]))
        kinds = self._objects.kinds(new)
        blobs = [oid for oid, kind in zip(new, kinds, strict=True) if kind == BLOB]
        yield from zip(blobs, self._objects.sizes(blobs), strict=True)

    def _drop(self, refs: Sequence[Ref]) -> None:
        for ref, status in self._remote.drop(refs, timeout_s=self._timing.push_timeout_s).items():
            _require(ref, status)

    def _load(self, oid: Oid, kind: bytes) -> bytes:
        return self._objects.read(oid, kind)


def _require(ref: Ref, status: PushStatus) -> None:
    if status.state not in (PUSHED, UP_TO_DATE):
        raise UnavailableError(f"{ref.decode()}: {status.state} {status.reason}".rstrip())
