"""Where a verb works: `-C`, and file names."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitkv.cli.context import Context, make_context
from gitkv.errors import UsageError


def test_directories_add_up_and_file_names_count_from_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("GIT_DIR", raising=False)
    here = Path(__file__).parent
    context = make_context(None, set(), [str(here.parent), here.name])
    assert context.repository.rstrip("/") == str(here)
    assert context.path("value") == str(here / "value")
    assert context.path("/else/where") == "/else/where"


def test_a_directory_that_is_none_is_refused_before_anything_happens() -> None:
    with pytest.raises(UsageError, match="not a directory"):
        make_context(None, set(), [str(Path(__file__).parent / "missing")])


def test_a_warning_is_one_safe_line_or_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    Context("main", set(), "", {}).warn("old\x1b[2J")
    Context("main", {"--json"}, "", {}).warn("old")
    assert capsys.readouterr().err == 'warning: old\\x1b[2J\n{"warning": "old"}\n'
