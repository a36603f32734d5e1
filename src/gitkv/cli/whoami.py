"""`git kv whoami`: who this clone writes as, what it may write, where reads and writes go."""

from __future__ import annotations

from gitkv.cli.output import put_json, put_line, safe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context
    from gitkv.client.whoami import Self

USAGE = "whoami"
NOTES = "By the policy that this clone knows, without the network; 'git kv doctor' asks Stargate."


def add_arguments(parser: Parser) -> None:
    """It has only the global options."""


def run(args: Namespace, context: Context) -> int:
    """Prints who one is; returns the exit code."""
    from gitkv.client.whoami import whoami
    from gitkv.model.address import redact

    with context.open_replica() as replica:
        found = whoami(replica)
    found = found._replace(reads=redact(found.reads), writes=redact(found.writes))
    if context.json:
        put_json(found._asdict())
        return 0
    for line in _lines(found):
        put_line(safe(line))
    for advice in found.missing:
        context.note(f"hint: {safe(advice)}")
    return 0


def _lines(found: Self) -> Iterator[str]:
    yield f"author     {found.name} <{found.email}>" if found.email else "author     not set"
    yield f"signs with {_key(found)}"
    if found.principal:
        yield f"principal  {found.principal}{', admin' if found.admin else ''}"
    if found.may_write:
        yield f"may write  in {found.ns}: {', '.join(found.prefixes) or 'every key'}"
    else:
        yield f"may write  nothing in {found.ns}"
    yield f"reads from {found.reads}"
    yield f"writes to  {found.writes or 'nowhere'}"


def _key(found: Self) -> str:
    if not found.signing:
        return "no key"
    parts = [found.signing, found.key, f"({found.standing})" if found.standing else ""]
    return " ".join(part for part in parts if part)
