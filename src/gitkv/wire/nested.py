"""Keys as nested names, in JSON and YAML: `{"a": {"b": "1"}}` is the key `a/b`.

What has another meaning in every reader is not guessed at: names that stand twice are refused, and
so are aliases and tags of YAML, whose scalars count as the text that they are.
"""

from __future__ import annotations

from json import JSONDecoder, dumps

from gitkv.errors import UsageError
from gitkv.model.content import Put

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any, NoReturn

JSON_TYPE = "application/json"
DEPTH_MAX = 200


class Number(str):
    """A number as it is spelt: 1.0 stays 1.0, whatever its size."""

    __slots__ = ()


def read_json(text: bytes, separator: str) -> Iterator[tuple[str, Put]]:
    """Keys and values of a JSON object. Strings are values as they are; what is neither string nor
    object becomes its JSON text, with the content type application/json. Raises UsageError.
    """
    try:
        tree = _DECODER.decode(text.decode("utf-8-sig"))
    except RecursionError:
        raise UsageError("the JSON is nested too deep") from None
    except ValueError as error:
        raise UsageError(f"not JSON: {error}") from None
    return _flat(tree, separator)


def read_objects(text: bytes) -> list[dict[str, Any]]:
    """The objects of a JSON array. Raises UsageError."""
    try:
        found = _DECODER.decode(text.decode("utf-8-sig"))
    except RecursionError:
        raise UsageError("the JSON is nested too deep") from None
    except ValueError as error:
        raise UsageError(f"not JSON: {error}") from None
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise UsageError("expected a JSON array of objects")
    return found


def read_yaml(text: bytes, separator: str) -> Iterator[tuple[str, Put]]:
    """As `read_json`, of a YAML mapping. Scalars are the text that stands there: `no` is "no"."""
    import yaml

    try:
        events = yaml.parse(text.decode("utf-8-sig"), Loader=yaml.SafeLoader)
        trees = [tree for tree in _documents(events) if tree is not None]
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise UsageError("the YAML is nested too deep") from None
    if len(trees) != 1:
        raise UsageError(f"expected one YAML document, got {len(trees)}")
    return _flat(trees[0], separator)


def write_json(entries: Iterable[tuple[str, bytes, str]], separator: str) -> bytes:
    """A JSON object of keys, values and content types; what was not text when it was read is not
    text again. Raises UsageError for bytes that are no text, and keys that exclude each other.
    """
    tree = nest(((key, _leaf(key, value, ctype)) for key, value, ctype in entries), separator)
    return _json_text(tree, "\n").encode() + b"\n"


def write_yaml(entries: Iterable[tuple[str, bytes, str]], separator: str) -> bytes:
    """A YAML mapping of keys and values, all text. Raises as `write_json`."""
    import yaml

    tree = nest(((key, text_of(key, value)) for key, value, _ in entries), separator)
    # In double quotes everything that a reader could fold or take for another type is escaped.
    text: str = yaml.safe_dump(
        _plain(tree), sort_keys=False, allow_unicode=True, width=1 << 30, default_style='"'
    )
    return text.encode()


def nest(entries: Iterable[tuple[str, Any]], separator: str) -> dict[str, Any]:
    """The tree whose names are the parts of the keys. Raises UsageError when one key would have to
    be a value and hold others.
    """
    tree: dict[str, Any] = {}
    for key, leaf in entries:
        *folders, name = key.split(separator)
        at = tree
        for folder in folders:
            at = at.setdefault(folder, _Branch())
            if not isinstance(at, _Branch):
                raise _excluded(key, separator)
        if name in at:
            raise _excluded(key, separator)
        at[name] = leaf
    return tree


