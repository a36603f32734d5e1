"""`git kv remote setup`: make a clone of the mirror write to its Stargate."""

from __future__ import annotations

from gitkv.cli.output import put_json, put_line, safe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context

USAGE = "remote setup [--remote NAME]"
NOTES = """\
Reads stargate.push_url from the clone's .kv/policy.yaml, sets the push URL, the fetch refspecs and
the signing key, and fetches the store. Prints what it changed, one line each."""


def add_arguments(parser: Parser) -> None:
    parser.add_argument("action", choices=["setup"], help="the only one so far")
    parser.add_argument(
        "--remote",
        default="origin",
        metavar="NAME",
        help="the remote that is the mirror (default: origin)",
    )


def run(args: Namespace, context: Context) -> int:
    from gitkv.client.setup import setup_remote

    report = setup_remote(context.repository, args.remote, context.ns, context.env)
    if context.json:
        put_json(report._asdict())
        return 0
    for step in report.steps:
        put_line(safe(step))
    return 0
