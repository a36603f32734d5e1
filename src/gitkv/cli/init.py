"""`git kv init`: a standalone store in the present repository."""

from __future__ import annotations

from gitkv.cli.output import put_json, put_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context

USAGE = "init [--ns NAME]"
NOTES = "Prints the ledger's first commit. A store that is there already is left as it is."


def add_arguments(parser: Parser) -> None:
    """It has only the global options."""


def run(args: Namespace, context: Context) -> int:
    """Makes the repository a standalone store; returns the exit code."""
    from gitkv.client.init import init_store

    report = init_store(context.repository, context.ns, context.env)
    if context.json:
        put_json(report._asdict())
        return 0
    put_line(report.commit)
    signing = (
        f"commits are signed ({report.signing})" if report.signing else "commits are not signed"
    )
    context.note(
        f"store '{report.ns}' {'is ready' if report.created else 'was there already'}; {signing}"
    )
    for advice in report.advice:
        context.note(f"hint: {advice}")
    return 0
