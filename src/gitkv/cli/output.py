"""Writing answers: exact bytes, lines and JSON to stdout, files as a whole or not at all.

Text is UTF-8 whatever the locale says. What outsiders wrote (messages, names) is made printable
first; `safe` says how.
"""

from __future__ import annotations

import sys

from gitkv.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, BinaryIO


def stdout() -> BinaryIO:
    """Standard output in bytes. Raises ToolError when the caller has closed it."""
    if sys.stdout is None:
        raise ToolError("standard output is closed")
    return sys.stdout.buffer


def is_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def put_value(value: bytes) -> bool:
    """Writes a value bit for bit; on a terminal as `eye_text`, with a line end. False when it is
    shown otherwise than it is.
    """
    if not is_terminal():
        stdout().write(value)
        return True
    text = eye_text(value)
    stdout().write((text if text.endswith("\n") else f"{text}\n").encode())
    return text.encode() == value


def eye_text(value: bytes) -> str:
    """A value as text over several lines, with what could steer a terminal or turn the reading
    direction, and what is no UTF-8, escaped.
    """
    text = value.decode("utf-8", "backslashreplace")
    return "".join(char if char in "\n\t" else safe(char) for char in text)


def one_line(value: bytes) -> str:
    """A value on one line from which it can be told exactly: as `safe`, and backslashes doubled."""
    return safe(value.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace"))


def put_line(text: str) -> None:
    """Writes one line to standard output, as UTF-8."""
    stdout().write(f"{text}\n".encode(errors="backslashreplace"))


def put_lines(lines: Iterable[str]) -> None:
    """Writes each line when it comes: the first of 100,000 does not wait for the last."""
    write = stdout().write
    for line in lines:
        write(f"{line}\n".encode(errors="backslashreplace"))


def put_json(value: dict[str, Any]) -> None:
    """Writes one JSON object as one line to standard output."""
    put_line(json_line(value))


def put_json_lines(values: Iterable[dict[str, Any]]) -> None:
    """JSON Lines: one object a line."""
    encode = _json_encoder()
    put_lines(encode(value) for value in values)


def json_line(value: dict[str, Any]) -> str:
    """The object on one line, in which nothing can steer a terminal or turn the reading
    direction.
    """
    return _json_encoder()(value)


def _json_encoder() -> Callable[[Any], str]:
    from json import JSONEncoder

    encode = JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
    escape = JSONEncoder().encode

    def encode_safely(value: Any) -> str:
        """What is not printable stands in strings alone, and means the same when escaped."""
        text = encode(value)
        if text.isprintable():
            return text
        return "".join(
            char if char.isprintable() else escape(char)[1:-1].replace("\x7f", "\\u007f")
            for char in text
        )

    return encode_safely


def safe(text: str) -> str:
    """`text` on one line, with what could steer a terminal or turn the reading direction
    escaped.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def subject(text: str) -> str:
    """The first line of a message."""
    return safe(text.partition("\n")[0])


def value_field(value: bytes) -> dict[str, str]:
    """A value as JSON: itself when it is UTF-8 text without NUL, else in base64."""
    try:
        if b"\0" not in value:
            return {"value": value.decode("utf-8")}
    except UnicodeDecodeError:
        pass
    from binascii import b2a_base64

    return {"value_b64": b2a_base64(value, newline=False).decode("ascii")}


def write_file(path: str, pieces: Iterable[bytes]) -> None:
    """The file then holds all pieces, or what it held before, if one cannot be had; its mode stays.
    Pipes and devices are written to as they are.
    """
    from gitkv.cli.replace import Replacing

    with Replacing(path) as stream:
        for piece in pieces:
            stream.write(piece)
