"""`git kv snapshot`: the present view of a store as one portable text."""

from __future__ import annotations

from gitkv.cli.arguments import add_state
from gitkv.cli.output import put_json, stdout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import BinaryIO

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context
    from gitkv.client.store import Store
    from gitkv.wire.snapshot import Header

USAGE = (
    "snapshot [--export FILE] [--prefix P] [--at REV] [--read-from mirror|stargate|local] "
    "[--allow-expired]"
)
NOTES = """\
Writes JSON Lines: a header, a line a key in order, and a trailer by which 'git kv import' sees that
nothing is missing or changed. FILE is replaced as a whole; '-', the default, is standard output."""


def add_arguments(parser: Parser) -> None:
    """Declares which keys of which state, and where they go."""
    parser.add_argument("--export", default="-", metavar="FILE", help="where the text goes")
    parser.add_argument("--prefix", default="", metavar="P", help="only keys that begin with P")
    add_state(parser)
    parser.add_argument("--allow-expired", action="store_true", help="also keys whose time is over")


def run(args: Namespace, context: Context) -> int:
    """Writes a snapshot; returns the exit code."""
    with context.open_store() as store:
        if args.export == "-":
            _write(args, store, stdout())
            return 0
        from gitkv.cli.replace import Replacing

        with Replacing(context.path(args.export)) as stream:
            header, keys = _write(args, store, stream)
    if context.json:
        put_json({"file": args.export, "keys": keys, **header._asdict()})
    context.note(f"{keys} key{'s' * (keys != 1)} of {header.ns}@{header.seq}")
    return 0


def _write(args: Namespace, store: Store, stream: BinaryIO) -> tuple[Header, int]:
    from gitkv.cli.progress import counted
    from gitkv.wire.snapshot import Header, SnapshotWriter

    commit, values = store.view(
        args.prefix, at=args.at, read_from=args.read_from, allow_expired=args.allow_expired
    )
    header, writer = Header(store.ns, commit.seq, commit.commit, args.prefix), SnapshotWriter()
    stream.write(writer.header(header))
    for value in counted(values, "keys exported"):
        stream.write(writer.entry(value.key, value.value, value.ctype, value.expires))
    stream.write(writer.trailer())
    return header, writer.keys
