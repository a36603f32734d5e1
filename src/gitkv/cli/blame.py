"""`git kv blame`: who set each key last, when and why."""

from __future__ import annotations

from gitkv.cli.arguments import add_state
from gitkv.cli.colour import Paint
from gitkv.cli.history import who
from gitkv.cli.output import put_json_lines, put_lines, safe, subject
from gitkv.cli.paging import paged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context
    from gitkv.reading.blame import Blamed

USAGE = "blame [PREFIX] [--at REV] [--read-from mirror|stargate|local]"
NOTES = (
    "One line a key: the sequence number of the transaction that set it last, its time, who, the "
    "key, and in brackets its message."
)


def add_arguments(parser: Parser) -> None:
    """Declares the prefix and the state."""
    parser.add_argument(
        "prefix", nargs="?", default="", metavar="PREFIX", help="only keys that begin with it"
    )
    add_state(parser)


def run(args: Namespace, context: Context) -> int:
    """Prints who set each key last; returns the exit code."""
    with context.open_store() as store, paged(context, store, "blame"):
        lines = store.blame(args.prefix, at=args.at, read_from=args.read_from)
        if context.json:
            put_json_lines(line._asdict() for line in lines)
        else:
            paint = Paint(context, store)
            put_lines(_line(entry, paint) for entry in lines)
    return 0


def _line(line: Blamed, paint: Paint) -> str:
    from gitkv.cli.moments import utc

    seq = paint("name", f"@{line.seq}".ljust(8))
    when = f"{seq}  {utc(line.time)}"
    return f"{when}  {who(line)}  {safe(line.key)}  ({subject(line.text)})"
