"""How large values are cut, as a policy says it (spec/policy 5.7)."""

from __future__ import annotations

import pytest
from support.policy_texts import small

from gitkv.model.chunking import Chunking, parse_chunking
from gitkv.policy.text import PolicyTextError, parse_policy


def chunking_of(text: str) -> Chunking:
    policy = parse_policy(small(namespaces=f"main: {{writers: {{}}, chunks: {text}}}").encode())
    return policy.namespaces[0].chunking


def test_both_ways_of_cutting_can_be_asked_for() -> None:
    content = chunking_of("{min: 4KiB, average: 16KiB, max: 64KiB}")
    assert (content.text, content.is_fixed) == ("fastcdc-4096-16384-65536", False)
    fixed = chunking_of("{fixed: 16MiB}")
    assert (fixed.text, fixed.is_fixed) == ("fixed-16777216", True)
    assert chunking_of("{min: 8KiB, average: 8KiB, max: 8KiB}").text == "fixed-8192"
    for chunking in (content, fixed):
        assert parse_chunking(chunking.text) == chunking


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{average: 16KiB, max: 64KiB}", "expected min, average and max, or fixed alone"),
        ("{fixed: 1MiB, min: 4KiB}", "expected min, average and max, or fixed alone"),
        ("{}", "expected min, average and max, or fixed alone"),
        ("1MiB", "expected a mapping"),
        ("{min: 32KiB, average: 16KiB, max: 64KiB}", "expected min <= average <= max"),
        ("{min: 4097, average: 16KiB, max: 64KiB}", "expected multiples of 1024"),
        ("{min: 512, average: 16KiB, max: 64KiB}", "expected multiples of 1024"),
        ("{min: 4KiB, average: 16KiB, max: 17MiB}", "from 1 byte to 16MiB"),
        ("{min: 4KiB, average: 5MiB, max: 8MiB}", "an average of at most 4194304"),
        ("{min: 2MiB, average: 4MiB, max: 8MiB}", "a min of at most 1048576"),
        ("{fixed: 1MiB, most: 1}", 'unknown key "most"'),
    ],
)
def test_sizes_that_nothing_can_be_cut_by_are_refused(text: str, message: str) -> None:
    with pytest.raises(PolicyTextError) as caught:
        chunking_of(text)
    assert any(message in problem.message for problem in caught.value.errors)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "fixed-01024",
        "fixed-1024\n",
        "fixed-33554432",
        "fixed-1000",
        "fastcdc-1024-4096",
        "fastcdc-4096-4096-4096",
        "FASTCDC-1024-4096-16384",
        "fastcdc-٤096-4096-16384",
    ],
)
def test_parameters_have_one_spelling(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_chunking(text)
