"""Long answers on a terminal go through git's pager, by git's settings."""

from __future__ import annotations

import io
import sys
from contextlib import contextmanager, suppress

from gitkv.cli.output import is_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from gitkv.cli.context import Context
    from gitkv.client.store import Store
    from gitkv.git.pager import Pager

_FALSE = ("false", "no", "off", "0", "")
_TRUE = ("true", "yes", "on", "1")


@contextmanager
def paged(context: Context, store: Store, verb: str) -> Iterator[None]:
    """What is printed inside goes through the pager, if standard output is a terminal and git's
    settings say nothing else: `pager.kv-VERB`, `pager.kv`, `core.pager`. A pager that is left early
    ends the output.
    """
    command = _command(context, store, verb) if is_terminal() and not context.json else ""
    if not command:
        yield
        return
    pager = _started(command, context)
    if pager is None:
        yield
        return
    before, sys.stdout = sys.stdout, _Paged(pager.pipe)
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        pass
    finally:
        shown, sys.stdout = sys.stdout, before
        _let_go(shown)
        pager.finish()


def _command(context: Context, store: Store, verb: str) -> str:
    from gitkv.git.pager import pager_command

    chosen = store.setting(f"pager.kv-{verb}") or store.setting("pager.kv")
    if chosen and chosen.lower() in _FALSE:
        return ""
    if chosen and chosen.lower() not in _TRUE:
        return chosen
    return pager_command(store.setting("core.pager"), context.env)


def _started(command: str, context: Context) -> Pager | None:
    """The pager; None where it cannot be had, and then the answer is printed without one."""
    from gitkv.errors import ToolError
    from gitkv.git.pager import Pager

    try:
        return Pager(command, context.env)
    except ToolError as error:
        context.warn(f"{error}; {error.hint}")
    except OSError:  # no less on this machine
        pass
    return None


class _Paged(io.TextIOWrapper):
    """Standard output while a pager shows it: to everybody else still a terminal."""

    def __init__(self, pipe: IO[bytes]) -> None:
        super().__init__(
            pipe,
            encoding="utf-8",
            errors="backslashreplace",
        )

    def isatty(self) -> bool:
        return True


def _let_go(shown: object) -> None:
    """The pipe is the pager's to close, and what nobody reads any more is no error."""
    if isinstance(shown, io.TextIOWrapper):
        with suppress(OSError):
            shown.flush()
