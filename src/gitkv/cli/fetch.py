"""`git kv fetch`: brings the chunks of large values here, before they are read."""

from __future__ import annotations

from gitkv.cli.arguments import add_state
from gitkv.cli.output import put_json, put_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context

USAGE = "fetch [--prefix P] [--at REV] [--read-from mirror|stargate|local]"
NOTES = """\
A clone fetches the chunks of a large value when it is read. This fetches those of many keys at
once: for work without a network, and for caches."""


def add_arguments(parser: Parser) -> None:
    """Declares the prefix and the state."""
    parser.add_argument("--prefix", default="", metavar="P", help="only keys that begin with P")
    add_state(parser)


def run(args: Namespace, context: Context) -> int:
    """Fetches chunks; returns the exit code."""
    with context.open_store() as store:
        brought = store.fetch_chunks(args.prefix, at=args.at, read_from=args.read_from)
    if context.json:
        put_json(brought._asdict())
    else:
        put_line(f"{brought.keys} large values are here; {brought.chunks} chunks were fetched")
    return 0
