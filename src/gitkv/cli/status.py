"""`git kv status`: how far this clone is, by what it knows itself."""

from __future__ import annotations

from gitkv.cli.output import put_json, put_line, safe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context
    from gitkv.client.status import Status

USAGE = "status [--read-from mirror|stargate|local]"
NOTES = """\
The newest transaction here, when a remote was last looked at, what receipts prove and what the
mirror has shown. Without the network, unless --read-from says to look first. A write ends when
Stargate has answered, so nothing is ever waiting to be sent."""


def add_arguments(parser: Parser) -> None:
    """Declares whether to look at a remote first."""
    parser.add_argument(
        "--read-from",
        default="local",
        choices=["mirror", "stargate", "local"],
        help="where to look first (default: local, nowhere)",
    )


def run(args: Namespace, context: Context) -> int:
    """Prints how far the clone is; returns the exit code."""
    from gitkv.client.refresh import refresh
    from gitkv.client.status import status
    from gitkv.model.address import redact

    with context.open_replica() as replica:
        refresh(replica, args.read_from)
        found = status(replica)
    found = found._replace(reads=redact(found.reads), writes=redact(found.writes))
    if context.json:
        put_json(found._asdict())
        return 0
    for line in _lines(found):
        put_line(safe(line))
    return 0


def _lines(found: Status) -> Iterator[str]:
    from gitkv.cli.moments import utc

    yield f"{found.ns}@{found.seq}  {found.commit}  {utc(found.time)}"
    if found.standalone:
        yield "standalone: this repository is the whole database"
    else:
        looked = "never" if found.looked_s is None else f"{_spell(found.looked_s)} ago"
        yield f"reads from {found.reads} ({found.remote}), last looked {looked}"
        yield f"writes to  {found.writes or 'nowhere: set up for reading'}"
        yield _reached("receipts prove", found.ns, found.receipt_seq, found.without_receipt)
        yield _reached("the mirror has shown", found.ns, found.mirror_seq, found.mirror_lag)
        yield f"policy     {found.policy or 'none is proved yet'}"
    yield f"objects    {found.loose} loose, {_count(found.packs, 'pack')}"


def _reached(what: str, ns: str, seq: int | None, missing: int) -> str:
    if seq is None:
        return f"{what} nothing yet"
    return f"{what} {ns}@{seq}" + (f", and not yet the {_newer(missing)}" if missing else "")


def _newer(number: int) -> str:
    return "one after it" if number == 1 else f"{number} after it"


def _count(number: int, one: str) -> str:
    return f"{number} {one}{'s' * (number != 1)}"


def _spell(seconds: int) -> str:
    from gitkv.cli.moments import remaining

    return remaining(max(seconds, 0) + 1, 1) if seconds else "0s"
