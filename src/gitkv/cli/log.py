"""`git kv log`: the transactions of the ledger, newest first."""

from __future__ import annotations

from gitkv.cli.arguments import count
from gitkv.cli.history import who
from gitkv.cli.output import put_json_lines, put_lines, subject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context
    from gitkv.client.store import Logged

USAGE = "log [-n N]"
NOTES = "One line a transaction: sequence number, commit, time, keys set and deleted, who, message."


def add_arguments(parser: Parser) -> None:
    """Declares the limit."""
    parser.add_argument("-n", "--limit", type=count, metavar="N", help="at most N transactions")


def run(args: Namespace, context: Context) -> int:
    """Prints transactions, newest first; returns the exit code."""
    with context.open_store() as store:
        entries = store.log(limit=args.limit)
        if context.json:
            put_json_lines(entry._asdict() for entry in entries)
        else:
            put_lines(map(_line, entries))
    return 0


def _line(entry: Logged) -> str:
    from gitkv.cli.moments import utc

    counts = f"+{entry.keys_set} -{entry.keys_del}"
    return (
        f"{f'@{entry.seq}':<8}  {entry.commit[:10]}  {utc(entry.time)}  {counts:<10}  {who(entry)} "
        f" {subject(entry.text)}"
    )
