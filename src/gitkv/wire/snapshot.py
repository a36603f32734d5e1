"""A snapshot as text: JSON Lines in one order, with a header and a trailer that seals them
(spec/snapshot). Bytes in, values out, and back; files are left to the caller.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from hashlib import sha256
from json import JSONDecoder, dumps
from typing import NamedTuple

from gitkv.errors import IntegrityError, KeyInvalidError, UsageError
from gitkv.model.content import CTYPE, Put
from gitkv.model.key import encode_key
from gitkv.model.moment import MOMENT_MAX_S
from gitkv.model.verdict import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

VALUE_BYTES_MAX = 100 << 20
LINE_BYTES_MAX = 768 << 20  # a value of 100 MiB, each byte escaped
_HEADER = {"git-kv-snapshot": int, "ns": str, "seq": int, "commit": str, "prefix": str}
_TRAILER = {"keys": int, "sha256": str}
_ENTRY = {"key": str, "value": str, "value_b64": str, "ctype": str, "expires": int}
_AGAIN = "nothing was written; export it again"


class Header(NamedTuple):
    """Which state a snapshot holds: the keys of `ns` at `seq` that begin with `prefix`; `commit` is
    the ledger commit, in hex.
    """

    ns: str
    seq: int
    commit: str
    prefix: str = ""


class SnapshotWriter:
    """Makes the lines in order, each ended by LF: header, entries, trailer."""

    def __init__(self) -> None:
        self._seal = sha256()
        self.keys = 0

    def header(self, header: Header) -> bytes:
        """The first line."""
        return self._sealed({"git-kv-snapshot": 1, **header._asdict()})

    def entry(self, key: str, value: bytes, ctype: str, expires: int) -> bytes:
        """The line of one key; they come in the order of their encoded names. Raises UsageError for
        a value of more than VALUE_BYTES_MAX.
        """
        if len(value) > VALUE_BYTES_MAX:
            raise UsageError(
                f"the value of {key} has {len(value)} bytes: expected at most {VALUE_BYTES_MAX} in "
                "a snapshot",
                hint="leave it out with --prefix, and take it with: git kv get -o FILE",
            )
        self.keys += 1
        fields: dict[str, object] = {"key": key, **_value_field(value)}
        if ctype:
            fields["ctype"] = ctype
        if expires:
            fields["expires"] = expires
        return self._sealed(fields)

    def trailer(self) -> bytes:
        """The last line."""
        return _line({"keys": self.keys, "sha256": self._seal.hexdigest()})

    def _sealed(self, fields: dict[str, object]) -> bytes:
        line = _line(fields)
        self._seal.update(line)
        return line


def check_snapshot(lines: Iterable[bytes]) -> tuple[Header, int]:
    """Reads a whole snapshot and gives its header and its number of keys.

    Raises UsageError for what is no snapshot, IntegrityError for one that was cut short or edited.
    """
    seal, count, last = sha256(), -1, b""
    header: Header | None = None
    for line in lines:
        if header is None:
            header = _header(line)
        else:
            seal.update(last)
            count += 1
        last = line
    if header is None:
        raise UsageError("not a snapshot of git-kv: it is empty")
    try:
        said = _object(last, _TRAILER, required=True)
    except ValueError:
        said = {}
    if not last.endswith(b"\n") or not said or count < 0:
        raise IntegrityError("the snapshot was cut short: its last line is missing", hint=_AGAIN)
    if said["sha256"] != seal.hexdigest() or said["keys"] != count:
        expected = f"{said['keys']} keys with SHA-256 {said['sha256'][:64]}"
        got = f"{count} with {seal.hexdigest()}"
        raise IntegrityError(
            f"the snapshot is not as it was exported: expected {expected}, got {got}", hint=_AGAIN
        )
    return header, count


def read_entries(lines: Iterable[bytes]) -> Iterator[tuple[str, Put]]:
    """Keys and values of a snapshot that was checked, in order. Raises UsageError with the number
    of a line that is malformed, KeyInvalidError.
    """
    before, held = b"", b""
    for number, line in enumerate(lines, 1):
        if number > 2:
            key, put = _entry(held, number - 1)
            name = encode_key(key)
            if name <= before:
                raise UsageError(f"line {number - 1}: expected keys in ascending order, each once")
            before = name
            yield key, put
        held = line


def _header(line: bytes) -> Header:
    try:
        said = _object(line, _HEADER, required=True)
    except ValueError as error:
        raise UsageError(f"not a snapshot of git-kv: line 1: {error}") from None
    if said.pop("git-kv-snapshot") != 1:
        raise UsageError("the snapshot is of a later version: expected version 1")
    return Header(**said)


def _entry(line: bytes, number: int) -> tuple[str, Put]:
    try:
        said = _object(line, _ENTRY, required=False)
        if "key" not in said or ("value" in said) == ("value_b64" in said):
            raise ValueError("expected a key and one of value, value_b64")
        value = (
            a2b_base64(said["value_b64"], strict_mode=True)
            if "value_b64" in said
            else said["value"].encode()
        )
        if CTYPE.fullmatch(said.get("ctype", "x")) is None:
            raise ValueError("expected a ctype of 1 to 127 printable ASCII characters")
        if not 1 <= said.get("expires", 1) <= MOMENT_MAX_S:
            raise ValueError(f"expected expires from 1 to {MOMENT_MAX_S}")
        return said["key"], Put(value, said.get("ctype", ""), said.get("expires", 0))
    except KeyInvalidError:
        raise
    except ValueError as error:
        raise UsageError(f"line {number}: {error}") from None


def _object(line: bytes, known: dict[str, type], *, required: bool) -> dict[str, Any]:
    """A JSON object with these fields and no others. Raises ValueError."""
    try:
        fields = _DECODER.decode(line.decode())
    except RecursionError:
        raise ValueError("expected one JSON object, got JSON nested too deep") from None
    if type(fields) is not dict:
        raise ValueError(f"expected one JSON object, got {printable(line[:60])}")
    for name, value in fields.items():
        if type(value) is not known.get(name):
            raise ValueError(f"expected {', '.join(known)}, got {name!r} with {value!r:.60}")
    if required and len(fields) != len(known):
        raise ValueError(f"expected {', '.join(known)}, got {', '.join(fields) or 'none'}")
    return fields


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field is there twice")
    return fields


_DECODER = JSONDecoder(object_pairs_hook=_unique)


def _value_field(value: bytes) -> dict[str, str]:
    """Text where the value is UTF-8 without NUL, else base64."""
    try:
        if b"\0" not in value:
            return {"value": value.decode()}
    except UnicodeDecodeError:
        pass
    return {"value_b64": b2a_base64(value, newline=False).decode()}


def _line(fields: dict[str, object]) -> bytes:
    return dumps(fields, separators=(",", ":")).encode() + b"\n"
