"""Where a verb works: `-C`, and file names."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitkv.cli.context import Context, make_context
from gitkv.errors import UsageError


def test_directories_add_up_and_file_names_count_from_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GIT_DIR", raising=False)
    (tmp_path / "a" / "b").mkdir(parents=True)
    context = make_context(None, set(), [str(tmp_path / "a"), "b"])
    assert context.repository.rstrip("/") == str(tmp_path / "a" / "b")
    assert context.path("value") == str(tmp_path / "a" / "b" / "value")
    assert context.path("/else/where") == "/else/where"


def test_a_directory_that_is_none_is_refused_before_anything_happens(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a directory"):
        make_context(None, set(), [str(tmp_path / "missing")])


def test_a_warning_is_one_safe_line_or_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    Context("main", set(), "", {}).warn("old\x1b[2J")
    Context("main", {"--json"}, "", {}).warn("old")
    assert capsys.readouterr().err == 'warning: old\\x1b[2J\n{"warning": "old"}\n'
