"""The words of an answer on band 2: for people, and for clients that asked for `kv-report` and read
them back as values.

A machine line is `kv-reason <code> <rule> <where> <expected> <got> <hint>` or `kv-receipt <seq>
<ledger> <watchlog> <entry>`. The entry is base64 (RFC 4648, section 4). Other fields are printable
ASCII with space and `%` as `%XX`; an empty field is `-`, and a lone `-` is `%2D`. One value has one
spelling.
"""

from __future__ import annotations

import binascii
import re
from typing import NamedTuple

from gitkv.model.oid import OID_BYTES, Oid, parse_oid
from gitkv.model.refs import Namespace
from gitkv.model.verdict import Reason, Verdict, printable, reason
from gitkv.wire.pkt_line import WireError

_REASON = re.compile(
    rb"kv-reason ([1-9][0-9]{0,2}) ([A-Za-z0-9._-]{1,80}) ([!-~]+) ([!-~]+) ([!-~]+) ([!-~]+)"
)
_RECEIPT = re.compile(
    rb"kv-receipt (0|[1-9][0-9]{0,17}) ([0-9a-f]{40}) ([0-9a-f]{40}) ([A-Za-z0-9+/=]{4,32768})"
)
_RULE = re.compile(r"[A-Za-z0-9._-]{1,80}")
_ESCAPED = re.compile(rb"%(20|25|2D)")
_EXIT_CODE_MAX = 255
_SEQ_MAX = 10**18 - 1
_ENTRY_BYTES_MAX = 24576  # in base64 a line still fits into one packet of the side-band


class Receipt(NamedTuple):
    """The place a transaction was accepted at: `seq` and `ledger` commit, and the `watchlog` entry
    that says so (spec/attestation 6.2); `entry`: that commit's bytes, with which the client checks
    it before it believes anything.
    """

    seq: int
    ledger: Oid
    watchlog: Oid
    entry: bytes


def reason_line(entry: Reason) -> bytes:
    """The machine line, without LF. Raises ValueError when code or rule are none."""
    if not 0 < entry.code <= _EXIT_CODE_MAX or _RULE.fullmatch(entry.rule) is None:
        raise ValueError(f"not a reason: {entry!r}")
    fields = (entry.where, entry.expected, entry.got, entry.hint)
    return b"kv-reason %d %b %b" % (
        entry.code,
        entry.rule.encode(),
        b" ".join([_encode(field) for field in fields]),
    )


def receipt_line(receipt: Receipt) -> bytes:
    """The machine line, without LF. Raises ValueError when a part is none."""
    if (
        not 0 <= receipt.seq <= _SEQ_MAX
        or {len(receipt.ledger), len(receipt.watchlog)} != {OID_BYTES}
        or not 0 < len(receipt.entry) <= _ENTRY_BYTES_MAX
    ):
        raise ValueError(f"not a receipt: {receipt!r}")
    return b"kv-receipt %d %b %b %b" % (
        receipt.seq,
        receipt.ledger.hex().encode(),
        receipt.watchlog.hex().encode(),
        binascii.b2a_base64(receipt.entry, newline=False),
    )


def parse_line(line: bytes) -> Reason | Receipt | None:
    """The value of a machine line without its LF; None for a line for people. Raises WireError on a
    malformed or unusual spelling.
    """
    if not line.startswith((b"kv-reason ", b"kv-receipt ")):
        return None
    if (match := _RECEIPT.fullmatch(line)) is not None:
        return _parse_receipt(line, match)
    if (match := _REASON.fullmatch(line)) is not None and int(match[1]) <= _EXIT_CODE_MAX:
        entry = reason(
            int(match[1]), match[2].decode(), *[_decode(field) for field in match.groups()[2:]]
        )
        if reason_line(entry) == line:
            return entry
    raise WireError(f"answer line is malformed: {line[:80]!r}")


def _parse_receipt(line: bytes, match: re.Match[bytes]) -> Receipt:
    try:
        entry = binascii.a2b_base64(match[4], strict_mode=True)
        receipt = Receipt(int(match[1]), parse_oid(match[2]), parse_oid(match[3]), entry)
        is_usual = receipt_line(receipt) == line
    except ValueError:
        is_usual = False
    if not is_usual:
        raise WireError(f"answer line is malformed: {line[:80]!r}")
    return receipt


def refused(verdict: Verdict, machine: bool) -> bytes:
    """Every reason on its own line, LF at each end; for people, or for a client that asked for
    kv-report.
    """
    return b"".join(
        [
            (reason_line(entry) if machine else _plain(entry.text())) + b"\n"
            for entry in verdict.reasons
        ]
    )


def accepted(ns: Namespace, receipt: Receipt, machine: bool) -> bytes:
    """The receipt as a line ended by LF: `accepted main@12 (receipt 0123456789ab)`, or the machine
    line.
    """
    if machine:
        return receipt_line(receipt) + b"\n"
    return b"accepted %b@%d (receipt %b)\n" % (
        ns.encode(),
        receipt.seq,
        receipt.watchlog.hex()[:12].encode(),
    )


def _plain(text: str) -> bytes:
    return "".join([char if " " <= char <= "~" else "?" for char in text]).encode("ascii")


def _encode(field: str) -> bytes:
    text = printable(field).encode("ascii").replace(b"%", b"%25").replace(b" ", b"%20")
    return {b"": b"-", b"-": b"%2D"}.get(text, text)


def _decode(field: bytes) -> str:
    return (
        ""
        if field == b"-"
        else _ESCAPED.sub(lambda match: bytes.fromhex(match[1].decode()), field).decode("ascii")
    )
