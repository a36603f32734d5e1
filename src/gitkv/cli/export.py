"""`git kv export`: the keys of a store in a format of the neighbours, so that leaving is easy."""

from __future__ import annotations

from gitkv.cli.arguments import add_state
from gitkv.cli.formats import NAMES, add_separator, write_format
from gitkv.cli.output import put_json, stdout
from gitkv.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Iterator

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context
    from gitkv.client.store import Store, Value

USAGE = (
    "export --to consul|json|yaml|env|dir [FILE|DIR] [--prefix P] [--separator S] [--at REV] "
    "[--read-from mirror|stargate|local] [--allow-expired]"
)
NOTES = """\
P is taken off the keys. FILE is replaced as a whole; '-', the default, is standard output; DIR is
new or empty. No content types and expiries: 'git kv snapshot' keeps them."""


def add_arguments(parser: Parser) -> None:
    """Declares the format, the keys and where they go."""
    parser.add_argument("file", nargs="?", default="-", metavar="FILE", help="where they go")
    parser.add_argument("--to", required=True, choices=NAMES, help="the format")
    parser.add_argument("--prefix", default="", metavar="P", help="only keys that begin with P")
    add_separator(parser)
    add_state(parser)
    parser.add_argument("--allow-expired", action="store_true", help="also keys whose time is over")


def run(args: Namespace, context: Context) -> int:
    """Writes the keys in another format; returns the exit code."""
    if not args.separator:
        raise UsageError("--separator is empty: expected at least one character")
    if args.to == "dir" and args.file == "-":
        raise UsageError("no folder", hint="name one that is new or empty")
    left = _Left()
    with context.open_store() as store:
        _write(args, context, left.each(_values(args, store), len(args.prefix)))
    if context.json and args.file != "-":
        put_json({"file": args.file, **left.__dict__})
    context.note(left.told())
    return 0


def _write(args: Namespace, context: Context, entries: Iterable[tuple[str, bytes, str]]) -> None:
    if args.to == "dir":
        from gitkv.cli.folder import write_folder

        write_folder(context.path(args.file), entries, args.separator)
        return
    pieces = write_format(args.to, entries, args.separator)
    if args.file == "-":
        for piece in pieces:
            stdout().write(piece)
        return
    from gitkv.cli.replace import Replacing

    with Replacing(context.path(args.file)) as stream:
        for piece in pieces:
            stream.write(piece)


def _values(args: Namespace, store: Store) -> Iterator[Value]:
    return store.values_under(
        args.prefix, at=args.at, read_from=args.read_from, allow_expired=args.allow_expired
    )


class _Left:
    """What has gone out, and what of it the format does not hold."""

    def __init__(self) -> None:
        self.keys = self.ctypes = self.expiries = 0

    def each(self, values: Iterable[Value], cut: int) -> Iterator[tuple[str, bytes, str]]:
        for value in values:
            if len(value.key) == cut:
                raise UsageError(f"key {value.key!r} is the prefix itself: no name is left of it")
            self.keys += 1
            self.ctypes += bool(value.ctype)
            self.expiries += bool(value.expires)
            yield value.key[cut:], value.value, value.ctype

    def told(self) -> str:
        """The numbers, for people."""
        lost = [_some(self.ctypes, "content type"), _some(self.expiries, "expiry")]
        named = ", ".join(text for text in lost if text)
        return (_some(self.keys, "key") or "no keys") + (f"; left behind: {named}" if named else "")


def _some(number: int, what: str) -> str:
    many = what[:-1] + "ies" if what.endswith("ry") else what + "s"
    return f"{number} {what if number == 1 else many}" if number else ""
