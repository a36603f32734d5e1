"""`git kv watch`: every accepted transaction, as it comes."""

from __future__ import annotations

from itertools import islice

from gitkv.cli.arguments import count
from gitkv.cli.output import is_terminal, put_json, put_line, safe, stdout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context
    from gitkv.client.watch import Happened

USAGE = "watch [--since REV] [--prefix P] [-n N] [--read-from mirror|stargate|local]"
NOTES = """\
Prints what has happened since REV, by default from now on, and then goes on with each transaction
when it can be seen; none is left out or told twice. A line a key: sequence number, A (added),
M (changed) or D (deleted), the key, with tabs between. To go on later, give the last sequence
number that was handled to --since. Ends after N transactions, or with Ctrl-C."""
_LETTERS = {"add": "A", "change": "M", "delete": "D"}


def add_arguments(parser: Parser) -> None:
    """Declares where to begin, what to show and when to end."""
    parser.add_argument(
        "--since", default="", metavar="REV", help="the state to go on after (default: the newest)"
    )
    parser.add_argument("--prefix", default="", metavar="P", help="only keys that begin with P")
    parser.add_argument("-n", "--limit", type=count, metavar="N", help="end after N transactions")
    parser.add_argument(
        "--read-from",
        default="mirror",
        choices=["mirror", "stargate", "local"],
        help="where to look (default: mirror)",
    )


def run(args: Namespace, context: Context) -> int:
    """Prints transactions until it is interrupted; returns the exit code."""
    with context.open_store() as store:
        found = store.watch(args.since, prefix=args.prefix, read_from=args.read_from)
        for happened in islice(found, args.limit):
            if context.json:
                changes = [change._asdict() for change in happened.changes]
                put_json({**happened.entry._asdict(), "changes": changes})
            else:
                for line in _lines(happened):
                    put_line(line)
            stdout().flush()  # whoever reads along waits for it
    return 0


def _lines(happened: Happened) -> Iterator[str]:
    shown = safe if is_terminal() else str
    for change in happened.changes:
        yield f"@{happened.entry.seq}\t{_LETTERS[change.op]}\t{shown(change.key)}"
