"""`git kv import`: the keys of a snapshot, in one transaction or in several."""

from __future__ import annotations

from itertools import islice

from gitkv.cli.arguments import add_message, count, message_of
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
    from gitkv.wire.snapshot import Header

USAGE = "import FILE|- [--batch N] [--dry-run] [-m MSG]"
NOTES = """\
FILE is what 'git kv snapshot' wrote; it is read whole and checked before anything is written. Sets
its keys, with content type and expiry, and leaves all others alone. Without --batch all of it lands
in one transaction or nothing does; with it, in transactions of N keys each: run it again after a
failure, and what is there already changes nothing. Prints the ledger commit of each."""
_LOOK_AT_ONCE = 10_000


def add_arguments(parser: Parser) -> None:
    """Declares what to read, and in which steps to write it."""
    parser.add_argument("file", metavar="FILE", help="the snapshot; '-' is standard input")
    parser.add_argument(
        "--batch", type=count, metavar="N", help="a transaction for each N keys (default: for all)"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would change, and write nothing"
    )
    add_message(parser)


def run(args: Namespace, context: Context) -> int:
    """Writes the keys of a snapshot; returns the exit code."""
    if args.batch == 0:
        raise UsageError("--batch: expected 1 or more, got 0")
    with _seekable(args, context) as stream:
        from gitkv.cli.progress import counted
        from gitkv.wire.snapshot import check_snapshot, read_entries

        header, keys = check_snapshot(_lines(stream))
        stream.seek(0)
        entries = counted(read_entries(_lines(stream)), f"of {keys:,} keys")
        if args.dry_run:
            return _compare(entries, context)
        return _write(entries, (args, header), context)


def _write(
    entries: Iterator[tuple[str, Put]], what: tuple[Namespace, Header], context: Context
) -> int:
    args, header = what
    text = message_of(args) or f"import {header.ns}@{header.seq}"
    with context.open_store(for_writing=True) as store:
        batch = dict(islice(entries, args.batch))
        while True:
            put_written(
                store.write(batch, message=text), context, unchanged="all of it is there already"
            )
            batch = dict(islice(entries, args.batch))
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

    source = stdin() if args.file == "-" else open(context.path(args.file), "rb")  # noqa: SIM115
    if source.seekable():
        source.seek(0)
        return source
    from shutil import copyfileobj

    copy: BinaryIO = TemporaryFile()  # noqa: SIM115
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
