"""`git kv list`: keys in order, from the index alone."""

from __future__ import annotations

from itertools import chain

from gitkv.cli.arguments import count
from gitkv.cli.output import is_terminal, put_json_lines, put_lines, safe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Iterator

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context
    from gitkv.reading.answers import Entry

USAGE = (
    "list [--prefix P] [-l] [--limit N] [--after KEY] [--at REV] [--read-from "
    "mirror|stargate|local]"
)
NOTES = """\
Keys come in the order of their encoded names; expired ones are left out. To go on where a limited
list ended, give its last key to --after."""


def add_arguments(parser: Parser) -> None:
    """Declares the prefix, the page and the format."""
    parser.add_argument("--prefix", default="", metavar="P", help="only keys that begin with P")
    parser.add_argument(
        "-l",
        "--long",
        action="store_true",
        help="a table: size in bytes, last change, versions, expiry, type, key",
    )
    parser.add_argument("--limit", type=count, metavar="N", help="at most N keys")
    parser.add_argument("--after", default="", metavar="KEY", help="only keys after KEY")
    parser.add_argument(
        "--at", default="", metavar="REV", help="the state to read (default: the newest)"
    )
    parser.add_argument(
        "--read-from",
        default="mirror",
        choices=["mirror", "stargate", "local"],
        help="how fresh (default: mirror)",
    )


def run(args: Namespace, context: Context) -> int:
    """Prints keys in order; returns the exit code."""
    with context.open_store() as store:
        entries = store.list(
            args.prefix, after=args.after, limit=args.limit, at=args.at, read_from=args.read_from
        )
        if context.json:
            put_json_lines(entry._asdict() for entry in entries)
        elif args.long:
            put_lines(_table(entries))
        elif is_terminal():
            put_lines(safe(entry.key) for entry in entries)
        else:
            put_lines(entry.key for entry in entries)
    return 0


def _table(entries: Iterable[Entry]) -> Iterator[str]:
    from time import time

    from gitkv.cli.moments import remaining

    now_s = int(time())
    shown = safe if is_terminal() else str
    rows = (
        _row(
            f"{entry.size}",
            f"@{entry.mod}",
            f"{entry.versions}",
            remaining(entry.expires, now_s),
            entry.ctype or "-",
        )
        + shown(entry.key)
        for entry in entries
    )
    first = next(rows, None)
    return (
        iter(())
        if first is None
        else chain((_row("SIZE", "CHANGED", "VERS.", "EXPIRES", "TYPE") + "KEY", first), rows)
    )


def _row(size: str, mod: str, versions: str, expires: str, ctype: str) -> str:
    """The columns before the key; fixed widths, since the first line is printed before the last is
    known.
    """
    return f"{size:>10}  {mod:>8}  {versions:>5}  {expires:>7}  {ctype:<16}  "
