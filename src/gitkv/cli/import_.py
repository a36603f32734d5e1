"""`git kv import`: the keys of a snapshot, or of a text in another format, in one transaction or in
several.
"""

from __future__ import annotations

from itertools import islice

from gitkv.cli.arguments import add_message, count, message_of
from gitkv.cli.formats import NAMES, add_separator, read_format
from gitkv.cli.output import put_json
from gitkv.cli.source import stdin
from gitkv.cli.written import put_written
from gitkv.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator
    from typing import BinaryIO

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context
    from gitkv.client.store import Put

USAGE = (
    "import FILE|- [--from consul|json|yaml|env|dir [--prefix P] [--separator S]] [--batch N] "
    "[--dry-run] [-m MSG]"
)
NOTES = """\
FILE is what 'git kv snapshot' wrote, or with --from a text in another format, whose keys get the
prefix P. It is read whole and checked before anything is written. Sets its keys, and leaves all
others alone. Without --batch all of it lands in one transaction or nothing does; with it, in
transactions of N keys each: run it again after a failure, and what is there already changes
nothing. Prints the ledger commit of each."""
_LOOK_AT_ONCE = 10_000


def add_arguments(parser: Parser) -> None:
    """Declares what to read, and in which steps to write it."""
    parser.add_argument("file", metavar="FILE", help="the snapshot; '-' is standard input")
    parser.add_argument("--from", dest="form", choices=NAMES, help="the format (default: snapshot)")
    parser.add_argument("--prefix", default="", metavar="P", help="what the keys get before them")
    add_separator(parser)
    parser.add_argument(
        "--batch", type=count, metavar="N", help="a transaction for each N keys (default: for all)"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would change, and write nothing"
    )
    add_message(parser)


def run(args: Namespace, context: Context) -> int:
    """Writes the keys of a snapshot or of another text; returns the exit code."""
    if args.batch == 0:
        raise UsageError("--batch: expected 1 or more, got 0")
    if args.form is not None:
        return _run(
            _checked(read_format(args.form, args, context)), f"import {args.form}", args, context
        )
    if args.prefix:
        raise UsageError("--prefix needs --from: a snapshot has whole keys")
    with _seekable(args, context) as stream:
        from gitkv.cli.progress import counted
        from gitkv.wire.snapshot import check_snapshot, read_entries

        header, keys = check_snapshot(_lines(stream))
        stream.seek(0)
        entries = counted(read_entries(_lines(stream)), f"of {keys:,} keys")
        return _run(entries, f"import {header.ns}@{header.seq}", args, context)


def _run(entries: Iterator[tuple[str, Put]], text: str, args: Namespace, context: Context) -> int:
    if args.dry_run:
        return _compare(entries, context)
    return _write(entries, message_of(args) or text, args.batch, context)


def _checked(entries: Iterator[tuple[str, Put]]) -> Iterator[tuple[str, Put]]:
    """All of them, read to the end before the first is used: a later one may be wrong."""
    return iter(list(entries))


def _write(
    entries: Iterator[tuple[str, Put]], text: str, batch_keys: int | None, context: Context
) -> int:
    with context.open_store(for_writing=True) as store:
        batch = dict(islice(entries, batch_keys))
        while True:
            put_written(
                store.write(batch, message=text), context, unchanged="all of it is there already"
            )
            batch = dict(islice(entries, batch_keys))
            if not batch:
                return 0


def _compare(entries: Iterator[tuple[str, Put]], context: Context) -> int:
    found = {"new": 0, "changed": 0, "same": 0}
    with context.open_store() as store:
        while batch := dict(islice(entries, _LOOK_AT_ONCE)):
            for kind, number in store.compare(batch).items():
                found[kind] += number
    if context.json:
        put_json(found)
    context.note(", ".join(f"{number} {kind}" for kind, number in found.items()))
    return 0


def _seekable(args: Namespace, context: Context) -> BinaryIO:
    """The file, or a copy of what comes through a pipe: it is read twice."""
    from tempfile import TemporaryFile

    source = stdin() if args.file == "-" else open(context.path(args.file), "rb")  # noqa: SIM115 - the caller closes it
    if source.seekable():
        source.seek(0)
        return source
    from shutil import copyfileobj

    copy: BinaryIO = TemporaryFile()  # noqa: SIM115 - the caller closes it
    with source:
        copyfileobj(source, copy)
    copy.seek(0)
    return copy


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    from gitkv.wire.snapshot import LINE_BYTES_MAX

    while line := stream.readline(LINE_BYTES_MAX + 1):
        if len(line) > LINE_BYTES_MAX:
            raise UsageError(f"expected lines of at most {LINE_BYTES_MAX} bytes, got a longer one")
        yield line
