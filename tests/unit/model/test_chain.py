"""A chain begins at any sequence number."""

from __future__ import annotations

import pytest

from gitkv.model.chain import Chain


def test_items_are_found_by_their_sequence_numbers() -> None:
    chain = Chain(100, "abc")
    assert (chain.at(100), chain.at(102), chain.last) == ("a", "c", "c")
    assert (chain.first_seq, chain.last_seq, chain.next_seq, len(chain)) == (100, 102, 103, 3)
    assert list(chain.items()) == [(100, "a"), (101, "b"), (102, "c")] and list(chain) == [*"abc"]
    assert (chain.seq_of("b"), chain.seq_of("x")) == (101, None)
    chain.append("d")
    assert chain.at(103) == "d"


@pytest.mark.parametrize("seq", [-1, 0, 2, 99, 103])
def test_no_other_number_finds_anything_by_accident(seq: int) -> None:
    chain = Chain(100, "abc")
    assert chain.get(seq) is None and not chain.has(seq)
    with pytest.raises(LookupError, match="expected 100 to 102"):
        chain.at(seq)


def test_a_part_ends_where_it_is_told_to() -> None:
    chain = Chain(100, "abc")
    assert list(chain.up_to(101)) == ["a", "b"] and chain.up_to(101).first_seq == 100
    assert not len(chain.up_to(99)) and not len(chain.up_to(3))
    assert list(chain.up_to(500)) == [*"abc"]


def test_an_empty_chain_has_no_last_item() -> None:
    chain: Chain[str] = Chain(7)
    assert (chain.last_seq, chain.next_seq) == (6, 7)
    with pytest.raises(LookupError):
        _ = chain.last
