"""Standard output or error that takes nothing more: the exit code still tells what happened."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def test_a_reader_that_leaves_early_is_no_error() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [sys.executable, "-m", "gitkv", "help"],
        stdout=write_end,
        stderr=subprocess.PIPE,
        env=_environment(),
        check=False,
    )
    os.close(write_end)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_full_disk_behind_stdout_is_an_error() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "gitkv", "help"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=_environment(),
            check=False,
        )
    assert done.returncode == 5
    assert done.stderr.startswith(b"error: No space left on device")


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.mark.parametrize("words", [["get", "--json"], ["get"], ["lst"]])
def test_an_error_that_nobody_can_read_keeps_its_exit_code(words: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "gitkv", *words], stderr=full, env=_environment(), check=False
        )
    assert done.returncode == 129
