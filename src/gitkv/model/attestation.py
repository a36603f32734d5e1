"""The trailer block of a ledger commit: what the transaction says of itself (spec/attestation 2).

One strict parser over bytes; git's own two trailer parsers disagree on folded lines, dividers and
middle paragraphs: none is used.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gitkv.model.oid import Oid, parse_oid
from gitkv.model.refs import EpochLabel, Namespace, parse_epoch, parse_namespace
from gitkv.model.verdict import INTEGRITY, FormError, reason

_OID = rb"([0-9a-f]{40})"
_OID_OR_DASH = rb"([0-9a-f]{40}|-)"
_NUMBER = rb"(0|[1-9][0-9]{0,14})"
_TXN = rb"([0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})"
_WORD = rb"([^\n]{1,63})"
_TRAILERS = (
    (b"Version", b"1"),
    (b"NS", _WORD),
    (b"Txn", _TXN),
    (b"Seq", _NUMBER),
    (b"Base", _OID_OR_DASH),
    (b"Base-Tree", _OID_OR_DASH),
    (b"Jump", _OID_OR_DASH),
    (b"Index-Tree", _OID),
    (b"Chunks-Tree", _OID_OR_DASH),
    (b"Epoch", _WORD),
    (b"Keys-Set", _NUMBER),
    (b"Keys-Del", _NUMBER),
)
_BLOCK = re.compile(b"".join([b"KV-%b: %b\n" % trailer for trailer in _TRAILERS]))
# Control characters but TAB and LF, C1 among them, and U+2028 and U+2029: where some readers end a
# line, none may pretend to.
_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]")
_STRAY = re.compile(rb"(?:^|\n)(?:[Kk][Vv]-|---)")


class Attestation(NamedTuple):
    """The trailers, proved. `base`, `base_tree` and `jump` are None in the first commit of a
    ledger, `chunks_tree` where the chunk store is empty.
    """

    ns: Namespace
    txn: str
    seq: int
    base: Oid | None
    base_tree: Oid | None
    jump: Oid | None
    index_tree: Oid
    epoch: EpochLabel
    keys_set: int
    keys_del: int
    chunks_tree: Oid | None = None

    def trailers(self) -> bytes:
        """The trailer lines of a commit message (spec/attestation 2.1)."""
        return (
            f"KV-Version: 1\nKV-NS: {self.ns}\nKV-Txn: {self.txn}\nKV-Seq: {self.seq}\nKV-Base: "
            f"{_dash(self.base)}\n"
            f"KV-Base-Tree: {_dash(self.base_tree)}\nKV-Jump: {_dash(self.jump)}\nKV-Index-Tree: "
            f"{self.index_tree.hex()}\n"
            f"KV-Chunks-Tree: {_dash(self.chunks_tree)}\nKV-Epoch: {self.epoch}\n"
            f"KV-Keys-Set: {self.keys_set}\nKV-Keys-Del: {self.keys_del}\n"
        ).encode()


def format_message(text: str, attestation: Attestation) -> bytes:
    """A commit message: the text (subject, optional body) and the trailer block. Raises FormError
    when the text could pose as trailers.
    """
    message = text.strip("\n").encode() + b"\n\n" + attestation.trailers()
    parse_message(message)
    return message


def parse_message(message: bytes) -> tuple[bytes, Attestation]:
    """Text and attestation of a ledger commit's message. Raises FormError on any deviation from
    spec/attestation 1.5 and 2.
    """
    text, gap, block = message.rpartition(b"\n\n")
    match = _BLOCK.fullmatch(block)
    if not gap or match is None:
        raise _broken("the exact trailer block as the last paragraph", block or message)
    if _CONTROL.search(text) or not _is_text(text):
        raise _broken(
            "one subject line, then an empty line before any body, and no control characters", text
        )
    if _STRAY.search(text):
        raise _broken("no other line that starts with KV- or ---", text)
    try:
        text.decode("utf-8")
        return text, _attestation(match.groups())
    except ValueError as error:
        raise _broken("valid trailer values and UTF-8", str(error).encode()) from None


def _is_text(text: bytes) -> bool:
    """Whether it is a subject line, or one and a body after an empty line."""
    subject, gap, body = text.partition(b"\n\n")
    return bool(subject.strip(b"\t ")) and b"\n" not in subject and (not gap or bool(body))


def _attestation(groups: tuple[bytes, ...]) -> Attestation:
    ns, txn, seq, base, base_tree, jump, index_tree, chunks_tree, epoch, keys_set, keys_del = groups
    return Attestation(
        parse_namespace(ns),
        txn.decode("ascii"),
        int(seq),
        _undash(base),
        _undash(base_tree),
        _undash(jump),
        parse_oid(index_tree),
        parse_epoch(epoch),
        int(keys_set),
        int(keys_del),
        _undash(chunks_tree),
    )


def _dash(oid: Oid | None) -> str:
    return "-" if oid is None else oid.hex()


def _undash(text: bytes) -> Oid | None:
    return None if text == b"-" else parse_oid(text)


def _broken(expected: str, got: bytes) -> FormError:
    return FormError(reason(INTEGRITY, "attestation.form", "commit message", expected, got))
