"""The batch of `git kv mset`: JSON Lines, read strictly (docs/cli.md, section mset).

All problems are found before anything is written, and the first 20 are told at once. A lenient
reader would be a trap here: of two equal names in an object, or two lines for one key, somebody
meant the one that was dropped. Opening the files that a batch names is left to its caller.
"""

from __future__ import annotations

from binascii import a2b_base64
from json import JSONDecoder

from gitkv.errors import GitKvError, KeyInvalidError, ToolError, UsageError
from gitkv.model.content import CTYPE, Put
from gitkv.model.duration import DURATION_FORM, TTL_S_MAX, parse_duration
from gitkv.model.key import encode_key
from gitkv.model.moment import FORMS, MOMENT_MAX_S, parse_moment
from gitkv.model.verdict import BROKEN, KEY, REASONS_MAX, Reason, printable, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, NoReturn

    from gitkv.model.content import Content

    Find = Callable[[str], bytes | Content]

MALFORMED = 129
_FIELDS = {
    "set": {"op", "key", "value", "value_b64", "file", "ctype", "ttl", "expires"},
    "del": {"op", "key"},
}
_SOURCES = ("value", "value_b64", "file")


class BatchError(GitKvError):
    """The batch cannot be used. `reasons` has one entry for each problem; nothing was changed."""

    def __init__(self, name: str, reasons: list[Reason]) -> None:
        super().__init__(
            f"{name}: {len(reasons)} problem{'s' * (len(reasons) != 1)}, nothing was changed",
            hint="nothing was changed",
        )
        self.reasons = reasons

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """129 when a line is malformed, else 4 when a key is invalid, else 5: a file that cannot be
        read.
        """
        codes = {entry.code for entry in self.reasons}
        return next(code for code in (MALFORMED, KEY, BROKEN) if code in codes)

    @property
    def kind(self) -> type[GitKvError]:
        """The documented class that has this exit code."""
        return {MALFORMED: UsageError, KEY: KeyInvalidError, BROKEN: ToolError}[self.exit_code]


class _Problem(Exception):
    """What is wrong with one line: the arguments of a Reason, but for where."""


def read_batch(lines: Iterable[bytes], name: str, now_s: int, find: Find) -> dict[str, Put | None]:
    """The changes of a batch by key; None deletes. `lines` end in LF; `find` gives the content
    of a file by its name, and may raise OSError or ValueError; `now_s` starts the times to live.

    Raises BatchError with up to REASONS_MAX problems.
    """
    reader = _Reader(now_s, find)
    problems: list[Reason] = []
    for number, line in enumerate(lines, 1):
        try:
            reader.add(number, line)
        except _Problem as problem:
            code, expected, got, *hint = problem.args
            problems.append(reason(code, _RULES[code], f"line {number}", expected, got, *hint))
            if len(problems) == REASONS_MAX:
                break
    if problems:
        raise BatchError(name, problems)
    return reader.changes


_RULES = {MALFORMED: "batch.form", KEY: "batch.key", BROKEN: "batch.file"}


