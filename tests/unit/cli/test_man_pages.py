"""Manual pages say what the help says, and no word of it is a request to roff."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gitkv.cli.commands import COMMANDS, load_parser
from gitkv.cli.man_pages import EXIT_CODES, pages

PAGES = dict(pages())
_REQUESTS = re.compile(r"^[.'](?!TH |SH |SS |TP$|PP$|B |br$|nf$|fi$)", re.M)


def test_there_is_a_page_for_each_command_and_one_for_all() -> None:
    assert set(PAGES) == {"git-kv.1", *(f"git-kv-{name}.1" for name in COMMANDS)}
    assert all(rf"git-kv-{name}".replace("-", r"\-") in PAGES["git-kv.1"] for name in COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_page_has_every_option_and_nothing_that_roff_would_obey(name: str) -> None:
    page = PAGES[f"git-kv-{name}.1"]
    assert not _REQUESTS.search(page)
    parser, _ = load_parser(name)
    for option in parser._option_string_actions:
        assert option.replace("-", r"\-") in page
    assert not re.search(r"\\(?![-&efB(])", page), "an escape that nobody meant"


def test_the_exit_codes_of_the_manual_are_those_of_the_reference() -> None:
    reference = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()
    table = reference[reference.index("### Exit codes") :]
    assert {int(code) for code in re.findall(r"(?m)^\| ([0-9]+) \|", table)} == set(EXIT_CODES)
