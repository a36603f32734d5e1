"""Contents of files and pipes: the same every time they are read, in bounded memory."""

from __future__ import annotations

import io
import os
import tracemalloc
from pathlib import Path

import pytest

from gitkv.client.content import HELD_BYTES_MAX, FileContent, content_of
from gitkv.errors import ToolError, UsageError
from gitkv.model.content import BytesContent

LONG = os.urandom(HELD_BYTES_MAX + 1)


def test_what_is_short_becomes_bytes_whatever_it_comes_from(tmp_path: Path) -> None:
    path = tmp_path / "short"
    path.write_bytes(LONG[:HELD_BYTES_MAX])
    stream = io.BytesIO(b"skipped" + LONG[:HELD_BYTES_MAX])
    stream.seek(7)
    for given in (path.read_bytes(), path, stream):
        assert content_of(given, str(tmp_path), "v") == LONG[:HELD_BYTES_MAX]


@pytest.mark.parametrize("from_stream", [True, False])
def test_what_is_long_is_read_again_and_again(tmp_path: Path, from_stream: bool) -> None:
    path = tmp_path / "long"
    path.write_bytes(LONG)
    content = content_of(io.BytesIO(LONG) if from_stream else path, str(tmp_path), "v")
    assert not isinstance(content, bytes)
    assert content.size == len(LONG)
    for _ in range(2):
        assert b"".join(content.pieces()) == LONG
    assert [file.name for file in tmp_path.iterdir()] == ["long"], "the spool has no name"


def test_a_pipe_of_unknown_length_is_not_held(tmp_path: Path) -> None:
    class Zeros:
        left = 64 << 20

        def read(self, bytes_max: int, /) -> bytes:
            count = min(bytes_max, self.left, 65536)
            self.left -= count
            return bytes(count)

    tracemalloc.start()
    try:
        content = content_of(Zeros(), str(tmp_path), "v")
        assert not isinstance(content, bytes)
        assert sum(map(len, content.pieces())) == 64 << 20
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("change", [b"longer", b""])
def test_a_file_that_changes_between_two_readings_is_refused(tmp_path: Path, change: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(LONG)
    content = FileContent(str(path))
    list(content.pieces())
    path.write_bytes(LONG + change if change else LONG[:-1])
    with pytest.raises(ToolError, match="was changed while it was read"):
        list(content.pieces())


def test_a_file_that_is_cut_short_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(LONG * 2)
    pieces = FileContent(str(path)).pieces()
    next(pieces)
    os.truncate(path, 100)
    with pytest.raises(ToolError, match="was changed while it was read"):
        list(pieces)


def test_what_is_neither_bytes_nor_readable_is_refused_by_name(tmp_path: Path) -> None:
    for given in ("text", 5, io.StringIO("text"), None):
        with pytest.raises(UsageError, match="value of k: expected"):
            content_of(given, str(tmp_path), "value of k")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="expected a regular file"):
        FileContent(str(tmp_path))
    assert content_of(held := BytesContent(b"x"), "", "v") is held
