"""A key is one for ever: which code points it may hold does not depend on the reader's Unicode."""

from __future__ import annotations

import runpy
import sys
import unicodedata
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gitkv.audit.lines import is_key_name
from gitkv.errors import KeyInvalidError
from gitkv.model.key import decode_name, encode_key, is_name
from gitkv.model.unicode14 import RUNS, first_unassigned

ROOT = Path(__file__).parents[3]
LATER = {
    "15.0": "\u0cf3\U0001e08f\U0001fae8\U00031350",
    "15.1": "\u2ffc\u31ef\U0002ebf0",
    "16.0": "\u1c89\ua7da\U000105c9\U0001cc00\U00016d40",
    "17.0": "\U00010940\U000323b0",
}
NONCHARACTERS = "\ufdd0\ufdef\ufffe\uffff\U0001fffe\U0010ffff"
PRIVATE_USE = "\ue000\uf8ff\U000f0000\U0010fffd"
_NAMES = st.lists(
    st.sampled_from([b"a", b".", b"%", b"%2E", b"%C3%A9", b"%CC%81", b"%F0%9F%AB%A8", b"%EF%BF%BE"])
    | st.integers(0, 255).map(lambda byte: b"%%%02X" % byte)
    | st.binary(max_size=2),
    max_size=6,
).map(b"".join)


def _escaped(text: str) -> bytes:
    return b"".join([b"%%%02X" % byte for byte in text.encode("utf-8", "surrogatepass")])


@pytest.mark.parametrize("key", [b"cfg:a", 3, None, Path("cfg:a")])
def test_a_key_of_another_type_is_named_as_what_it_is(key: object) -> None:
    with pytest.raises(KeyInvalidError, match=f"expected str, got {type(key).__name__}"):
        encode_key(key)  # type: ignore[arg-type]


def test_the_table_is_that_of_unicode_14() -> None:
    bounds = list(accumulate(int(length, 36) for length in RUNS.split()))
    assert bounds[-1] == sys.maxunicode + 1
    for point in range(sys.maxunicode + 1):
        char = chr(point)
        is_assigned = not first_unassigned(char)
        if unicodedata.unidata_version == "14.0.0":
            assert is_assigned == (unicodedata.category(char) != "Cn"), hex(point)
        elif is_assigned:  # what is assigned stays so
            assert unicodedata.category(char) != "Cn", hex(point)


@pytest.mark.skipif(unicodedata.unidata_version != "14.0.0", reason="needs the Unicode of 3.11")
def test_the_table_is_what_its_generator_writes() -> None:
    names = runpy.run_path(str(ROOT / "tools" / "write_unicode_table.py"))
    assert names["table"]() == names["TABLE"].read_text("utf-8")


@pytest.mark.parametrize("char", [*"".join(LATER.values()), "\u0378", "\U000e0000", *NONCHARACTERS])
def test_a_key_with_a_code_point_of_a_later_unicode_is_none(char: str) -> None:
    with pytest.raises(KeyInvalidError, match="Unicode 14"):
        encode_key("a" + char)
    name = b"a" + b"".join([b"%%%02X" % byte for byte in char.encode()])
    assert not is_name(name)
    assert not is_key_name(name)


def test_a_key_that_a_later_unicode_would_reorder_is_none() -> None:
    """U+1E08F became a combining mark above in 15.0, which belongs after a dot below."""
    with pytest.raises(KeyInvalidError, match=r"U\+1E08F"):
        encode_key("a\U0001e08f\u0323")


@pytest.mark.parametrize("char", [*PRIVATE_USE, "\ufffd", "é", "日", "\U0001f600", "\u200d"])
def test_private_use_and_everything_assigned_may_stand_in_a_key(char: str) -> None:
    name = encode_key(char)
    assert decode_name(name) == char
    assert is_key_name(name)


def test_halves_of_surrogate_pairs_are_no_text() -> None:
    with pytest.raises(KeyInvalidError, match="UTF-8"):
        encode_key("\ud800")
    assert not is_name(b"%ED%A0%80")
    assert not is_key_name(b"%ED%A0%80")


@given(_NAMES | st.text(max_size=4).map(_escaped))
@example(b"%2E")
@example(b".a")
@example(b"%2e")
@example(b"%61")
@example(b"a%")
def test_both_readers_know_the_same_names(name: bytes) -> None:
    assert is_name(name) == is_key_name(name)
