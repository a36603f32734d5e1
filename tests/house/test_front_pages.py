"""The pages a newcomer reads first tell no tales: exit codes are the code's, named files exist,
every package and event has its place.
"""

from __future__ import annotations

import re

import pytest
from house.project import PACKAGE, ROOT

from gitkv import errors
from gitkv.cli.commands import COMMANDS
from gitkv.model import verdict

README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
SHELL_CODES = {0, 130}  # no error class stands for them


def _codes() -> set[int]:
    """The exit codes of the error classes, and of the families that a verdict spans."""
    classes = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.GitKvError)
    ]
    spanned = {
        verdict.CONFLICT,
        verdict.POLICY,
        verdict.KEY,
        verdict.BROKEN,
        verdict.INTEGRITY,
        verdict.NOT_LEADER,
    }
    return (
        {error.exit_code for error in classes if isinstance(error.exit_code, int)}
        | spanned
        | SHELL_CODES
    )


def test_the_readme_lists_exactly_the_exit_codes_there_are() -> None:
    table = README.partition("## Exit codes")[2].partition("\n## ")[0]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.M)] == sorted(_codes())


@pytest.mark.parametrize(
    "page",
    ["README.md", "docs/operate/stargate.md", "docs/operate/policy.md", "docs/operate/backup.md"],
)
def test_a_page_names_only_commands_that_exist(page: str) -> None:
    text = (ROOT / page).read_text().partition("## Not yet")
    shown = text[0] + text[2].partition("\n## ")[2]
    assert set(re.findall(r"git kv ([a-z]+)", shown)) <= COMMANDS.keys() | {"help"}


def test_every_file_that_the_architecture_names_exists() -> None:
    named = set(re.findall(r"`([a-z_]+/[a-z_/]*[a-z_]+\.(?:py|md))`", ARCHITECTURE))
    assert named
    assert not [
        name
        for name in sorted(named)
        if not (PACKAGE / name).exists() and not (ROOT / name).exists()
    ]


def test_the_architecture_has_every_package() -> None:
    packages = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    floors = ARCHITECTURE.partition("```")[2].partition("```")[0]
    assert packages == set(re.findall(r"\b([a-z]+)/(?=\s)", floors)) - {"gitkv"}
