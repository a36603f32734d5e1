"""Known transactions: a set, whatever its size, that forgets what came to nothing."""

from __future__ import annotations

import pytest

from gitkv.gateway.known import KnownTransactions
from gitkv.ledger.uuid7 import uuid7


def _txn(number: int) -> str:
    return uuid7(1_700_000_000_000 + number, number.to_bytes(10, "big"))


def test_what_is_learnt_is_known_and_nothing_else() -> None:
    known = KnownTransactions()
    for start in range(0, 5000, 50):
        known.learn([_txn(number) for number in range(start, start + 50)])
    assert len(known) == 5000
    assert all(known.knows(_txn(number)) for number in range(5000))
    assert not any(known.knows(_txn(number)) for number in range(5000, 6000))


def test_learning_twice_is_learning_once() -> None:
    known = KnownTransactions()
    for _ in range(3):
        known.learn([_txn(number) for number in range(2000)])
    assert len(known) == 2000


@pytest.mark.parametrize("before", [0, 1, 1023, 1024, 5000])
def test_what_was_learnt_last_can_be_forgotten_whatever_was_known_before(before: int) -> None:
    known = KnownTransactions()
    known.learn([_txn(number) for number in range(before)])
    last = [_txn(number) for number in range(before, before + 256)]
    known.learn(last)
    known.forget(last)
    assert len(known) == before and not any(known.knows(txn) for txn in last)
    assert all(known.knows(_txn(number)) for number in range(before))


@pytest.mark.parametrize("txn", ["", "00", "00000000-0000-0000-0000-000000000000", "x" * 36])
def test_what_is_no_id_is_an_error(txn: str) -> None:
    with pytest.raises(ValueError, match=r"id|hexadecimal"):
        KnownTransactions().knows(txn)
