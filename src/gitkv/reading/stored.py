"""Large values on their way out: the chunks of a part, in order, each hashed before a byte of it is
given. Only some chunks are held at a time.

Where missing chunks come from is left to others: `bring` is asked for many at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from gitkv.errors import IntegrityError
from gitkv.ledger.chunks import chunks_between
from gitkv.model.chunk_tree import Chunk
from gitkv.model.manifest import Manifest, parse_manifest
from gitkv.model.oid import BLOB, Oid
from gitkv.model.verdict import FormError
from gitkv.ports import ObjectStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gitkv.reading.state import State

Bring = Callable[[Sequence[Oid]], None]

WINDOW_CHUNKS = 4096  # looked for, and brought, in one go: a gibibyte of chunks of the usual size


def bring_nothing(oids: Sequence[Oid]) -> None:
    """Bring, where there is nowhere to bring anything from."""


class StoredContent:
    """The content of a large value in a store; a Content that can also give a part."""

    def __init__(
        self, key: str, manifest: Manifest, objects: ObjectStore, bring: Bring = bring_nothing
    ) -> None:
        """`key`: for messages; `bring`: fetches these objects into `objects`, as far as it can."""
        self.manifest = manifest
        self._key, self._objects, self.bring_objects = key, objects, bring

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.manifest.size

    def pieces(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` up to `stop` (None: the end), all proved by the digests of their
        chunks; of the whole value by its own digest, too, before the last piece is given.

        Raises IntegrityError, which names key and chunk, for one that is missing or wrong.
        """
        end = self.size if stop is None else min(stop, self.size)
        is_whole = start == 0 and end == self.size
        prover = _Whole(self._key, self.manifest) if is_whole else None
        held: bytes | None = None
        for at, chunk, body in self._bodies(start, end):
            if held is not None:
                yield held
            self._prove(at, chunk, body)
            if prover is not None:
                prover.update(body)
            held = body[max(start - at, 0) : end - at]
        if prover is not None:
            prover.finish()
        if held is not None:
            yield held

    def has_tree(self) -> bool:
        """Whether it is known here which chunks the value has."""
        return self._objects.has(self.manifest.tree)

    def missing(self, start: int = 0, stop: int | None = None) -> Iterator[Oid]:
        """The chunks of this part that are not here."""
        for window in self._windows(start, self.size if stop is None else stop):
            yield from self._missing(window)

    def bring(self, start: int = 0, stop: int | None = None) -> int:
        """Fetches the chunks of this part that are missing; how many these were. Raises
        IntegrityError when one cannot be had, and what fetching raises.
        """
        count = 0
        for window in self._windows(start, self.size if stop is None else stop):
            count += self._complete(window)
        return count

    def chunks(self) -> Iterator[Chunk]:
        """All chunks, in order, as the trees list them."""
        return (chunk for window in self._windows(0, self.size) for _, chunk in window)

    def _bodies(self, start: int, stop: int) -> Iterator[tuple[int, Chunk, bytes]]:
        for window in self._windows(start, stop):
            self._complete(window)
            try:
                bodies = self._objects.read_many([chunk.oid for _, chunk in window], BLOB)
                for (at, chunk), body in zip(window, bodies, strict=True):
                    yield at, chunk, body
            except IntegrityError as error:
                raise IntegrityError(f"value of {self._key}: {error}", hint=error.hint) from None

    def _windows(self, start: int, stop: int) -> Iterator[list[tuple[int, Chunk]]]:
        try:
            if not self.has_tree():
                self.bring_objects([self.manifest.tree])  # with all below it but the chunks
            found = chunks_between(self.manifest, start, stop, self._objects.read)
            while window := list(islice(found, WINDOW_CHUNKS)):
                yield window
        except (FormError, IntegrityError) as error:
            raise IntegrityError(f"value of {self._key}: {error}") from None

    def _complete(self, window: list[tuple[int, Chunk]]) -> int:
        absent = self._missing(window)
        if absent:
            self.bring_objects(absent)
            self._require(window)
        return len(absent)

    def _missing(self, window: list[tuple[int, Chunk]]) -> list[Oid]:
        oids = list(dict.fromkeys([chunk.oid for _, chunk in window]))
        kinds = self._objects.kinds(oids)
        return [oid for oid, kind in zip(oids, kinds, strict=True) if kind is None]

    def _require(self, window: list[tuple[int, Chunk]]) -> None:
        absent = set(self._missing(window))
        for at, chunk in window:
            if chunk.oid in absent:
                raise IntegrityError(f"value of {self._key}: {_name(at, chunk)} is missing")

    def _prove(self, at: int, chunk: Chunk, body: bytes) -> None:
        from blake3 import blake3  # of no use to whoever reads a small value

        if len(body) != chunk.size:
            raise IntegrityError(
                f"value of {self._key}: {_name(at, chunk)}: expected {chunk.size} bytes, got "
                f"{len(body)}"
            )
        digest = blake3(body).digest()
        if digest != chunk.blake3:
            raise IntegrityError(
                f"value of {self._key}: {_name(at, chunk)}: expected BLAKE3 {chunk.blake3.hex()}, "
                f"got {digest.hex()}"
            )


def require_trees(contents: Sequence[StoredContent]) -> None:
    """Fetches the trees of these values that are not here, in one go."""
    trees = {content.manifest.tree: content for content in contents}
    absent = [oid for oid, content in trees.items() if not content.has_tree()]
    if absent:
        trees[absent[0]].bring_objects(absent)


def stored_content(state: State, key: str, body: bytes, size: int) -> StoredContent:
    """The content that a manifest with this body stands for, which has `size` bytes by the index.
    Raises IntegrityError.
    """
    try:
        manifest = parse_manifest(body)
    except FormError as error:
        raise IntegrityError(f"value of {key}: {error}") from None
    if manifest.size != size:
        raise IntegrityError(
            f"value of {key}: expected {size} bytes as the index says, got a manifest of "
            f"{manifest.size}"
        )
    if state.chunks is None:
        return StoredContent(key, manifest, state.objects)
    return StoredContent(key, manifest, *state.chunks())


class _Whole:
    """Proves that the chunks together are the value that the manifest names."""

    def __init__(self, key: str, manifest: Manifest) -> None:
        from blake3 import blake3

        self._key, self._manifest, self._digest, self._size = key, manifest, blake3(), 0

    def update(self, body: bytes) -> None:
        self._digest.update(body)
        self._size += len(body)

    def finish(self) -> None:
        """Raises IntegrityError unless all was seen and is right."""
        if self._size != self._manifest.size:
            raise IntegrityError(
                f"value of {self._key}: expected {self._manifest.size} bytes, got {self._size}"
            )
        if self._digest.digest() != self._manifest.blake3:
            raise IntegrityError(
                f"value of {self._key}: expected BLAKE3 {self._manifest.blake3.hex()}, got "
                f"{self._digest.hexdigest()}"
            )


def _name(at: int, chunk: Chunk) -> str:
    return f"chunk {chunk.oid.hex()} at byte {at}"
