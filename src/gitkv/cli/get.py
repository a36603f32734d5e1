"""`git kv get`: one value, bit for bit."""

from __future__ import annotations

from gitkv.cli.output import put_json, stdout, value_field, write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context

USAGE = "get KEY [-o FILE] [--at REV] [--read-from mirror|stargate|local] [--allow-expired]"
NOTES = """\
REV is @SEQ, a ledger commit, or an epoch's label. Exit code 1: no such key; 7: expired."""


def add_arguments(parser: Parser) -> None:
    """Declares the key, where to read it and where to write its value."""
    parser.add_argument("key", metavar="KEY")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="write the value to FILE, as a whole or not at all"
    )
    parser.add_argument(
        "--at", default="", metavar="REV", help="the state to read (default: the newest)"
    )
    parser.add_argument(
        "--read-from",
        default="mirror",
        choices=["mirror", "stargate", "local"],
        help="how fresh (default: mirror)",
    )
    parser.add_argument(
        "--allow-expired", action="store_true", help="print the value although its time is over"
    )


def run(args: Namespace, context: Context) -> int:
    """Writes the value of one key; returns the exit code."""
    with context.open_store() as store:
        found = store.value(
            args.key, at=args.at, read_from=args.read_from, allow_expired=args.allow_expired
        )
    to_file = args.output not in (None, "-")
    if to_file:
        write_file(context.path(args.output), found.value)
    if context.json:
        fields = found._asdict()
        value = fields.pop("value")
        put_json(fields if to_file else fields | value_field(value))
    elif not to_file:
        stdout().write(found.value)
    return 0