def text_of(key: str, value: bytes) -> str:
    """The value as text. Raises UsageError when it is none."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        hint = "git kv snapshot, or another format, takes any bytes"
        raise UsageError(f"the value of {key} is not UTF-8 text", hint=hint) from None


def _plain(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    return {name: _plain(held) for name, held in tree.items()}


class _Branch(dict[str, object]):
    """What holds other names, and is no value."""


def _flat(tree: Any, separator: str) -> Iterator[tuple[str, Put]]:
    if not isinstance(tree, dict):
        raise UsageError(f"expected an object with names, got {_json_text(tree)[:60]}")
    seen: set[str] = set()
    for parts, leaf in _leaves((), tree):
        key = separator.join(parts)
        if key in seen:
            raise UsageError(f"two places make the key {key!r}", hint="choose another --separator")
        seen.add(key)
        is_text = type(leaf) is str
        value = leaf if is_text else _json_text(leaf)
        try:
            yield key, Put(value.encode(), "" if is_text else JSON_TYPE)
        except UnicodeEncodeError:
            raise UsageError(f"the value of {key} has half of a surrogate pair") from None


def _leaves(parts: Sequence[str], tree: dict[str, Any]) -> Iterator[tuple[Sequence[str], Any]]:
    if len(parts) > DEPTH_MAX:
        raise UsageError(f"expected at most {DEPTH_MAX} names inside one another")
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves((*parts, name), value)
        else:
            yield (*parts, name), value


def _leaf(key: str, value: bytes, ctype: str) -> Any:
    text = text_of(key, value)
    if ctype != JSON_TYPE:
        return text
    try:
        found = _DECODER.decode(text)
    except (ValueError, RecursionError, UsageError):
        return text
    return text if type(found) is str or (isinstance(found, dict) and found) else found


def _json_text(value: Any, line: str = "") -> str:
    """JSON, numbers as they were spelt; `line`: what a new line begins with, "" for one line."""
    inner = line and line + "  "
    gap = "," + (inner or "")
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict) and value:
        colon = ": " if line else ":"
        items = [f"{dumps(name)}{colon}{_json_text(held, inner)}" for name, held in value.items()]
        return "{" + inner + gap.join(items) + line + "}"
    if isinstance(value, list) and value:
        return "[" + inner + gap.join([_json_text(held, inner) for held in value]) + line + "]"
    return dumps(value)


def _documents(events: Iterator[Any]) -> Iterator[Any]:
    import yaml

    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            yield _node(next(events), events, 0)


def _node(event: Any, events: Iterator[Any], depth: int) -> Any:
    """The value that begins with this event: text, a list or a mapping."""
    import yaml

    if isinstance(event, yaml.AliasEvent) or event.anchor or event.tag:
        raise UsageError(
            f"line {event.start_mark.line + 1}: expected YAML without anchors, aliases and tags"
        )
    if depth > DEPTH_MAX:
        raise UsageError(f"expected at most {DEPTH_MAX} names inside one another")
    if isinstance(event, yaml.ScalarEvent):
        return event.value
    if isinstance(event, yaml.SequenceStartEvent):
        return list(_until(yaml.SequenceEndEvent, events, depth))
    inside = _until(yaml.MappingEndEvent, events, depth)
    return _unique([(_name(name), next(inside)) for name in inside])


def _until(end: type, events: Iterator[Any], depth: int) -> Iterator[Any]:
    for event in events:
        if isinstance(event, end):
            return
        yield _node(event, events, depth + 1)


def _name(found: Any) -> str:
    if not isinstance(found, str):
        raise UsageError(f"expected text as a name, got {_json_text(found)[:60]}")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            raise UsageError(f"the name {name!r} stands twice in one object")
        fields[name] = value
    return fields


def _no_constant(name: str) -> NoReturn:
    raise UsageError(f"{name} is not valid JSON")


def _excluded(key: str, separator: str) -> UsageError:
    return UsageError(
        f"key {key!r} and another one exclude each other: one would have to hold the other",
        hint=f"they meet at a {separator!r}: choose another --separator, or a flat format",
    )


_DECODER = JSONDecoder(
    object_pairs_hook=_unique, parse_float=Number, parse_int=Number, parse_constant=_no_constant
)
