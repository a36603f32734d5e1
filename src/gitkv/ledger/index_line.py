"""The lines of the index: one for each live key, one for each deleted one (spec/format 5)."""

from __future__ import annotations

import re
from typing import NamedTuple

from gitkv.ledger.node import line_leaves
from gitkv.model.oid import Oid
from gitkv.model.verdict import INTEGRITY, FormError, reason

EXPIRES_MAX = 253402300799

_N = rb"(?:0|[1-9][0-9]{0,17})"
_CHUNKS = rb"[1-9][0-9]{0,6}"
_CTYPE = rb'(?:[ !#-\[\]-~]|\\["\\]){1,254}'
_NAME = rb"[A-Za-z0-9_:@+=,.%-]+"
_LIVE_LINE = re.compile(
    rb'(\{(?:"chunks":%b,)?"created":%b,(?:"ctype":"%b",)?(?:"expires":%b,)?"key":"(%b)","mod":%b,"oid":"[0-9a-f]{40}","size":%b,"versions":%b\}\n)'
    % (_CHUNKS, _N, _CTYPE, _N, _NAME, _N, _N, _N)
)
_LIVE = re.compile(
    rb'\{(?:"chunks":(%b),)?"created":(%b),(?:"ctype":"(%b)",)?(?:"expires":(%b),)?"key":"(%b)","mod":(%b),"oid":"([0-9a-f]{40})","size":(%b),"versions":(%b)\}\n'
    % (_CHUNKS, _N, _CTYPE, _N, _NAME, _N, _N, _N)
)
_GONE_LINE = re.compile(rb'(\{"key":"(%b)","mod":%b\}\n)' % (_NAME, _N))
_GONE = re.compile(rb'\{"key":"(%b)","mod":(%b)\}\n' % (_NAME, _N))
_META = re.compile(rb'\{(?:"ctype":"(%b)")?(,)?(?:"expires":(%b))?\}' % (_CTYPE, _N))
_CTYPE_TEXT = re.compile(r"[ -~]{1,127}")

LIVE_LEAVES = line_leaves(_LIVE_LINE)
GONE_LEAVES = line_leaves(_GONE_LINE)


class LiveLine(NamedTuple):
    """What the index says of a key.

    `created`, `mod`: sequence numbers; `size` in bytes; `expires` seconds since 1970, 0 for never;
    `ctype` may be empty. `chunks`: how many a large value has, whose manifest `oid` is then; 0 for
    a value that `oid` is itself.
    """

    name: bytes
    created: int
    mod: int
    oid: Oid
    size: int
    versions: int
    ctype: str = ""
    expires: int = 0
    chunks: int = 0

    def is_expired(self, now_s: int) -> bool:
        """Whether the value has expired at `now_s`, in seconds since 1970."""
        return 0 < self.expires <= now_s


def format_live(line: LiveLine) -> bytes:
    """The canonical line, LF included (spec/format 5.2)."""
    if not line.ctype and not line.expires and not line.chunks:  # nearly every line: one call
        return b'{"created":%d,"key":"%b","mod":%d,"oid":"%b","size":%d,"versions":%d}\n' % (
            line.created,
            line.name,
            line.mod,
            line.oid.hex().encode(),
            line.size,
            line.versions,
        )
    ctype = b'"ctype":"%b",' % _quote(line.ctype) if line.ctype else b""
    expires = b'"expires":%d,' % line.expires if line.expires else b""
    chunks = b'"chunks":%d,' % line.chunks if line.chunks else b""
    return b'{%b"created":%d,%b%b"key":"%b","mod":%d,"oid":"%b","size":%d,"versions":%d}\n' % (
        chunks,
        line.created,
        ctype,
        expires,
        line.name,
        line.mod,
        line.oid.hex().encode(),
        line.size,
        line.versions,
    )


def format_created(name: bytes, seq: int, oid: Oid, put: tuple[int, str, int]) -> bytes:
    """The line of a key that transaction `seq` makes; `put`: size, content type, expiry. A bulk
    load makes little else.
    """
    size, ctype, expires = put
    if ctype or expires:
        return format_live(LiveLine(name, seq, seq, oid, size, 1, ctype, expires))
    return b'{"created":%d,"key":"%b","mod":%d,"oid":"%b","size":%d,"versions":1}\n' % (
        seq,
        name,
        seq,
        oid.hex().encode(),
        size,
    )


def parse_live(line: bytes) -> LiveLine:
    """Raises FormError unless the line is canonical."""
    match = _LIVE.fullmatch(line)
    if match is None:
        raise _broken("a canonical line of a live key", line)
    chunks, created, ctype, expires, name, mod, oid, size, versions = match.groups()
    return LiveLine(
        name,
        int(created),
        int(mod),
        Oid(bytes.fromhex(oid.decode())),
        int(size),
        int(versions),
        _unquote(ctype),
        int(expires or 0),
        int(chunks or 0),
    )


def format_gone(name: bytes, mod: int) -> bytes:
    """The canonical line of a deleted key, LF included (spec/format 5.3)."""
    return b'{"key":"%b","mod":%d}\n' % (name, mod)


def parse_gone(line: bytes) -> int:
    """The sequence number of the deletion. Raises FormError unless the line is canonical."""
    match = _GONE.fullmatch(line)
    if match is None:
        raise _broken("a canonical line of a deleted key", line)
    return int(match[2])


def format_meta(ctype: str, expires: int) -> bytes | None:
    """The meta blob of a key, or None where there is nothing to say (spec/format 4.3)."""
    parts = [b'"ctype":"%b"' % _quote(ctype)] if ctype else []
    parts += [b'"expires":%d' % expires] if expires else []
    return b"{%b}" % b",".join(parts) if parts else None


def parse_meta(body: bytes) -> tuple[str, int]:
    """(ctype, expires) of a meta blob. Raises FormError unless it is canonical."""
    match = _META.fullmatch(body)
    ctype, expires = (_unquote(match[1]), int(match[3] or 0)) if match else ("", 0)
    if format_meta(ctype, expires) != body or not is_ctype(ctype) or expires > EXPIRES_MAX:
        raise FormError(
            reason(
                INTEGRITY,
                "meta.form",
                "meta blob",
                "canonical JSON with ctype, expires or both",
                body[:100],
            )
        )
    return ctype, expires


def is_ctype(text: str) -> bool:
    """Empty, or 1 to 127 printable ASCII characters."""
    return not text or _CTYPE_TEXT.fullmatch(text) is not None


def _quote(text: str) -> bytes:
    return text.encode("ascii").replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def _unquote(text: bytes | None) -> str:
    return re.sub(rb"\\(.)", rb"\1", text).decode("ascii") if text else ""


def _broken(expected: str, got: bytes) -> FormError:
    return FormError(reason(INTEGRITY, "index.form", "index page", expected, got[:100]))
