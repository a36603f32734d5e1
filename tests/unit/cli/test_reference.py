"""The reference page and the shell completion say of each command what its parser says."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from gitkv.cli.commands import COMMANDS, load_parser

REFERENCE = Path(__file__).parents[3] / "docs" / "cli.md"
COMPLETION = files("gitkv.cli").joinpath("git-kv-completion.bash").read_text()
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


@pytest.mark.parametrize("verb", VERBS)
def test_the_completion_offers_exactly_the_options_a_command_has(verb: str) -> None:
    offered = re.search(
        rf"^\t(?:\w+,-\*\|)*{verb},-\*(?:\|\w+,-\*)*\) __gitcomp \"(.*)\" ;;",
        COMPLETION,
        re.MULTILINE,
    )
    words = set() if offered is None else {word.rstrip("=") for word in offered[1].split()}
    assert words - {"--json"} == _long_options(verb) - {"--json", "--ns"}


def test_the_completion_offers_exactly_the_commands_there_are() -> None:
    commands = re.search(r'commands="(.*)"', COMPLETION)
    assert commands is not None
    assert set(commands[1].split()) == {*COMMANDS, "help"}
