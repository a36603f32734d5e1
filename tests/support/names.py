"""Names of keys for properties: ordinary ones, and those chosen to strain the ordered tree's
cuts.
"""

from __future__ import annotations

from functools import cache
from itertools import count, islice

from hypothesis import strategies as st
from support.naive_store import is_low

from gitkv.model.key import encode_key


@cache
def low_names(number: int = 400) -> tuple[bytes, ...]:
    """Names that each ask for a cut before them, on level 0 and on level 1."""
    found = (
        name for name in (b"low%d" % n for n in count()) if is_low(0, name) and is_low(1, name)
    )
    return tuple(sorted(islice(found, number // 10))) + tuple(
        sorted(
            islice((name for name in (b"cut%d" % n for n in count()) if is_low(0, name)), number)
        )
    )


@cache
def flat_names(number: int = 1400) -> tuple[bytes, ...]:
    """Names that never ask for a cut on level 0: only the limit of 512 cuts them."""
    return tuple(
        sorted(
            islice(
                (name for name in (b"flat%d" % n for n in count()) if not is_low(0, name)), number
            )
        )
    )


_TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=12
)


def _encodable(text: str) -> bool:
    try:
        encode_key(text)
    except ValueError:
        return False
    return True


# Neighbours in Git's order and ours: "!" and "/" are what Git's own comparison of tree entries
# turns on.
_CLOSE = st.sampled_from(
    [
        "a",
        "a!",
        "a!!",
        "a/",
        "a+",
        "a,",
        "a-",
        "a.",
        "a0",
        "a b",
        "a%",
        "a%2F",
        "a%21",
        ".a",
        "..",
        ".git",
        ".",
        "é",
        "a" * 240,
    ]
)
ordinary = st.integers(0, 700).map(lambda n: bytes(encode_key(f"cfg/{n:04d}")))
names = st.one_of(
    ordinary,
    st.one_of(_CLOSE, _TEXTS.filter(_encodable)).map(lambda text: bytes(encode_key(text))),
    st.sampled_from(low_names()),
    st.sampled_from(flat_names()),
)
runs = st.one_of(
    st.tuples(st.just(low_names()), st.integers(0, 400), st.sampled_from([8, 9, 30, 200])),
    st.tuples(st.just(flat_names()), st.integers(0, 900), st.sampled_from([8, 505, 513, 1100])),
).map(lambda run: run[0][run[1] : run[1] + run[2]])
"""Many neighbours at once, of the kinds that strain the cuts."""
