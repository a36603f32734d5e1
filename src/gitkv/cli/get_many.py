"""`git kv get` of several keys: lines for people; JSON Lines, NUL-ended records or one file a key
for programs. All values come from one state.
"""

from __future__ import annotations

import os

from gitkv.cli.arguments import require_freshness
from gitkv.cli.output import one_line, put_json_lines, put_lines, safe, stdout, value_field
from gitkv.errors import ToolError, UsageError
from gitkv.model.key import encode_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Iterator

    from gitkv.cli.context import Context
    from gitkv.reading.answers import Stored, Value

_WHOLE_NAME_MAX = 200  # of the 255 bytes that file systems take
_CUT_NAME = 150


def run_many(args: Namespace, context: Context) -> int:
    """Writes the values of several keys; returns the exit code."""
    _check_form(args, context)
    how = {"at": args.at, "read_from": args.read_from, "allow_expired": args.allow_expired}
    with context.open_store() as store:
        require_freshness(store, args)
        if args.output_dir is not None:
            found = (
                store.stored_of(args.keys, **how)
                if args.prefix is None
                else store.stored_under(args.prefix, **how)
            )
            files = write_folder(context.path(args.output_dir), found)
            if context.json:
                put_json_lines(files)
            return 0
        values = (
            store.values_of(args.keys, **how)
            if args.prefix is None
            else store.values_under(args.prefix, **how)
        )
        if context.json:
            put_json_lines(_fields(value) for value in values)
        elif args.null:
            for value in values:
                stdout().write(_record(value))
        else:
            put_lines(f"{safe(value.key)}\t{one_line(value.value)}" for value in values)
    return 0


def _check_form(args: Namespace, context: Context) -> None:
    if args.keys and args.prefix is not None:
        raise UsageError("expected keys or --prefix, got both")
    if args.output is not None:
        raise UsageError("-o takes one value", hint="several go into a directory: --output-dir DIR")
    if args.null and (context.json or args.output_dir is not None):
        raise UsageError("-z contradicts --json and --output-dir")


def _fields(value: Value) -> dict[str, object]:
    fields = value._asdict()
    return fields | value_field(fields.pop("value"))


def _record(value: Value) -> bytes:
    """As `git config --list -z` writes its own: a key holds no line end."""
    if b"\0" in value.value:
        raise UsageError(
            f"the value of {value.key} holds a NUL byte, which -z cannot carry",
            hint="use --json or --output-dir",
        )
    return value.key.encode() + b"\n" + value.value + b"\0"


def file_name(key: str) -> str:
    """The name of a key's file: its encoded name, which holds no `/`, is not hidden, and belongs to
    this key alone. A dash at its start is `%2D`, so that no program takes it for an option; a long
    name is cut, and told apart by a digest after `~`, which no name holds.
    """
    name = encode_key(key).decode()
    if name.startswith("-"):
        name = f"%2D{name[1:]}"
    if len(name) <= _WHOLE_NAME_MAX:
        return name
    from hashlib import sha256

    return f"{name[:_CUT_NAME]}~{sha256(name.encode()).hexdigest()}"


def write_folder(path: str, values: Iterable[Stored]) -> Iterator[dict[str, object]]:
    """Writes one file a value into a new or empty directory, all of them or none; what was written
    where, without the values.
    """
    from tempfile import mkdtemp

    target = os.path.abspath(path)
    if os.path.lexists(target) and (not os.path.isdir(target) or os.listdir(target)):
        raise UsageError(f"{path}: expected a new or empty directory")
    draft = mkdtemp(prefix=".git-kv-", dir=os.path.dirname(target))
    try:
        written = [_write(draft, value) for value in values]
        os.chmod(draft, 0o777 & ~_umask())
        os.rename(draft, target)
    except BaseException:
        from shutil import rmtree

        rmtree(draft, ignore_errors=True)
        raise
    return iter(written)


def _write(folder: str, value: Stored) -> dict[str, object]:
    name = file_name(value.entry.key)
    try:
        with open(os.path.join(folder, name), "xb") as stream:
            for piece in value.content.pieces():
                stream.write(piece)
    except FileExistsError:
        raise ToolError(
            f"{name}: another key has this file",
            hint="this file system does not tell upper from lower case; use another, or --json",
        ) from None
    fields = value.entry._asdict()
    del fields["size"]
    return {**fields, "commit": value.commit, "seq": value.seq, "file": name}


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
