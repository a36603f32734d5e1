"""`git kv revert`: a transaction, or what it did to one key, undone by a new one."""

from __future__ import annotations

import re

from gitkv.cli.arguments import add_write_options, message_of
from gitkv.cli.written import put_written
from gitkv.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context

USAGE = "revert (@SEQ | KEY@SEQ) [--force] [--dry-run] [-m MSG]"
NOTES = """\
Each key that the transaction SEQ changed gets back the value, type and expiry that it had before,
or is deleted when it was not there. Exit code 2: a key has changed since; nothing was written."""
_SEQ = re.compile(r"(.*)@(0|[1-9][0-9]{0,14})", re.DOTALL)


def add_arguments(parser: Parser) -> None:
    """Declares what is to be undone."""
    parser.add_argument(
        "what", metavar="@SEQ|KEY@SEQ", help="a transaction, or what it did to one key"
    )
    parser.add_argument(
        "-f", "--force", action="store_true", help="also where a key has changed since"
    )
    add_write_options(parser)


def run(args: Namespace, context: Context) -> int:
    """Undoes a transaction; returns the exit code."""
    found = _SEQ.fullmatch(args.what)
    if found is None:
        raise UsageError(
            f"{args.what[:80]!r}: expected @SEQ or KEY@SEQ",
            hint="git kv log and git kv history show the sequence numbers",
        )
    key, seq = found[1], int(found[2])
    with context.open_store(for_writing=True) as store:
        written = store.revert(seq, key, force=args.force, message=message_of(args))
    return put_written(written, context)
