"""`git kv stat`: what is known of a key, and how a large value is stored."""

from __future__ import annotations

from gitkv.cli.arguments import add_state
from gitkv.cli.output import put_json, put_line, safe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context
    from gitkv.reading.answers import Stored

USAGE = "stat KEY [--at REV] [--read-from mirror|stargate|local] [--allow-expired]"
NOTES = "A large value shows its manifest: digest, chunking, chunks, and how many of them are here."


def add_arguments(parser: Parser) -> None:
    """Declares the key and the state."""
    parser.add_argument("key", metavar="KEY")
    add_state(parser)
    parser.add_argument(
        "--allow-expired", action="store_true", help="show the key although its time is over"
    )


def run(args: Namespace, context: Context) -> int:
    """Prints what is known of a key; returns the exit code."""
    with context.open_store() as store:
        found = store.stored(
            args.key, at=args.at, read_from=args.read_from, allow_expired=args.allow_expired
        )
        fields = {**found.entry._asdict(), "commit": found.commit, "seq": found.seq}
        fields |= _manifest(found)
    if context.json:
        put_json(fields)
        return 0
    for name, value in fields.items():
        put_line(f"{name:<10}  {_shown(name, value)}")
    return 0


def _manifest(found: Stored) -> dict[str, object]:
    from gitkv.reading.stored import StoredContent

    if not isinstance(found.content, StoredContent):
        return {}
    manifest = found.content.manifest
    return {
        "blake3": manifest.blake3.hex(),
        "chunking": manifest.chunking.text,
        "chunks": manifest.chunks,
        "here": manifest.chunks - sum(1 for _ in found.content.missing()),
        "tree": manifest.tree.hex(),
    }


def _shown(name: str, value: object) -> str:
    from gitkv.cli.moments import utc

    if name == "expires":
        return utc(value) if isinstance(value, int) and value else "-"
    return safe(str(value)) or "-"
