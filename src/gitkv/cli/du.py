"""`git kv du`: how much room values take, and how much of it is shared."""

from __future__ import annotations

from gitkv.cli.arguments import add_state
from gitkv.cli.output import put_json_lines, put_line, put_lines, safe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context
    from gitkv.reading.usage import Used

USAGE = "du [--prefix P] [--at REV] [--read-from mirror|stargate|local]"
NOTES = """\
One line a key: SIZE of the value, and STORED, what of it no key before it has already, both in
bytes; the last line has the sums. Equal values, and equal chunks of large ones, are stored once.
Compression and older versions are left out."""


def add_arguments(parser: Parser) -> None:
    """Declares the prefix and the state."""
    parser.add_argument("--prefix", default="", metavar="P", help="only keys that begin with P")
    add_state(parser)


def run(args: Namespace, context: Context) -> int:
    """Prints the room of each key, and of all; returns the exit code."""
    with context.open_store() as store:
        found = store.usage(args.prefix, at=args.at, read_from=args.read_from)
        if context.json:
            put_json_lines(used._asdict() for used in found)
            return 0
        sums = _Sums()
        put_line(f"{'SIZE':>15}  {'STORED':>15}  KEY")
        put_lines(_line(sums.add(used)) for used in found)
        ratio = sums.size / sums.stored if sums.stored else 1.0
        put_line(f"{sums.size:>15}  {sums.stored:>15}  total of {sums.keys} keys, {ratio:.2f}:1")
    return 0


class _Sums:
    def __init__(self) -> None:
        self.size = self.stored = self.keys = 0

    def add(self, used: Used) -> Used:
        self.size += used.size
        self.stored += used.stored
        self.keys += 1
        return used


def _line(used: Used) -> str:
    return f"{used.size:>15}  {used.stored:>15}  {safe(used.key)}"
