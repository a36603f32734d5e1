"""Templates: texts in which `{{ KEY }}` stands for a value. No loops, no conditions, no code."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from gitkv.errors import KeyNotFoundError, UsageError
from gitkv.model.verdict import printable

_OPEN, _CLOSE = b"{{", b"}}"
_BARE = re.compile(r"[^\s|?\"'{}]+")
_MISSING_MAX = 20


class Place(NamedTuple):
    """`{{ KEY | filter ? otherwise }}`: `filter` is "" for the value as it is; `otherwise` None
    where the key must exist.
    """

    key: str
    filter: str
    otherwise: bytes | None


def parse_template(text: bytes) -> list[bytes | Place]:
    """The pieces of a template, in order. Raises UsageError with the line of what is malformed."""
    parts: list[bytes | Place] = []
    at = 0
    while (start := text.find(_OPEN, at)) >= 0:
        parts.append(text[at:start])
        if text.startswith(_OPEN, start + 2):  # a doubled one is itself
            parts.append(_OPEN)
            at = start + 4
            continue
        line = text.count(b"\n", 0, start) + 1
        place, at = _place(text, start + 2, line)
        parts.append(place)
    return [*parts, text[at:]]


def _place(text: bytes, start: int, line: int) -> tuple[Place, int]:
    """The place that begins after `{{`, and where the text goes on. A key in quotes may hold
    `}}`.
    """
    stop = text.find(b"\n", start)
    row = text[start : stop if stop >= 0 else len(text)].decode("utf-8", "surrogateescape")
    key, rest = _key(row, line)
    end = rest.find("}}")
    if end < 0:
        raise _malformed(line, "}} on the same line", "none")
    inner = rest[:end].strip()
    consumed = len(_bytes(row)) - len(_bytes(rest[end + 2 :]))
    return _with_options(key, inner, line), start + consumed


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _key(row: str, line: int) -> tuple[str, str]:
    text = row.lstrip()
    if text.startswith('"'):
        from json import JSONDecoder

        try:
            key, end = JSONDecoder().raw_decode(text)
        except ValueError as error:
            raise _malformed(line, "a key as a JSON string", str(error)) from None
        return str(key), text[end:]
    found = _BARE.match(text)
    if found is None or not found[0].isprintable():
        raise _malformed(line, "a key after {{", _bytes(text[:40]) or "nothing")
    return found[0], text[found.end() :]


def _with_options(key: str, inner: str, line: int) -> Place:
    head, question, otherwise = inner.partition("?")
    name = head.strip()
    if name.startswith("|"):
        name = name[1:].strip()
        if name not in _FILTERS:
            raise _malformed(line, f"one of {', '.join(_FILTERS)} after |", name or "nothing")
    elif name:
        raise _malformed(line, "|, ? or }} after the key", name[:40])
    return Place(key, name, _bytes(otherwise.strip()) if question else None)


def _malformed(line: int, expected: str, got: str | bytes) -> UsageError:
    return UsageError(f"template, line {line}: expected {expected}, got {printable(got)}")


def _json(value: bytes) -> bytes:
    from json import dumps

    return dumps(_text(value, "json"), ensure_ascii=False).encode()


def _shell(value: bytes) -> bytes:
    if b"\0" in value:
        raise UsageError("a value with a NUL byte is no word of a shell")
    return b"'" + value.replace(b"'", b"'\\''") + b"'"


def _base64(value: bytes) -> bytes:
    from binascii import b2a_base64

    return b2a_base64(value, newline=False)


def _text(value: bytes, what: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise UsageError(f"a value that is not UTF-8 has no form in {what}") from None


_FILTERS: dict[str, Callable[[bytes], bytes]] = {"json": _json, "shell": _shell, "base64": _base64}


def filled(
    parts: Sequence[bytes | Place], read: Callable[[Sequence[str]], Mapping[str, bytes]]
) -> bytes:
    """The text. `read` gives the values of those keys that exist. Raises KeyNotFoundError naming
    the keys that do not, UsageError for a value that its filter cannot take.
    """
    places = [part for part in parts if isinstance(part, Place)]
    values = read(list(dict.fromkeys(place.key for place in places)))
    missing = dict.fromkeys(
        place.key for place in places if place.otherwise is None and place.key not in values
    )
    if missing:
        names = ", ".join(list(missing)[:_MISSING_MAX])
        more = f" and {len(missing) - _MISSING_MAX} more" if len(missing) > _MISSING_MAX else ""
        raise KeyNotFoundError(f"the template asks for keys that do not exist: {names}{more}")
    return b"".join(_value(part, values) if isinstance(part, Place) else part for part in parts)


def _value(place: Place, values: Mapping[str, bytes]) -> bytes:
    if place.key not in values:
        assert place.otherwise is not None
        return place.otherwise
    try:
        return _FILTERS[place.filter](values[place.key]) if place.filter else values[place.key]
    except UsageError as error:
        raise UsageError(f"{place.key}: {error}") from None
