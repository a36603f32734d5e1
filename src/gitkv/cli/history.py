"""`git kv history`: the versions of one key: when, what, and who signed."""

from __future__ import annotations

from gitkv.cli.arguments import count
from gitkv.cli.colour import Paint
from gitkv.cli.output import put_json_lines, put_lines, safe, subject
from gitkv.cli.paging import paged
from gitkv.errors import KeyNotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context
    from gitkv.reading.answers import Logged, Revision
    from gitkv.reading.blame import Blamed

USAGE = "history KEY [-n N] [--at REV]"
NOTES = (
    "One line a version, newest first: sequence number, time, what happened, size, etag, who, "
    "message.\nExit code 1: the key never existed."
)


def add_arguments(parser: Parser) -> None:
    """Declares the key and the limit."""
    parser.add_argument("key", metavar="KEY")
    parser.add_argument("-n", "--limit", type=count, metavar="N", help="at most N versions")
    parser.add_argument(
        "--at", default="", metavar="REV", help="as of this state (default: the newest)"
    )


def run(args: Namespace, context: Context) -> int:
    """Prints the versions of one key, newest first; returns the exit code."""
    with context.open_store() as store, paged(context, store, "history"):
        revisions = _at_least_one(store.history(args.key, limit=args.limit, at=args.at), args)
        if context.json:
            put_json_lines(revision._asdict() for revision in revisions)
        else:
            paint = Paint(context, store)
            put_lines(_line(entry, paint) for entry in revisions)
    return 0


def _at_least_one(revisions: Iterator[Revision], args: Namespace) -> Iterator[Revision]:
    """The store answers a key that never was with nothing; a script needs to be told by the exit
    code.
    """
    first = next(revisions, None)
    if first is not None:
        yield first
        yield from revisions
    elif args.limit != 0:
        raise KeyNotFoundError(f"key {args.key!r} never existed")


def who(entry: Revision | Logged | Blamed) -> str:
    """The author, with the principal whose key signed, when that is known."""
    signed = entry.principal or entry.signer
    return safe(f"{entry.author} ({signed})" if signed else entry.author)


def _line(revision: Revision, paint: Paint) -> str:
    from gitkv.cli.moments import utc

    seq = paint("name", f"@{revision.seq}".ljust(8))
    etag, size = (revision.etag[:10], revision.size) if revision.etag else ("-", "-")
    what = f"{revision.op:<6}  {size:>10}  {etag:<10}"
    return f"{seq}  {utc(revision.time)}  {what}  {who(revision)}  {subject(revision.text)}"
