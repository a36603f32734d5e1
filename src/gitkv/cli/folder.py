"""Keys as the files of a folder: the names on the way to a file, joined, are its key."""

from __future__ import annotations

import os

from gitkv.cli.source import held_or_content
from gitkv.errors import ToolError, UsageError
from gitkv.model.content import Put

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_NAME_BYTES_MAX = 255


def read_folder(path: str, separator: str) -> Iterator[tuple[str, Put]]:
    """Keys and values of the files below a folder, hidden ones included. Raises OSError, UsageError
    for a link or a device, and for a name that holds the separator.
    """
    for folder, names, files in os.walk(path, onerror=_fail):
        names.sort()
        way = os.path.relpath(folder, path).split(os.sep)
        parts = [] if way == ["."] else way
        for name in sorted(files) + [name for name in names if _is_link(folder, name)]:
            file = os.path.join(folder, name)
            if os.path.islink(file) or not os.path.isfile(file):
                raise UsageError(f"{file}: expected files and folders, no links or devices")
            if any(separator in part for part in (*parts, name)):
                raise UsageError(f"{file}: a name holds the separator {separator!r}")
            yield separator.join((*parts, name)), Put(held_or_content(file))


def write_folder(path: str, entries: Iterable[tuple[str, bytes, str]], separator: str) -> None:
    """A file for each key, in a folder that is new or empty. Raises OSError, UsageError for a key
    that can be no way to a file.
    """
    os.makedirs(path, exist_ok=True)
    if os.listdir(path):
        raise ToolError(f"{path} is not empty", hint="name a folder that is new or empty")
    for key, value, _ in entries:
        parts = key.split(separator)
        for part in parts:
            if part in ("", ".", "..") or "/" in part or len(os.fsencode(part)) > _NAME_BYTES_MAX:
                raise UsageError(
                    f"key {key!r} can be no way to a file: {part!r} is no name of one",
                    hint="git kv get --prefix P --output-dir DIR writes any key",
                )
        try:
            os.makedirs(os.path.join(path, *parts[:-1]), exist_ok=True)
            with open(os.path.join(path, *parts), "xb") as stream:
                stream.write(value)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise UsageError(
                f"key {key!r} and another one exclude each other: a file is no folder"
            ) from None


def _is_link(folder: str, name: str) -> bool:
    return os.path.islink(os.path.join(folder, name))


def _fail(error: OSError) -> None:
    raise error
