"""`git kv` in this process: the command line without the cost of starting it, its output as bytes,
on a terminal if asked.
"""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gitkv.cli.main import main


class Answer(NamedTuple):
    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    def lines(self) -> list[dict[str, Any]]:
        """JSON Lines as objects."""
        return [json.loads(line) for line in self.out.splitlines()]


class _Stream(io.TextIOWrapper):
    """A standard stream in memory."""

    def __init__(self, content: bytes = b"", *, terminal: bool = False) -> None:
        super().__init__(io.BytesIO(content), encoding="utf-8", errors="backslashreplace")
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def written(self) -> bytes:
        self.flush()
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue()


class Command:
    """`command("get", "k")` runs `git kv get k` in the directory; `code` is what it must end
    with.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self, *words: str, stdin: bytes = b"", code: int = 0, terminal: bool = False
    ) -> Answer:
        out, err = _Stream(terminal=terminal), _Stream()
        before, sys.stdin = sys.stdin, _Stream(stdin)
        try:
            with redirect_stdout(out), redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
                if "PAGER" not in os.environ:  # a real one would write to the real terminal
                    patch.setenv("PAGER", "cat")
                ended = main(["-C", str(self.folder), *words])
        finally:
            sys.stdin = before
        answer = Answer(ended, out.written(), err.written().decode())
        assert ended == code, f"git kv {' '.join(words)} ended with {ended}: {answer.err}"
        return answer
