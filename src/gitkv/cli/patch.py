"""In what two values of a key differ, in lines for people, as `git diff` shows files: JSON by its
content, other text as it stands, what is no text by its size.
"""

from __future__ import annotations

from difflib import unified_diff

from gitkv.cli.output import eye_text, safe, value_field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitkv.reading.answers import Changed, Differing

SHOWN_BYTES_MAX = 1 << 20
_LINES_MAX = 2000  # comparing costs up to the square of this
_NONE = "/dev/null"
_OPEN = "\\ no line end"  # shown where one side ends with a line end and the other does not


def patch(differing: Differing, names: tuple[str, str]) -> Iterator[str]:
    """The lines for one key. `names`: how the two states are called. Nothing in them can steer a
    terminal.
    """
    change, old, new = differing
    key = safe(change.key)
    yield f"diff --git-kv {key}"
    if change.op != "change":
        yield "new key" if change.op == "add" else "deleted key"
    yield from _attributes(change)
    if change.old_etag == change.new_etag:
        return
    if _missing(change.old_etag, old) or _missing(change.new_etag, new):
        yield f"values are too large to show: {_sizes(change)}"
        return
    ours, theirs = _lines_of(old, change.old_ctype), _lines_of(new, change.new_ctype)
    if ours == theirs:  # JSON that only stands otherwise
        ours, theirs = _lines_of(old, ""), _lines_of(new, "")
    if ours is None or theirs is None:
        yield f"binary values differ: {_sizes(change)}"
    elif max(len(ours), len(theirs)) > _LINES_MAX:
        yield f"values of too many lines to compare: {_sizes(change)}"
    else:
        ours, theirs = _without_common_end(ours, theirs)
        before, after = (f"{key} ({safe(name)})" for name in names)
        before, after = before if change.old_etag else _NONE, after if change.new_etag else _NONE
        yield from unified_diff(ours, theirs, before, after, lineterm="")


def _without_common_end(ours: list[str], theirs: list[str]) -> tuple[list[str], list[str]]:
    """The lines without the mark of an open end, unless one side alone has it."""
    if [] in (ours, theirs) or (ours[-1] is _OPEN) == (theirs[-1] is _OPEN):
        return [line for line in ours if line is not _OPEN], [
            line for line in theirs if line is not _OPEN
        ]
    return ours, theirs


def patch_fields(differing: Differing) -> dict[str, object]:
    """The same for programs: the change, and the values that are not too large."""
    fields: dict[str, object] = differing.change._asdict()
    for side, value in (("old", differing.old), ("new", differing.new)):
        if value is not None:
            fields |= {f"{side}_{name}": text for name, text in value_field(value).items()}
    return fields


def _missing(etag: str, value: bytes | None) -> bool:
    return bool(etag) and value is None


def _attributes(change: Changed) -> Iterator[str]:
    """Type and expiry, where they differ and both sides are there."""
    if change.op != "change":
        return
    if change.old_ctype != change.new_ctype:
        yield f"type {change.old_ctype or 'none'} -> {change.new_ctype or 'none'}"
    if change.old_expires != change.new_expires:
        yield f"expires {_moment(change.old_expires)} -> {_moment(change.new_expires)}"


def _moment(seconds: int) -> str:
    from gitkv.cli.moments import utc

    return utc(seconds) if seconds else "never"


def _sizes(change: Changed) -> str:
    return f"{change.old_size} -> {change.new_size} bytes"


def _lines_of(value: bytes | None, ctype: str) -> list[str] | None:
    """The lines of a value as they are compared; None for what is no text, none for no value."""
    if value is None:
        return []
    if _is_json(ctype) and (pretty := _pretty(value)) is not None:
        value = pretty
    if b"\0" in value or not _is_utf8(value):
        return None
    lines = value.split(b"\n")
    ended = not lines[-1]
    shown = [eye_text(line) for line in (lines[:-1] if ended else lines)]
    return shown if ended else [*shown, _OPEN]


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_json(ctype: str) -> bool:
    kind = ctype.partition(";")[0].strip().lower()
    return kind in ("application/json", "text/json") or kind.endswith("+json")


def _pretty(value: bytes) -> bytes | None:
    from json import dumps, loads

    try:
        return dumps(loads(value), indent=2, sort_keys=True, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
