"""What a set of puts would do to a state."""

from __future__ import annotations

from collections.abc import Mapping

from gitkv.ledger.index_line import parse_live
from gitkv.ledger.roots import open_index
from gitkv.model.content import Put
from gitkv.model.key import encode_key
from gitkv.model.oid import BLOB, hash_object
from gitkv.model.verdict import FormError
from gitkv.reading.state import State, malformed


def compare_puts(state: State, puts: Mapping[str, Put]) -> dict[str, int]:
    """How many keys would be "new", "changed" and the "same". Reads the index alone. Raises
    KeyInvalidError, IntegrityError.
    """
    wanted = sorted(((encode_key(key), put) for key, put in puts.items()), key=lambda two: two[0])
    live = open_index(state.tip.attestation.index_tree, state.load).live
    counts = {"new": 0, "changed": 0, "same": 0}
    try:
        lines = live.get_many([name for name, _ in wanted])
        for (_, put), text in zip(wanted, lines, strict=True):
            if text is None:
                counts["new"] += 1
                continue
            line = parse_live(text)
            value = put.value if isinstance(put.value, bytes) else b"".join(put.value.pieces())
            held = (line.oid, line.ctype, line.expires)
            is_same = held == (hash_object(BLOB, value), put.ctype, put.expires)
            counts["same" if is_same else "changed"] += 1
    except FormError as error:
        raise malformed("index", state.tip, error) from None
    return counts
