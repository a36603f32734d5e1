"""`git kv doctor`: what stands between this clone and reading or writing, each with its fix."""

from __future__ import annotations

from gitkv.cli.output import put_json_lines, put_lines, safe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context
    from gitkv.client.doctor import Finding

USAGE = "doctor [--offline]"
NOTES = """\
Looks at git, identity, store, policy, signing (by a test signature), refspecs and clock; then at
the mirror, and at Stargate's host key and log-in. Changes nothing. Exit code 5: a problem."""
_EXIT_PROBLEM = 5


def add_arguments(parser: Parser) -> None:
    """Declares whether the network may be used."""
    parser.add_argument("--offline", action="store_true", help="leave out what needs the network")


def run(args: Namespace, context: Context) -> int:
    """Prints what was looked at; returns 5 when there is a problem, 0 otherwise."""
    from gitkv.client.doctor import PROBLEM, examine
    from gitkv.model.address import redact

    problems = []
    with context.open_replica() as replica:

        def findings() -> Iterator[Finding]:
            for one in examine(replica, offline=args.offline):
                if one.state == PROBLEM:
                    problems.append(one)
                yield one._replace(text=redact(one.text), fix=redact(one.fix))

        if context.json:
            put_json_lines(one._asdict() for one in findings())
        else:
            put_lines(line for one in findings() for line in _lines(one))
    return _EXIT_PROBLEM if problems else 0


def _lines(finding: Finding) -> Iterator[str]:
    yield f"{finding.state:<8} {finding.check:<9} {safe(finding.text)}"
    for fix in finding.fix.split("\n") if finding.state == "problem" and finding.fix else ():
        yield f"         fix: {safe(fix)}"
