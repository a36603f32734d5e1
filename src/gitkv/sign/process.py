"""Starts ssh-keygen and gpg: never through a shell, always with an environment the caller chose."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gitkv.errors import ToolError


class Finished(NamedTuple):
    """A child that ended by itself; `code` is its exit status (negative: the signal that ended
    it).
    """

    code: int
    out: bytes
    err: bytes


class Start(NamedTuple):
    """How a child is started. `remedy` is the hint when its program is not there; `timeout_s` None
    waits, since a person may be typing.
    """

    env: Mapping[str, str]
    remedy: str
    cwd: str | None = None
    timeout_s: float | None = None


def run(argv: Sequence[str], stdin: bytes, start: Start) -> Finished:
    """Runs a program to its end. Raises ToolError when it cannot be started or takes too long."""
    try:
        done = subprocess.run(
            list(argv),
            input=stdin,
            capture_output=True,
            env=dict(start.env),
            cwd=start.cwd,
            timeout=start.timeout_s,
            check=False,
        )
    except FileNotFoundError:
        raise ToolError(f"{argv[0]} is not installed or not in PATH", hint=start.remedy) from None
    except subprocess.TimeoutExpired:
        raise ToolError(f"{argv[0]} did not end within {start.timeout_s:.0f} s") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
        raise ToolError(f"{argv[0]} cannot be started: {error}", hint=start.remedy) from None
    return Finished(done.returncode, done.stdout, done.stderr)