class _Reader:
    def __init__(self, now_s: int, find: Find) -> None:
        self.changes: dict[str, Put | None] = {}
        self._first_lines: dict[str, int] = {}
        self._now_s, self._find = now_s, find
        self._decode = JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant).decode

    def add(self, number: int, line: bytes) -> None:
        if not line.strip(b" \t\r\n"):
            return
        operation = self._object(line)
        key, op = _text(operation, "key", required=True), _text(operation, "op", required=True)
        fields = _FIELDS.get(op)
        if fields is None:
            raise _Problem(MALFORMED, '"op" to be "set" or "del"', repr(op))
        if not fields.issuperset(operation):
            raise _Problem(
                MALFORMED,
                f"the fields of {op!r}: {', '.join(sorted(fields))}",
                f"{next(iter(operation.keys() - fields))!r}",
            )
        self._check_key(key, number)
        self.changes[key] = self._put(operation) if op == "set" else None

    def _object(self, line: bytes) -> dict[str, Any]:
        try:
            operation = self._decode(line.decode("utf-8"))
        except UnicodeDecodeError:
            raise _Problem(MALFORMED, "UTF-8", printable(line[:60])) from None
        except RecursionError:
            raise _Problem(MALFORMED, "one JSON object", "JSON nested too deep") from None
        except ValueError as error:
            raise _Problem(
                MALFORMED, "one JSON object", f"{printable(line.strip()[:60])} ({error})"
            ) from None
        if type(operation) is not dict:
            raise _Problem(MALFORMED, "one JSON object", printable(line.strip()[:60]))
        return operation

    def _check_key(self, key: str, number: int) -> None:
        try:
            encode_key(key)
        except KeyInvalidError as error:
            raise _Problem(KEY, "a valid key", str(error), error.hint) from None
        first = self._first_lines.setdefault(key, number)
        if first != number:
            raise _Problem(MALFORMED, "each key once", f"{key!r}, which line {first} has too")

    def _put(self, operation: dict[str, Any]) -> Put:
        given = [source for source in _SOURCES if source in operation]
        if len(given) != 1:
            raise _Problem(
                MALFORMED, "one of value, value_b64, file", " and ".join(given) or "none of them"
            )
        text = _text(operation, given[0])
        ctype = _text(operation, "ctype")
        if "ctype" in operation and CTYPE.fullmatch(ctype) is None:
            raise _Problem(MALFORMED, '"ctype" of 1 to 127 printable ASCII characters', repr(ctype))
        return Put(self._value(given[0], text), ctype, self._expires(operation))

    def _value(self, source: str, text: str) -> bytes | Content:
        try:
            if source == "value":
                return text.encode()
            if source == "value_b64":
                return a2b_base64(text, strict_mode=True)
            return self._find(text)
        except OSError as error:
            raise _Problem(BROKEN, f"to read file {text!r}", error.strerror or str(error)) from None
        except UnicodeEncodeError:
            raise _Problem(
                MALFORMED, f"{source!r} in Unicode", "half of a surrogate pair"
            ) from None
        except ValueError as error:
            raise _Problem(
                MALFORMED,
                f"{source!r} in base64" if source == "value_b64" else "a file's name",
                str(error),
            ) from None

    def _expires(self, operation: dict[str, Any]) -> int:
        if "ttl" in operation and "expires" in operation:
            raise _Problem(MALFORMED, 'one of "ttl", "expires"', "both")
        if "expires" in operation:
            return self._moment(operation["expires"])
        return self._now_s + _ttl_s(operation) if "ttl" in operation else 0

    def _moment(self, given: object) -> int:
        """Text as on the command line, or seconds since 1970 as `--json` prints them."""
        seconds = parse_moment(given) if type(given) is str else given
        if type(seconds) is not int or not 1 <= seconds <= MOMENT_MAX_S:
            raise _Problem(
                MALFORMED, f'"expires" to be {FORMS}, or seconds since 1970', repr(given)[:60]
            )
        if seconds <= self._now_s:
            raise _Problem(MALFORMED, f'"expires" after now, {self._now_s}', repr(given))
        return seconds


def _ttl_s(operation: dict[str, Any]) -> int:
    text = _text(operation, "ttl")
    try:
        seconds = parse_duration(text)
    except ValueError:
        raise _Problem(MALFORMED, f'"ttl" to be {DURATION_FORM}', repr(text)) from None
    if not 1 <= seconds <= TTL_S_MAX:
        raise _Problem(MALFORMED, f'"ttl" of 1s to {TTL_S_MAX // 86400}d', repr(text))
    return seconds


def _text(operation: dict[str, Any], field: str, *, required: bool = False) -> str:
    value = operation.get(field, "")
    if required and field not in operation:
        raise _Problem(MALFORMED, f'the field "{field}"', "an object without it")
    if type(value) is not str:
        raise _Problem(
            MALFORMED,
            f'"{field}" to be a string',
            type(value).__name__ if value is not None else "null",
        )
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            raise ValueError(f"field {name!r} is there twice")
        fields[name] = value
    return fields


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not valid JSON")
