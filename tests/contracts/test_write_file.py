"""A value that is written to a file: the file is replaced whole, or stays as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitkv.cli.output import write_file


def test_a_file_is_replaced_as_a_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.write_bytes(b"old")
    target.chmod(0o600)
    write_file(str(target), [b"new\0"])
    assert target.read_bytes() == b"new\0"
    assert target.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["out"]


def test_a_symbolic_link_stays_one_and_its_target_is_written(tmp_path: Path) -> None:
    link, target = tmp_path / "link", tmp_path / "target"
    link.symlink_to(target)
    write_file(str(link), [b"x"])
    assert link.is_symlink()
    assert target.read_bytes() == b"x"


def test_a_pipe_or_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR)
    try:
        write_file(str(pipe), [b"value"])
        assert os.read(reader, 100) == b"value"
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_a_failed_write_leaves_no_draft_behind(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        write_file(str(tmp_path / "missing" / "out"), [b"x"])
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        write_file(str(tmp_path / "folder"), [b"x"])
    assert os.listdir(tmp_path) == ["folder"]
    assert os.listdir(tmp_path / "folder") == []


def test_a_piece_that_cannot_be_had_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"first"
        raise OSError(5, "Input/output error")

    target = tmp_path / "out"
    target.write_bytes(b"as it was")
    with pytest.raises(OSError):
        write_file(str(target), pieces())
    assert target.read_bytes() == b"as it was"
    assert os.listdir(tmp_path) == ["out"]
