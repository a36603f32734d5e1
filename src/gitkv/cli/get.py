"""`git kv get`: one value, bit for bit; several keys are left to `get_many`."""

from __future__ import annotations

import re

from gitkv.cli.arguments import add_freshness, add_state, require_freshness
from gitkv.cli.output import (
    is_terminal,
    put_json,
    put_value,
    stdout,
    value_field,
    write_file,
)
from gitkv.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context
    from gitkv.reading.answers import Stored

_EYES_BYTES_MAX = 16 << 20
_RANGE = re.compile(r"([0-9]{0,18}):([0-9]{0,18})")

USAGE = (
    "get (KEY... | --prefix P) [--range A:B] [-o FILE | -z | --output-dir DIR] [--at REV] "
    "[--read-from mirror|stargate|local] [--allow-expired] [--at-least @SEQ [--timeout 60s]] "
    "[--max-staleness TIME]"
)
NOTES = """\
One value is printed as it is; on a terminal a line end is added, and what could steer it is
escaped. Several are printed one a line, as KEY, a tab and the value with control characters and
backslashes escaped; for programs there are --json, -z and --output-dir. All come from one state.
REV is @SEQ, a ledger commit, an epoch's label, or a moment ('2 days ago', 2026-03-03).
Exit code 1: no such key; 7: expired; 10: not as new as demanded."""


def add_arguments(parser: Parser) -> None:
    """Declares the keys, where to read them and where to write their values."""
    parser.add_argument("keys", nargs="*", metavar="KEY")
    parser.add_argument("--prefix", metavar="P", help="all keys that begin with P")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="write the value to FILE, as a whole or not at all"
    )
    parser.add_argument(
        "--range", metavar="A:B", help="the bytes from A up to B only; chunks of others stay away"
    )
    parser.add_argument(
        "-z", "--null", action="store_true", help="print KEY, a line end, the value, a NUL byte"
    )
    parser.add_argument(
        "--output-dir",
        metavar="DIR",
        help="write one file a key into DIR, which is new or empty, all or none",
    )
    add_state(parser)
    parser.add_argument(
        "--allow-expired", action="store_true", help="print the value although its time is over"
    )
    add_freshness(parser)


def run(args: Namespace, context: Context) -> int:
    """Writes the value of one key, or of several; returns the exit code."""
    if not args.keys and args.prefix is None:
        raise UsageError("no key", hint="give one KEY or more, or --prefix P")
    if args.range is not None and (len(args.keys) != 1 or args.prefix is not None):
        raise UsageError("--range is for one key")
    if len(args.keys) != 1 or args.prefix is not None or args.null or args.output_dir is not None:
        from gitkv.cli.get_many import run_many

        return run_many(args, context)
    start, stop = (0, None) if args.range is None else _range(args.range)
    with context.open_store() as store:
        require_freshness(store, args)
        found = store.stored(
            args.keys[0], at=args.at, read_from=args.read_from, allow_expired=args.allow_expired
        )
        pieces = _pieces(found, start, stop, context)
        if args.output not in (None, "-"):
            write_file(context.path(args.output), pieces)
            if context.json:
                put_json(_fields(found))
        elif context.json:
            put_json({**_fields(found), **value_field(b"".join(pieces))})
        elif not is_terminal():
            for piece in pieces:
                stdout().write(piece)
        elif not put_value(_for_eyes(found, pieces)):
            context.note("hint: shown with escapes; -o FILE, or a pipe, has the value bit for bit")
    return 0


def _pieces(found: Stored, start: int, stop: int | None, context: Context) -> Iterator[bytes]:
    pieces, size = found.content.pieces(start, stop), found.content.size
    if size < _EYES_BYTES_MAX:
        return pieces
    from gitkv.cli.progress import Progress, is_shown, watched

    total = (size if stop is None else min(stop, size)) - start
    return watched(pieces, Progress("read", total)) if is_shown(context) else pieces


def _fields(found: Stored) -> dict[str, object]:
    """What is known of the value, without it."""
    fields = found.entry._asdict()
    del fields["size"]
    return {**fields, "commit": found.commit, "seq": found.seq}


def _for_eyes(found: Stored, pieces: Iterator[bytes]) -> bytes:
    if found.content.size > _EYES_BYTES_MAX:
        raise UsageError(
            f"the value of {found.entry.key} has {found.content.size} bytes, which nobody reads on "
            "a terminal",
            hint="write it to a file: -o FILE; a part of it: --range 0:1000",
        )
    return b"".join(pieces)


def _range(text: str) -> tuple[int, int | None]:
    """`A:B`, bytes from A up to B; without A from the start, without B to the end."""
    match = _RANGE.fullmatch(text)
    if match is None:
        raise UsageError(f"--range: expected A:B, bytes from A up to B, got {text[:60]!r}")
    start, stop = int(match[1] or 0), int(match[2]) if match[2] else None
    if stop is not None and stop < start:
        raise UsageError(f"--range: expected A:B with A up to B, got {text!r}")
    return start, stop
