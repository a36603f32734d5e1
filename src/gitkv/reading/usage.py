"""How much room values take, by the index and the trees of large values; and fetching the chunks of
many. No chunk is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from gitkv.ledger.index_line import LiveLine
from gitkv.ledger.view import scan_lines
from gitkv.model.key import encode_prefix
from gitkv.model.oid import BLOB, Oid
from gitkv.model.verdict import FormError
from gitkv.reading.lookup import at_revision, entry_of
from gitkv.reading.state import State, malformed
from gitkv.reading.stored import WINDOW_CHUNKS, StoredContent, require_trees, stored_content

_GROUP = 512


class Used(NamedTuple):
    """The room of one value. `size`: its bytes; `stored`: those of its pieces that no key before it
    has, uncompressed; `chunks`: how many it was cut into, 0 for a value that was not.
    """

    key: str
    size: int
    stored: int
    chunks: int


def usage(state: State, prefix: str = "", at: str = "") -> Iterator[Used]:
    """The room of the values of the unexpired keys that start with `prefix`, in order. Raises
    KeyInvalidError, UsageError, IntegrityError, and what fetching trees raises.
    """
    counted: set[Oid] = set()
    for line, content in contents_under(state, prefix, at):
        stored = 0
        if content is None:
            stored = 0 if line.oid in counted else line.size
            counted.add(line.oid)
        else:
            for chunk in content.chunks():
                stored += 0 if chunk.oid in counted else chunk.size
                counted.add(chunk.oid)
        key = entry_of(line).key
        yield Used(key, line.size, stored, 0 if content is None else content.manifest.chunks)


def contents_under(
    state: State, prefix: str, at: str
) -> Iterator[tuple[LiveLine, StoredContent | None]]:
    """The index lines of these keys, those of large values with their contents, whose trees are
    here, then.
    """
    commit = at_revision(state, at)
    lines = scan_lines(commit, encode_prefix(prefix), state.load)
    live = (line for line in lines if not line.is_expired(state.now_s))
    try:
        while group := list(islice(live, _GROUP)):
            large = [line for line in group if line.chunks]
            found = dict(zip([line.name for line in large], _contents(state, large), strict=True))
            yield from ((line, found.get(line.name)) for line in group)
    except FormError as error:
        raise malformed("index", commit, error) from None


def _contents(state: State, lines: Sequence[LiveLine]) -> list[StoredContent]:
    bodies = state.objects.read_many([line.oid for line in lines], BLOB) if lines else iter(())
    contents = [
        stored_content(state, entry_of(line).key, body, line.size)
        for line, body in zip(lines, bodies, strict=True)
    ]
    require_trees(contents)
    return contents


class Brought(NamedTuple):
    """What fetching ahead came to: keys of large values, and their chunks that were missing."""

    keys: int
    chunks: int


def bring_chunks(state: State, prefix: str = "", at: str = "") -> Brought:
    """Fetches what is missing of the large values of the unexpired keys that start with `prefix`,
    many chunks at once. Raises as `usage`, UnavailableError.
    """
    keys, chunks = 0, 0
    pending: dict[Oid, StoredContent] = {}
    for _, content in contents_under(state, prefix, at):
        if content is not None:
            keys += 1
            for oid in content.missing():
                pending[oid] = content
            if len(pending) >= WINDOW_CHUNKS:
                chunks += _bring(pending)
    return Brought(keys, chunks + _bring(pending))


def _bring(pending: dict[Oid, StoredContent]) -> int:
    count = len(pending)
    for content in list(pending.values())[:1]:
        content.bring_objects(list(pending))
    for content in dict.fromkeys(pending.values()):
        content.bring()  # all are here now, or one is named that is not
    pending.clear()
    return count
