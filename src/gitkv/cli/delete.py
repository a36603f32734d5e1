"""`git kv del`: delete keys, all or none."""

from __future__ import annotations

from gitkv.cli.arguments import add_write_options, message_of
from gitkv.cli.written import put_written

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context

USAGE = "del [--missing-ok] [--dry-run] [-m MSG] KEY..."
NOTES = "Prints the ledger commit. Exit code 1: a key does not exist, and nothing was deleted."


def add_arguments(parser: Parser) -> None:
    """Declares the keys and what to do about missing ones."""
    parser.add_argument("keys", nargs="+", metavar="KEY")
    parser.add_argument(
        "--missing-ok", action="store_true", help="a key that does not exist is not an error"
    )
    add_write_options(parser)


def run(args: Namespace, context: Context) -> int:
    """Deletes the keys in one transaction; returns the exit code."""
    with context.open_store(for_writing=True) as store:
        written = store.delete(args.keys, message=message_of(args), missing_ok=args.missing_ok)
    return put_written(written, context)
