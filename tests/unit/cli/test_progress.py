"""Progress: what a person at a terminal sees of it."""

from __future__ import annotations

import sys

import pytest

from gitkv.cli.context import Context
from gitkv.cli.progress import Progress, WatchedContent, is_shown, size, watched
from gitkv.model.content import BytesContent

MEBI = 1 << 20


def test_a_line_says_how_much_how_fast_and_how_long_it_takes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = iter([0.0, 0.1, 1.0, 2.0])
    progress = Progress("stored", 100 * MEBI, lambda: next(clock))
    progress.add(5 * MEBI)
    progress.add(5 * MEBI)
    progress.add(15 * MEBI)
    progress.end()
    first, second, *rest = capsys.readouterr().err.split("\r")[1:]
    assert first == "stored 10.0 MiB of 100.0 MiB, 10%, 10.0 MiB/s, 0:09 left"
    assert second == "stored 25.0 MiB of 100.0 MiB, 25%, 12.5 MiB/s, 0:06 left"
    assert "".join(rest).strip() == "", "nothing of it stays"


def test_what_is_short_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter(range(10))
    assert list(watched([b"x"] * 3, Progress("read", 3, lambda: next(clock)))) == [b"x"] * 3
    assert capsys.readouterr().err == ""


def test_without_a_total_it_says_what_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter([0.0, 4.0])
    Progress("read", None, lambda: next(clock)).add(2 << 30)
    assert capsys.readouterr().err == "\rread 2.0 GiB, 512.0 MiB/s"


def test_a_watched_content_is_the_content_as_often_as_it_is_read() -> None:
    content = WatchedContent(BytesContent(b"abc" * MEBI), "stored")
    assert content.size == 3 * MEBI
    for _ in range(2):
        assert b"".join(content.pieces()) == b"abc" * MEBI


def test_programs_are_left_in_peace(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_shown(Context("main", frozenset(), "", {})), "stderr is no terminal here"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert is_shown(Context("main", frozenset(), "", {}))
    assert not is_shown(Context("main", frozenset(["--json"]), "", {}))


def test_sizes_are_told_in_units_of_1024() -> None:
    assert [size(count) for count in (0, 1023, 1536, MEBI, 3 << 30)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "1.0 MiB",
        "3.0 GiB",
    ]
