"""`git kv env`: a program with the keys of a prefix in its environment."""

from __future__ import annotations

import os
import sys

from gitkv.cli.arguments import add_state
from gitkv.errors import ToolError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context

USAGE = (
    "env [--prefix P] [--keep-prefix] [--override] [--at REV] "
    "[--read-from mirror|stargate|local] -- COMMAND [ARG...]"
)
NOTES = """\
Each key that begins with P is a variable: without P, in capitals, with '_' for every character but
letters and digits. A variable that is set already stays as it is, unless --override is given. What
would make programs load or run something else (PATH, LD_PRELOAD, GIT_*, ...) is refused.
Replaces itself by COMMAND, whose exit code counts; 127: it was not found."""
_NOT_FOUND, _NOT_STARTED = 127, 126


def add_arguments(parser: Parser) -> None:
    """Declares the keys and the program."""
    parser.add_argument("command", nargs="+", metavar="COMMAND")
    parser.add_argument("--prefix", default="", metavar="P", help="only keys that begin with P")
    parser.add_argument(
        "--keep-prefix", action="store_true", help="keep P as the beginning of the names"
    )
    parser.add_argument(
        "--override", action="store_true", help="also where the variable is set already"
    )
    add_state(parser)


def run(args: Namespace, context: Context) -> int:
    """Becomes the program; returns an exit code only when it cannot be started."""
    from gitkv.reading.variables import variables

    with context.open_store() as store:
        values = store.values_under(args.prefix, at=args.at, read_from=args.read_from)
        found = variables(values, "" if args.keep_prefix else args.prefix)
    env = {os.fsencode(name): os.fsencode(text) for name, text in context.env.items()}
    for name, value in found.items():
        if args.override or name.encode() not in env:
            env[name.encode()] = value
    return _become(args.command, env, context)


def _become(command: list[str], env: dict[bytes, bytes], context: Context) -> int:
    if context.directory:
        os.chdir(context.directory)
    sys.stdout.flush()
    try:
        os.execvpe(command[0], command, env)
    except FileNotFoundError:
        context.note(f"error: {command[0]}: command not found")
        return _NOT_FOUND
    except OSError as error:
        if command[0] == "":
            raise UsageError("the command is empty") from None
        if isinstance(error, PermissionError):
            context.note(f"error: {command[0]}: {error.strerror}")
            return _NOT_STARTED
        raise ToolError(f"{command[0]} could not be started: {error.strerror}") from None
