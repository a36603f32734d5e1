"""`git kv cas set`: compare and swap."""

from __future__ import annotations

from gitkv.cli.arguments import add_expiry, add_write_options, content_type, message_of, oid
from gitkv.cli.source import read_value, shown
from gitkv.cli.written import put_written

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context

USAGE = (
    "cas set KEY FILE --expect-blob OID [--expect-tree OID] [--ctype TYPE] "
    "[--ttl 30d | --expires 2027-01-31] [--dry-run] [-m MSG]"
)
NOTES = """\
Sets the key to the contents of FILE ('-': standard input) only if its value now is the blob OID,
the etag that 'get --json' shows; 40 zeros stand for a key that does not exist. Exit code 2: it
is not."""
_ABSENT = "0" * 40


def add_arguments(parser: Parser) -> None:
    """Declares the key, the file and the expectation."""
    parser.add_argument("action", choices=["set"], help="the only one so far")
    parser.add_argument("key", metavar="KEY")
    parser.add_argument("file", metavar="FILE")
    parser.add_argument(
        "--expect-blob",
        required=True,
        type=oid,
        metavar="OID",
        help="the value's blob as you saw it",
    )
    parser.add_argument(
        "--expect-tree", type=oid, metavar="OID", help="the ledger's tree as you saw it"
    )
    parser.add_argument(
        "--ctype", type=content_type, metavar="TYPE", help="content type to keep with the value"
    )
    add_expiry(parser)
    add_write_options(parser)


def run(args: Namespace, context: Context) -> int:
    """Writes one key if its expectation holds; returns the exit code."""
    value = read_value(args.file, context)
    absent = args.expect_blob == _ABSENT
    with context.open_store(for_writing=isinstance(value, bytes)) as store:
        from gitkv.client.values import Expect  # once ssh is on its way
        from gitkv.model.content import Put

        expect = Expect(
            if_absent=absent, if_match=None if absent else args.expect_blob, tree=args.expect_tree
        )
        content = shown(store.content(args.key, value), context)
        put = Put(content, args.ctype or "", store.expiry(args.ttl, args.expires))
        written = store.write({args.key: put}, expect=expect, message=message_of(args))
    return put_written(written, context)
