"""The parser: options anywhere, values that begin with a dash, and forms that are checked before
anything is done.
"""

from __future__ import annotations

import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkv.cli.arguments import Parser, content_type, count, duration, oid, ttl
from gitkv.cli.commands import load_parser
from gitkv.errors import UsageError
from gitkv.model.duration import TTL_S_MAX


def _parser() -> Parser:
    parser = Parser(prog="git kv set", usage="git kv set KEY [VALUE]")
    parser.add_argument("key")
    parser.add_argument("value", nargs="?")
    parser.add_argument("--ctype")
    parser.add_argument("-m", "--message", default="")
    parser.add_argument("--if-absent", action="store_true")
    return parser


@pytest.mark.parametrize(
    "words",
    [
        ["k", "v", "--ctype", "t"],
        ["k", "--ctype", "t", "v"],
        ["--ctype=t", "k", "v"],
        ["--ctype", "t", "--", "k", "v"],
        ["k", "--ctype", "t", "--", "v"],
    ],
)
def test_an_option_may_stand_before_between_and_behind_the_operands(words: list[str]) -> None:
    args = _parser().parse_args(words)
    assert (args.key, args.value, args.ctype) == ("k", "v", "t")


@pytest.mark.parametrize("value", ["-5", "-0.5", "-", "-x", "--if-absent", ""])
def test_a_value_behind_two_dashes_is_taken_as_it_is(value: str) -> None:
    assert _parser().parse_args(["k", "--", value]).value == value


def test_a_negative_number_is_a_value_and_no_option() -> None:
    assert _parser().parse_args(["k", "-5"]).value == "-5"


@given(st.text(max_size=30))
def test_an_options_value_may_be_any_text_even_one_that_looks_like_an_option(text: str) -> None:
    args = _parser().parse_args(["-m", text, "k", "--if-absent"])
    assert args.message == text
    assert args.if_absent


def test_an_abbreviated_option_is_refused_since_a_later_option_could_change_its_meaning() -> None:
    with pytest.raises(UsageError, match="unrecognized"):
        _parser().parse_args(["k", "v", "--if-abs"])


def test_a_usage_error_shows_the_usage_as_its_hint() -> None:
    with pytest.raises(UsageError, match="key") as caught:
        _parser().parse_args([])
    assert caught.value.hint == "usage: git kv set KEY [VALUE]"
    assert caught.value.exit_code == 129


def test_options_of_a_verb_below_a_verb_may_stand_behind_its_operands() -> None:
    parser = Parser(prog="git kv stargate")
    serve = parser.add_subparsers(dest="verb").add_parser("serve")
    serve.add_argument("folder", nargs="?")
    serve.add_argument("--listen")
    args = parser.parse_args(["serve", "--listen", "-x", "here"])
    assert (args.verb, args.listen, args.folder) == ("serve", "-x", "here")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("45m", 2700), ("12h", 43200), ("30d", 2592000), ("2w", 1209600), ("0s", 0)],
)
def test_durations_are_numbers_with_a_unit(text: str, seconds: int) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "5", "s", "-1s", "1.5h", "1 h", "1h\n", "1_0s", "٣s", "99999999999s", "1y", "1h30m"],
)
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        duration(text)


def test_a_time_to_live_is_at_least_a_second_and_at_most_a_hundred_years() -> None:
    assert ttl(f"{TTL_S_MAX}s") == TTL_S_MAX
    for text in ("0s", f"{TTL_S_MAX + 1}s", "999999999w"):
        with pytest.raises(argparse.ArgumentTypeError):
            ttl(text)


@pytest.mark.parametrize("text", ["", "abc", "A" * 40, "a" * 39, "a" * 41, "a" * 40 + "\n"])
def test_an_object_id_is_forty_lower_case_hex_digits(text: str) -> None:
    assert oid("0a" * 20) == "0a" * 20
    with pytest.raises(argparse.ArgumentTypeError):
        oid(text)


@pytest.mark.parametrize("text", ["-1", "1_0", "٣", " 1", "1\n", ""])
def test_a_count_is_ascii_digits(text: str) -> None:
    assert count("10") == 10
    with pytest.raises(argparse.ArgumentTypeError):
        count(text)


@pytest.mark.parametrize("text", ["", "a\n", "é", "x" * 128])
def test_a_content_type_is_short_printable_ascii(text: str) -> None:
    assert content_type("text/plain; charset=utf-8") == "text/plain; charset=utf-8"
    with pytest.raises(argparse.ArgumentTypeError):
        content_type(text)


@pytest.mark.parametrize("word", ["-- x", "-a b", "--no such=1", "-x"])
def test_a_word_that_looks_like_an_option_is_never_taken_for_an_operand(word: str) -> None:
    """Otherwise it would change places with the operands before it."""
    parser, _ = load_parser("set")
    with pytest.raises(UsageError, match="unrecognized arguments") as caught:
        parser.parse_args(["key", word])
    assert "'--'" in caught.value.hint
    assert parser.parse_args(["key", "--", word]).value == word


@pytest.mark.parametrize(
    ("verb", "words", "expected"),
    [
        ("set", ["k", "--", "--"], {"key": "k", "value": "--"}),
        ("set", ["--", "--", "v"], {"key": "--", "value": "v"}),
        ("set", ["--", "--", "--"], {"key": "--", "value": "--"}),
        ("get", ["a", "--", "--", "b", "--"], {"keys": ["a", "--", "b", "--"]}),
        ("del", ["--", "--"], {"keys": ["--"]}),
    ],
)
def test_two_dashes_are_an_operand_after_two_dashes(
    verb: str, words: list[str], expected: dict[str, object]
) -> None:
    args = vars(load_parser(verb)[0].parse_args(words))
    assert {name: args[name] for name in expected} == expected
