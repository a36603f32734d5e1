"""`git kv get`: one value, bit for bit; several keys are left to `get_many`."""

from __future__ import annotations

from gitkv.cli.output import put_json, put_value, value_field, write_file
from gitkv.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context

USAGE = (
    "get (KEY... | --prefix P) [-o FILE | -z | --output-dir DIR] [--at REV] "
    "[--read-from mirror|stargate|local] [--allow-expired]"
)
NOTES = """\
One value is printed as it is; on a terminal a line end is added, and what could steer it is
escaped. Several are printed one a line, as KEY, a tab and the value with control characters and
backslashes escaped; for programs there are --json, -z and --output-dir. All come from one state.
REV is @SEQ, a ledger commit, an epoch's label, or a moment ('2 days ago', 2026-03-03).
Exit code 1: no such key; 7: expired."""


def add_arguments(parser: Parser) -> None:
    """Declares the keys, where to read them and where to write their values."""
    parser.add_argument("keys", nargs="*", metavar="KEY")
    parser.add_argument("--prefix", metavar="P", help="all keys that begin with P")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="write the value to FILE, as a whole or not at all"
    )
    parser.add_argument(
        "-z", "--null", action="store_true", help="print KEY, a line end, the value, a NUL byte"
    )
    parser.add_argument(
        "--output-dir",
        metavar="DIR",
        help="write one file a key into DIR, which is new or empty, all or none",
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
    """Writes the value of one key, or of several; returns the exit code."""
    if not args.keys and args.prefix is None:
        raise UsageError("no key", hint="give one KEY or more, or --prefix P")
    if len(args.keys) != 1 or args.prefix is not None or args.null or args.output_dir is not None:
        from gitkv.cli.get_many import run_many

        return run_many(args, context)
    with context.open_store() as store:
        found = store.value(
            args.keys[0], at=args.at, read_from=args.read_from, allow_expired=args.allow_expired
        )
    to_file = args.output not in (None, "-")
    if to_file:
        write_file(context.path(args.output), found.value)
    if context.json:
        fields = found._asdict()
        value = fields.pop("value")
        put_json(fields if to_file else fields | value_field(value))
    elif not to_file and not put_value(found.value):
        context.note("hint: shown with escapes; -o FILE, or a pipe, has the value bit for bit")
    return 0
