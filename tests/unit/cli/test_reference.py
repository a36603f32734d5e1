"""The reference page says of each command what its parser says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gitkv.cli.commands import COMMANDS, load_parser

REFERENCE = Path(__file__).parents[3] / "docs" / "cli.md"
VERBS = sorted(COMMANDS.keys() - {"stargate"})


def _long_options(verb: str) -> set[str]:
    parser, _ = load_parser(verb)
    return set(re.findall(r"--[a-z-]+", parser.format_help())) - {"--help"}


def _section(verb: str) -> str:
    text = REFERENCE.read_text()
    heading = re.search(rf"^### (?:\w+, )?{verb}\b.*$", text, re.MULTILINE)
    assert heading is not None, f"docs/cli.md has no section on {verb}"
    return re.split(r"^##", text[heading.end() :], maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize("verb", VERBS)
def test_the_reference_explains_every_option_of_a_command(verb: str) -> None:
    common = {"--message", "--dry-run"} if "--dry-run" in _long_options(verb) else set()
    common |= {"--read-from", "--ns"}
    assert _long_options(verb) - common <= set(re.findall(r"--[a-z-]+", _section(verb)))
