"""System calls of a command, counted, injected and recorded by strace."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from conftest import require_tool


class Ended(NamedTuple):
    code: int
    out: bytes
    err: bytes


def kv_command(*words: str) -> list[str]:
    """`git kv ...` as a command of this checkout."""
    return [sys.executable, "-m", "gitkv", *words]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    path = {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    return {**os.environ, **path, **(extra or {})}


def traced(
    command: Sequence[str],
    log: Path,
    cwd: Path,
    *options: str,
    env: Mapping[str, str] | None = None,
) -> Ended:
    """Runs a command under strace, in a session of its own, so that what it leaves can be found."""
    done = subprocess.run(
        [require_tool("strace"), "-qq", "-o", str(log), *options, "--", *command],
        cwd=cwd,
        env=environment(env),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def calls(log: Path) -> list[str]:
    """The lines of the log that are calls."""
    return [line for line in log.read_text().splitlines() if re.match(r"(?:\d+ +)?\w+\(", line)]
