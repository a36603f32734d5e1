from __future__ import annotations

import pytest

from gitkv.model.oid import Oid
from gitkv.model.refs import Namespace
from gitkv.model.verdict import CONFLICT, POLICY, Reason, Verdict, reason
from gitkv.wire.answer_lines import (
    Receipt,
    accepted,
    parse_line,
    reason_line,
    receipt_line,
    refused,
)
from gitkv.wire.pkt_line import WireError

LEDGER, WATCHLOG = Oid(b"\xaa" * 20), Oid(b"\x01\x23\x45\x67\x89\xab" + bytes(14))
RECEIPT = Receipt(12, LEDGER, WATCHLOG, b"entry")
STALE = reason(CONFLICT, "ledger.tip", "refs/kv/main", "tip 1234", "50% of it", "-")


def test_a_reason_has_one_spelling() -> None:
    line = b"kv-reason 2 ledger.tip refs/kv/main tip%201234 50%25%20of%20it %2D"
    assert (reason_line(STALE), parse_line(line)) == (line, STALE)


def test_an_empty_field_is_a_dash() -> None:
    entry = reason(POLICY, "push.ref", "", "a--b", "-x")
    assert reason_line(entry) == b"kv-reason 3 push.ref - a--b -x -"
    assert parse_line(reason_line(entry)) == entry


def test_a_receipt_has_one_spelling() -> None:
    line = b"kv-receipt 12 " + b"aa" * 20 + b" 0123456789ab" + b"00" * 14 + b" ZW50cnk="
    assert (receipt_line(RECEIPT), parse_line(line)) == (line, RECEIPT)


def test_lines_for_people_are_not_ours() -> None:
    for line in (
        b"",
        b"accepted main@12 (receipt 0123456789ab)",
        b"kv-reasonable",
        b" kv-receipt 1",
        b"KV-REASON 3",
    ):
        assert parse_line(line) is None


GOOD = b"kv-reason 3 push.ref where expected got hint"
HEX = b"aa" * 20
MALFORMED = {
    "too few fields": b"kv-reason 3 push.ref where expected got",
    "too many fields": GOOD + b" more",
    "a trailing space": GOOD + b" ",
    "a line feed": GOOD + b"\n",
    "two spaces": GOOD.replace(b" got", b"  got"),
    "code zero": GOOD.replace(b"3", b"0"),
    "code with a zero before": GOOD.replace(b"3", b"03"),
    "code out of range": GOOD.replace(b"3", b"256"),
    "code in another script": GOOD.replace(b"3", "٣".encode()),
    "code with an underscore": GOOD.replace(b"3", b"1_0"),
    "rule with a slash": GOOD.replace(b"push.ref", b"push/ref"),
    "lower-case escape": GOOD.replace(b"got", b"a%2d"),
    "escape of a safe byte": GOOD.replace(b"got", b"%41"),
    "escaped control": GOOD.replace(b"got", b"%1B[2J"),
    "escaped dash inside": GOOD.replace(b"got", b"a%2D"),
    "half an escape": GOOD.replace(b"got", b"50%"),
    "raw control": GOOD.replace(b"got", b"\x1b[2J"),
    "raw UTF-8": GOOD.replace(b"got", "é".encode()),
    "over-long field": GOOD.replace(b"got", b"x" * 201),
    "receipt without an entry": b"kv-receipt 1 " + HEX + b" eA==",
    "receipt with a sign": b"kv-receipt +1 " + HEX + b" " + HEX + b" eA==",
    "receipt with a zero before": b"kv-receipt 01 " + HEX + b" " + HEX + b" eA==",
    "receipt without end": b"kv-receipt " + b"9" * 19 + b" " + HEX + b" " + HEX + b" eA==",
    "receipt in upper case": b"kv-receipt 1 " + HEX.upper() + b" " + HEX + b" eA==",
    "receipt with a short id": b"kv-receipt 1 " + HEX[1:] + b" " + HEX + b" eA==",
    "receipt without bytes": b"kv-receipt 1 " + HEX + b" " + HEX,
    "receipt with bits left over": b"kv-receipt 1 " + HEX + b" " + HEX + b" eB==",
    "receipt without padding": b"kv-receipt 1 " + HEX + b" " + HEX + b" eHg",
    "receipt with padding inside": b"kv-receipt 1 " + HEX + b" " + HEX + b" eA==eA==",
}


@pytest.mark.parametrize("line", MALFORMED.values(), ids=MALFORMED.keys())
def test_any_other_spelling_is_refused(line: bytes) -> None:
    with pytest.raises(WireError):
        parse_line(line)


@pytest.mark.parametrize(("code", "rule"), [(0, "a"), (256, "a"), (3, "a b"), (3, ""), (3, "a\n")])
def test_what_is_no_reason_is_not_worded(code: int, rule: str) -> None:
    with pytest.raises(ValueError, match="not a reason"):
        reason_line(Reason(code, rule, "", "", ""))


@pytest.mark.parametrize(
    "receipt",
    [
        Receipt(-1, LEDGER, WATCHLOG, b"x"),
        Receipt(10**18, LEDGER, WATCHLOG, b"x"),
        Receipt(1, Oid(b""), WATCHLOG, b"x"),
        Receipt(1, LEDGER, WATCHLOG, b""),
        Receipt(1, LEDGER, WATCHLOG, b"x" * 24577),
    ],
)
def test_what_is_no_receipt_is_not_worded(receipt: Receipt) -> None:
    with pytest.raises(ValueError, match="not a receipt"):
        receipt_line(receipt)


def test_people_read_a_line_for_each_reason() -> None:
    verdict = Verdict((STALE, Reason(3, "x", "a\nb", "\x1b", "é")))
    assert refused(verdict, machine=False) == (
        b"[2 ledger.tip] refs/kv/main: expected tip 1234, got 50% of it (hint: -)\n[3 x] a?b: "
        b"expected ?, got ?\n"
    )


def test_machines_read_a_line_for_each_reason() -> None:
    assert refused(Verdict((STALE, STALE)), machine=True) == (reason_line(STALE) + b"\n") * 2


def test_an_acceptance_names_the_place_and_the_receipt() -> None:
    assert (
        accepted(Namespace("main"), RECEIPT, machine=False)
        == b"accepted main@12 (receipt 0123456789ab)\n"
    )
    assert accepted(Namespace("main"), RECEIPT, machine=True) == receipt_line(RECEIPT) + b"\n"
