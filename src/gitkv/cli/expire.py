"""`git kv expire`: delete the keys whose time is over."""

from __future__ import annotations

from gitkv.cli.arguments import add_message, message_of
from gitkv.cli.output import is_terminal, put_json_lines, put_lines, safe
from gitkv.cli.written import put_written

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Iterator

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context
    from gitkv.reading.answers import Entry

USAGE = "expire [--prefix P] [--dry-run] [-m MSG]"
NOTES = """\
A key expires by itself: readers leave it out. This takes it out of the store, in an ordinary
transaction; its history stays. Prints the ledger commit; --dry-run prints the keys instead, with
the moment each has expired, and writes nothing."""


def add_arguments(parser: Parser) -> None:
    """Declares which keys, and whether to delete them."""
    parser.add_argument("--prefix", default="", metavar="P", help="only keys that begin with P")
    parser.add_argument("--dry-run", action="store_true", help="print the keys, delete none")
    add_message(parser)


def run(args: Namespace, context: Context) -> int:
    """Deletes what has expired; returns the exit code."""
    if args.dry_run:
        return _show(args, context)
    with context.open_store(for_writing=True) as store:
        for written in store.expire(args.prefix, message=message_of(args)):
            put_written(written, context, unchanged="no key has expired")
            if written.changed:
                context.note(f"{written.keys_del} deleted")
    return 0


def _show(args: Namespace, context: Context) -> int:
    with context.open_store() as store:
        entries = store.expired(args.prefix)
        if context.json:
            put_json_lines(entry._asdict() for entry in entries)
        else:
            put_lines(_lines(entries))
    return 0


def _lines(entries: Iterable[Entry]) -> Iterator[str]:
    from gitkv.cli.moments import utc

    shown = safe if is_terminal() else str
    return (f"{utc(entry.expires)}\t{shown(entry.key)}" for entry in entries)
