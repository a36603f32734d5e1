"""`git kv list`: keys in order, from the index alone."""

from __future__ import annotations

from itertools import chain, islice

from gitkv.cli.arguments import add_freshness, add_state, count, require_freshness
from gitkv.cli.output import is_terminal, put_json_lines, put_lines, safe, stdout
from gitkv.cli.paging import paged
from gitkv.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Iterator

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context
    from gitkv.client.store import Store
    from gitkv.reading.answers import Entry
    from gitkv.reading.groups import Group

USAGE = (
    "list [PREFIX] [-l | -z | --tree] [--delimiter D] [--limit N] [--after KEY] [--at REV] "
    "[--read-from mirror|stargate|local] [--allow-expired] [--at-least @SEQ [--timeout 60s]] "
    "[--max-staleness TIME]"
)
NOTES = """\
Keys come in the order of their encoded names; expired ones are left out unless allowed. To go on
where a limited list ended, give its last key to --after. With --delimiter, keys that go on after it
are shown once, as what they have in common; --tree shows them all, as a tree."""


def add_arguments(parser: Parser) -> None:
    """Declares the prefix, the page and the format."""
    parser.add_argument("operand", nargs="?", metavar="PREFIX", help="only keys that begin with it")
    parser.add_argument("--prefix", metavar="P", help="the same as PREFIX")
    parser.add_argument(
        "-l",
        "--long",
        action="store_true",
        help="a table: size in bytes, last change, versions, expiry, type, key",
    )
    parser.add_argument("-z", "--null", action="store_true", help="a NUL byte ends each key")
    parser.add_argument(
        "--tree", action="store_true", help="draw a tree, cut after each ':' and '/', or after D"
    )
    parser.add_argument(
        "--delimiter", metavar="D", help="show once what keys have in common up to D"
    )
    parser.add_argument("--limit", type=count, metavar="N", help="at most N keys")
    parser.add_argument("--after", default="", metavar="KEY", help="only keys after KEY")
    add_state(parser)
    parser.add_argument("--allow-expired", action="store_true", help="also keys whose time is over")
    add_freshness(parser)


def run(args: Namespace, context: Context) -> int:
    """Prints keys in order; returns the exit code."""
    prefix = _prefix(args)
    _check_form(args, context)
    with context.open_store() as store, paged(context, store, "list"):
        require_freshness(store, args)
        entries = _entries(args, prefix, store)
        if context.json:
            put_json_lines(entry._asdict() for entry in entries)
        elif args.long:
            put_lines(_table(entries))
        elif args.tree:
            from gitkv.cli.tree import draw_tree

            put_lines(draw_tree((_label(entry) for entry in entries), args.delimiter or ""))
        elif args.null:
            for entry in entries:
                stdout().write(_label(entry).encode() + b"\0")
        else:
            shown = safe if is_terminal() else str
            put_lines(shown(_label(entry)) for entry in entries)
    return 0


def _prefix(args: Namespace) -> str:
    if args.operand is not None and args.prefix is not None:
        raise UsageError("the prefix is given twice: as PREFIX and with --prefix")
    return str(args.operand or args.prefix or "")


def _check_form(args: Namespace, context: Context) -> None:
    forms = {"--json": context.json, "-l": args.long, "-z": args.null, "--tree": args.tree}
    chosen = [name for name, on in forms.items() if on]
    if len(chosen) > 1 and chosen != ["--json", "-l"]:
        raise UsageError(f"{' and '.join(chosen)} contradict each other")
    if args.delimiter == "":
        raise UsageError("--delimiter is empty: expected at least one character")


def _entries(args: Namespace, prefix: str, store: Store) -> Iterator[Entry | Group]:
    options = {
        "after": args.after,
        "at": args.at,
        "read_from": args.read_from,
        "allow_expired": args.allow_expired,
    }
    if args.delimiter is None or args.tree:
        return store.list(prefix, limit=args.limit, **options)
    return islice(store.groups(prefix, args.delimiter, **options), args.limit)


def _label(entry: Entry | Group) -> str:
    """The key, or what the keys of a group have in common: the first field of either."""
    return entry[0]


def _table(entries: Iterable[Entry | Group]) -> Iterator[str]:
    from time import time

    now_s = int(time())
    shown = safe if is_terminal() else str
    rows = (_cells(entry, now_s) + shown(_label(entry)) for entry in entries)
    first = next(rows, None)
    if first is None:
        return iter(())
    return chain((_row("SIZE", "CHANGED", "VERS.", "EXPIRES", "TYPE") + "KEY", first), rows)


def _cells(entry: Entry | Group, now_s: int) -> str:
    from gitkv.cli.moments import remaining

    if len(entry) == 1:
        return _row("-", "-", "-", "-", "-")
    _, _, size, ctype, expires, _, mod, versions = entry
    return _row(f"{size}", f"@{mod}", f"{versions}", remaining(expires, now_s), ctype or "-")


def _row(size: str, mod: str, versions: str, expires: str, ctype: str) -> str:
    """The columns before the key; fixed widths, since the first line is printed before the last is
    known.
    """
    return f"{size:>10}  {mod:>8}  {versions:>5}  {expires:>7}  {ctype:<16}  "
