"""`git kv log`: the transactions of the ledger, newest first."""

from __future__ import annotations

from gitkv.cli.arguments import count, past
from gitkv.cli.colour import Paint
from gitkv.cli.history import who
from gitkv.cli.output import put_json_lines, put_lines, subject
from gitkv.cli.paging import paged
from gitkv.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context
    from gitkv.client.store import Logged

USAGE = (
    "log [KEY | --prefix P] [--author TEXT] [--signer WHO] [--since WHEN] [--until WHEN] [-n N] "
    "[--at REV]"
)
NOTES = """\
One line a transaction: sequence number, commit, time, keys set and deleted, who, message. WHEN is a
date (UTC), a time with its zone, or a time ago: 2027-01-31, 2027-01-31T12:00:00Z, 12h, 30d."""


def add_arguments(parser: Parser) -> None:
    """Declares which transactions, and how many."""
    parser.add_argument("key", nargs="?", metavar="KEY", help="only those that changed KEY")
    parser.add_argument(
        "--prefix", metavar="P", help="only those that changed a key that begins with P"
    )
    parser.add_argument(
        "--author", default="", metavar="TEXT", help="only of authors whose name or email has TEXT"
    )
    parser.add_argument(
        "--signer",
        default="",
        metavar="WHO",
        help="only those signed by a principal, or by a key whose fingerprint begins so",
    )
    for option, help in (("--since", "not made before"), ("--until", "not made after")):
        parser.add_argument(
            option, default=0, type=past, metavar="WHEN", help=f"only those {help} WHEN"
        )
    parser.add_argument("-n", "--limit", type=count, metavar="N", help="at most N transactions")
    parser.add_argument(
        "--at", default="", metavar="REV", help="as of this state (default: the newest)"
    )


def run(args: Namespace, context: Context) -> int:
    """Prints transactions, newest first; returns the exit code."""
    if args.key is not None and args.prefix is not None:
        raise UsageError("expected KEY or --prefix, got both")
    with context.open_store() as store, paged(context, store, "log"):
        from gitkv.reading.answers import Only

        only = Only(
            args.key or "", args.prefix or "", args.author, args.signer, args.since, args.until
        )
        entries = store.log(limit=args.limit, only=only, at=args.at)
        if context.json:
            put_json_lines(entry._asdict() for entry in entries)
        else:
            paint = Paint(context, store)
            put_lines(_line(entry, paint) for entry in entries)
    return 0


def _line(entry: Logged, paint: Paint) -> str:
    from gitkv.cli.moments import utc

    seq = paint("name", f"@{entry.seq}".ljust(8))
    counts = f"+{entry.keys_set} -{entry.keys_del}"
    return (
        f"{seq}  {entry.commit[:10]}  {utc(entry.time)}  {counts:<10}  {who(entry)} "
        f" {subject(entry.text)}"
    )
