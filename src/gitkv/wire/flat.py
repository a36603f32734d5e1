"""Keys in two flat texts of the neighbours: Consul's export of its KV store, and `.env` files."""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from json import dumps

from gitkv.errors import UsageError
from gitkv.model.content import Put
from gitkv.wire.nested import read_objects, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_CONSUL = {"key", "flags", "value", "namespace", "partition"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ENV = re.compile(
    r"[ \t]*(?:#[^\n]*)?\n"
    r"|[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)="
    r"(?:'([^']*)'|\"((?:[^\"\\]|\\.)*)\"|([^\s'\"\\$`#]*))[ \t]*(?:#[^\n]*)?\n",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}


def read_consul(text: bytes) -> Iterator[tuple[str, Put]]:
    """Keys and values of what `consul kv export` prints. Its flags have no place here. Raises
    UsageError.
    """
    seen: set[str] = set()
    for number, entry in enumerate(read_objects(text), 1):
        key, value = entry.get("key"), entry.get("value", "")
        if not _CONSUL.issuperset(entry) or type(key) is not str or type(value or "") is not str:
            raise UsageError(
                f"entry {number}: expected key, flags and value as consul kv export has them"
            )
        if key in seen:
            raise UsageError(f"entry {number}: key {key!r} is there twice")
        seen.add(key)
        try:
            yield key, Put(a2b_base64(value or "", strict_mode=bool(value)))
        except ValueError as error:
            raise UsageError(f"entry {number}: value: expected base64, got {error}") from None


def write_consul(entries: Iterable[tuple[str, bytes, str]]) -> Iterator[bytes]:
    """What `consul kv import` takes: a JSON array, an entry at a time."""
    before = "[\n"
    for key, value, _ in entries:
        held = b2a_base64(value, newline=False).decode()
        yield f"{before}\t{dumps({'key': key, 'flags': 0, 'value': held})}".encode()
        before = ",\n"
    yield b"[]\n" if before == "[\n" else b"\n]\n"


def read_env(text: bytes) -> Iterator[tuple[str, Put]]:
    """Names and values of an `.env` file: `NAME=value`, where the value is a word, in single quotes
    as it stands, or in double quotes with backslash escapes. Nothing is expanded: what a shell
    would expand is refused. Raises UsageError.
    """
    try:
        rest = text.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise UsageError("expected text in UTF-8") from None
    rest += "" if rest.endswith("\n") or not rest else "\n"
    at, seen = 0, set()
    while at < len(rest):
        found = _ENV.match(rest, at)
        if found is None or _expands(found[3] or ""):
            line = rest.count("\n", 0, at) + 1
            raise UsageError(
                f"line {line}: expected NAME=value, with quotes round what is not a plain word"
            )
        at = found.end()
        name = found[1]
        if name is None:
            continue
        if name in seen:
            raise UsageError(f"the name {name} stands twice")
        seen.add(name)
        value = found[2] if found[2] is not None else found[4]
        if value is None:
            value = _ESCAPE.sub(lambda one: _ESCAPED.get(one[1], one[1]), found[3])
        yield name, Put(value.encode())


def write_env(entries: Iterable[tuple[str, bytes, str]]) -> Iterator[bytes]:
    """`NAME='value'` lines, which a shell can source. Raises UsageError for a key that is no name
    of a variable, and a value that is no text or holds a NUL.
    """
    for key, value, _ in entries:
        text = text_of(key, value)
        if _NAME.fullmatch(key) is None:
            raise UsageError(
                f"key {key!r} is no name of a variable: expected letters, digits and _",
                hint="a --prefix is taken off the keys",
            )
        if "\0" in text or "\r" in text:
            raise UsageError(f"the value of {key} holds a character that an .env file cannot have")
        if "'" in text:
            text = re.sub(r'([\\"$`])', r"\\\1", text)
            yield f'{key}="{text}"\n'.encode()
        else:
            yield f"{key}='{text}'\n".encode()


def _expands(text: str) -> bool:
    """Whether a shell would put something else for a part of a text in double quotes."""
    bare = _ESCAPE.sub("", text)
    return "$" in bare or "`" in bare
