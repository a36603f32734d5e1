"""`git kv mset`: a batch of sets and deletions, in one transaction. The batch's form is `batch`'s
matter.
"""

from __future__ import annotations

from gitkv.cli.arguments import add_write_options, message_of
from gitkv.cli.source import held_or_content, stdin
from gitkv.cli.written import put_written
from gitkv.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context
    from gitkv.model.content import Content, Put

USAGE = "mset (--file FILE | -) [--dry-run] [-m MSG]"
NOTES = """\
The batch is JSON Lines, one operation a line:
  {"op":"set","key":K, "value":TEXT or "value_b64":BASE64 or "file":NAME,
   "ctype":TYPE, "ttl":"30d" or "expires":"2027-01-31"}
  {"op":"del","key":K}
Either all operations land, or none. Prints the ledger commit. An empty batch is
success without a commit."""


def add_arguments(parser: Parser) -> None:
    """Declares where the batch is read from."""
    parser.add_argument("stdin", nargs="?", metavar="-", help="read the batch from standard input")
    parser.add_argument(
        "--file", metavar="FILE", help="read the batch from FILE; '-' is standard input"
    )
    add_write_options(parser)


def run(args: Namespace, context: Context) -> int:
    """Writes a batch in one transaction; returns the exit code."""
    changes = _changes(args, context)
    are_short = all(put is None or isinstance(put.value, bytes) for put in changes.values())
    with context.open_store(for_writing=are_short) as store:  # no connection waits for the cutting
        written = store.write(changes, message=message_of(args))
    return put_written(written, context)


def _changes(args: Namespace, context: Context) -> dict[str, Put | None]:
    from time import time

    from gitkv.wire.batch import read_batch

    sources = [name for name in (args.file, args.stdin) if name is not None]
    if len(sources) != 1 or args.stdin not in (None, "-"):
        raise UsageError("expected one batch", hint="give --file FILE, or - for standard input")
    now_s = int(time())

    def find(name: str) -> bytes | Content:
        return held_or_content(context.path(name))

    if sources[0] == "-":
        return read_batch(stdin(), "standard input", now_s, find)
    with open(context.path(sources[0]), "rb") as stream:
        return read_batch(stream, sources[0], now_s, find)
