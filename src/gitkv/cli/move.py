"""`git kv mv`: another name for a key, in one transaction."""

from __future__ import annotations

from gitkv.cli.arguments import add_write_options, message_of
from gitkv.cli.copy import add_force, replacing_advised
from gitkv.cli.written import put_written

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context

USAGE = "mv SOURCE TARGET [-f] [--dry-run] [-m MSG]"
NOTES = """\
Value, type and expiry move; the history of SOURCE stays its own.
Exit code 1: SOURCE does not exist; 2: TARGET does."""


def add_arguments(parser: Parser) -> None:
    """Declares the two keys."""
    parser.add_argument("source", metavar="SOURCE")
    parser.add_argument("target", metavar="TARGET")
    add_force(parser)
    add_write_options(parser)


def run(args: Namespace, context: Context) -> int:
    """Moves a key; returns the exit code."""
    with context.open_store(for_writing=True) as store, replacing_advised(args):
        written = store.move(args.source, args.target, force=args.force, message=message_of(args))
    return put_written(written, context)
