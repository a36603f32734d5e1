"""Which keys have expired: found in the pages of the index, where each line says until when it
holds. Only the lines of expired keys are parsed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gitkv.ledger.index_line import LiveLine, parse_live
from gitkv.ledger.roots import open_index
from gitkv.ledger.view import prefix_end
from gitkv.model.key import encode_prefix
from gitkv.model.oid import BLOB
from gitkv.model.verdict import FormError
from gitkv.reading.answers import Entry
from gitkv.reading.lookup import entry_of
from gitkv.reading.state import State, malformed

# Names hold no quote, and content types escape it: what is found is always a member of its line.
_EXPIRES = re.compile(rb'"expires":([0-9]{1,12}),')


def expired_entries(state: State, prefix: str = "") -> Iterator[Entry]:
    """Keys that start with `prefix` and have expired at the state's time, in order. Cost: the pages
    below the prefix. Raises KeyInvalidError, IntegrityError.
    """
    return map(entry_of, _expired_lines(state, encode_prefix(prefix)))


def _expired_lines(state: State, start: bytes) -> Iterator[LiveLine]:
    stop = prefix_end(start)
    live = open_index(state.tip.attestation.index_tree, state.load).live
    try:
        pages = list(live.leaves_between(start, stop))
        for page in state.objects.read_many(pages, BLOB):
            for line in _lines_that_end(page, state.now_s):
                if line.name >= start and (stop is None or line.name < stop):
                    yield line
    except FormError as error:
        raise malformed("index", state.tip, error) from None


def _lines_that_end(page: bytes, now_s: int) -> Iterator[LiveLine]:
    for found in _EXPIRES.finditer(page):
        if int(found[1]) <= now_s:
            begin = page.rfind(b"\n", 0, found.start()) + 1
            end = page.find(b"\n", found.end()) + 1
            yield parse_live(page[begin:end])
