"""`git kv cp`: a key's value, type and expiry for another key."""

from __future__ import annotations

from contextlib import contextmanager

from gitkv.cli.arguments import add_write_options, message_of
from gitkv.cli.written import put_written
from gitkv.errors import ConflictError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context

USAGE = "cp SOURCE TARGET [--at REV] [-f] [--dry-run] [-m MSG]"
NOTES = """\
'git kv cp -f --at @SEQ KEY KEY' brings back the value that KEY had at SEQ.
Exit code 1: SOURCE does not exist; 2: TARGET does."""


def add_arguments(parser: Parser) -> None:
    """Declares the two keys."""
    parser.add_argument("source", metavar="SOURCE")
    parser.add_argument("target", metavar="TARGET")
    parser.add_argument(
        "--at", default="", metavar="REV", help="the state to copy from (default: the newest)"
    )
    add_force(parser)
    add_write_options(parser)


def add_force(parser: Parser) -> None:
    """`--force`, for a target that exists."""
    parser.add_argument("-f", "--force", action="store_true", help="replace TARGET when it exists")


@contextmanager
def replacing_advised(args: Namespace) -> Iterator[None]:
    """Says how a target is replaced, where it is in the way."""
    try:
        yield
    except ConflictError as error:
        if not args.force and not error.hint:
            error.hint = f"-f replaces {args.target}"
        raise


def run(args: Namespace, context: Context) -> int:
    """Copies a key; returns the exit code."""
    with context.open_store(for_writing=True) as store, replacing_advised(args):
        written = store.copy(
            args.source, args.target, at=args.at, force=args.force, message=message_of(args)
        )
    return put_written(written, context)
