"""`git kv set`: one value, from the command line, a file or standard input."""

from __future__ import annotations

from gitkv.cli.arguments import add_expiry, add_write_options, content_type, message_of, oid
from gitkv.cli.source import read_value, shown
from gitkv.cli.written import put_written
from gitkv.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context
    from gitkv.client.content import Readable
    from gitkv.model.content import Content

USAGE = (
    "set KEY (VALUE | - | --file FILE) [--ctype TYPE] [--ttl 30d | --expires 2027-01-31] "
    "[--if-absent | --if-match ETAG] [--expect-tree OID] [--dry-run] [-m MSG]"
)
NOTES = """\
Prints the ledger commit. A VALUE that begins with a dash goes after '--'.
Exit code 2: a condition does not hold."""


def add_arguments(parser: Parser) -> None:
    """Declares the key, its value and the expectations."""
    parser.add_argument("key", metavar="KEY")
    parser.add_argument(
        "value", nargs="?", metavar="VALUE", help="the value itself; '-' reads standard input"
    )
    parser.add_argument(
        "--file", metavar="FILE", help="the file that holds the value; '-' reads standard input"
    )
    parser.add_argument(
        "--ctype", type=content_type, metavar="TYPE", help="content type to keep with the value"
    )
    add_expiry(parser)
    parser.add_argument("--if-absent", action="store_true", help="only if the key does not exist")
    parser.add_argument(
        "--if-match", type=oid, metavar="ETAG", help="only if the key has this value now"
    )
    parser.add_argument(
        "--expect-tree", type=oid, metavar="OID", help="only if the ledger's tree is this one"
    )
    add_write_options(parser)


def run(args: Namespace, context: Context) -> int:
    """Writes one key; returns the exit code."""
    if args.if_absent and args.if_match is not None:
        raise UsageError("--if-absent and --if-match contradict each other")
    value = _value(args, context)
    with context.open_store(for_writing=isinstance(value, bytes)) as store:
        from gitkv.client.values import Expect  # once ssh is on its way
        from gitkv.model.content import Put

        expect = Expect(if_absent=args.if_absent, if_match=args.if_match, tree=args.expect_tree)
        content = shown(store.content(args.key, value), context)
        put = Put(content, args.ctype or "", store.expiry(args.ttl, args.expires))
        written = store.write({args.key: put}, expect=expect, message=message_of(args))
    return put_written(written, context)


def _value(args: Namespace, context: Context) -> bytes | Content | Readable:
    from os import fsencode

    if args.value is not None and args.file is not None:
        raise UsageError("the value is given twice: as VALUE and with --file")
    if args.file is not None:
        return read_value(args.file, context)
    if args.value is None:
        raise UsageError("no value", hint="give VALUE, '-' for standard input, or --file FILE")
    return read_value("-", context) if args.value == "-" else fsencode(args.value)
