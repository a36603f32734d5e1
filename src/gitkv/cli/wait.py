"""`git kv wait`: the fence between a write and the readers that must see it."""

from __future__ import annotations

from gitkv.cli.arguments import duration, oid
from gitkv.cli.output import put_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context

USAGE = "wait --oid OID [--visible-on mirror|stargate] [--timeout 60s]"
NOTES = (
    "OID is the ledger commit that a writing command printed. Prints nothing. Exit code 10: the "
    "time is over; 3: the gateway has undone it."
)


def add_arguments(parser: Parser) -> None:
    """Declares the transaction, where it must be visible and the timeout."""
    parser.add_argument(
        "--oid", required=True, type=oid, metavar="OID", help="the ledger commit to wait for"
    )
    parser.add_argument(
        "--visible-on",
        default="mirror",
        choices=["mirror", "stargate"],
        help="where it must be seen (default: mirror)",
    )
    parser.add_argument(
        "--timeout",
        default=60,
        type=duration,
        metavar="TIME",
        help="how long to wait at most (default: 60s)",
    )


def run(args: Namespace, context: Context) -> int:
    """Waits until a transaction is visible; returns the exit code."""
    with context.open_store() as store:
        store.wait(args.oid, visible_on=args.visible_on, timeout_s=float(args.timeout))
    if context.json:
        put_json({"oid": args.oid, "visible_on": args.visible_on})
    return 0
