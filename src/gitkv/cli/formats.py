"""The formats that data comes in and leaves by, besides the snapshot: which code reads and writes
each. A key's prefix is taken off on the way out and put before it on the way in.
"""

from __future__ import annotations

from gitkv.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterable, Iterator

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context
    from gitkv.model.content import Put

    Entries = Iterable[tuple[str, bytes, str]]  # key, value, content type

NAMES = ("consul", "json", "yaml", "env", "dir")


def add_separator(parser: Parser) -> None:
    """`--separator`, for the formats with names inside names."""
    parser.add_argument(
        "--separator",
        default="/",
        metavar="S",
        help="what joins nested names to a key, in json, yaml and dir (default: /)",
    )


def read_format(name: str, args: Namespace, context: Context) -> Iterator[tuple[str, Put]]:
    """Keys and values of FILE in this format, each key once. Raises UsageError, OSError."""
    if not args.separator:
        raise UsageError("--separator is empty: expected at least one character")
    if name == "dir":
        from gitkv.cli.folder import read_folder

        found = read_folder(context.path(args.file), args.separator)
    else:
        from gitkv.cli.source import read_whole

        found = _reader(name, args.separator)(read_whole(args.file, context))
    return ((args.prefix + key, put) for key, put in found)


def write_format(name: str, entries: Entries, separator: str) -> Iterator[bytes]:
    """The text of the entries, piece by piece. Raises UsageError for what the format cannot
    hold.
    """
    from gitkv.wire import flat, nested

    if name == "consul":
        return flat.write_consul(entries)
    if name == "env":
        return flat.write_env(entries)
    write = nested.write_json if name == "json" else nested.write_yaml
    return iter([write(entries, separator)])


def _reader(name: str, separator: str) -> Callable[[bytes], Iterator[tuple[str, Put]]]:
    from gitkv.wire import flat, nested

    flats = {"consul": flat.read_consul, "env": flat.read_env}
    if name in flats:
        return flats[name]
    read = nested.read_json if name == "json" else nested.read_yaml
    return lambda text: read(text, separator)
