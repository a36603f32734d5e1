"""Jumps lead to any ancestor in few reads, by the rule of the specification (spec/attestation
3).
"""

from __future__ import annotations

import pytest
from support.ledger_in_memory import LedgerInMemory
from support.naive_store import jump

from gitkv.ledger.plan import Put
from gitkv.ledger.seek import jump_seq, seek
from gitkv.model.oid import Oid

COUNT = 300


@pytest.fixture(scope="module")
def ledger() -> LedgerInMemory:
    made = LedgerInMemory()
    for n in range(COUNT):
        made.write({b"k": Put(b"%d" % n)})
    return made


def test_the_rule_is_that_of_the_specification() -> None:
    assert jump_seq(0) is None
    assert [jump_seq(seq) for seq in range(1, 3000)] == [jump(seq) for seq in range(1, 3000)]


def test_every_ancestor_is_found_in_few_reads(ledger: LedgerInMemory) -> None:
    tips = [ledger.first, *(step.after for step in ledger.steps)]
    reads = 0

    def load(oid: Oid, kind: bytes) -> bytes:
        nonlocal reads
        reads += 1
        return ledger.store.read(oid, kind)

    for seq in range(COUNT + 1):
        reads = 0
        assert seek(ledger.tip.ledger, seq, load).oid == tips[seq].ledger.oid
        assert reads <= 2 * COUNT.bit_length() + 2


@pytest.mark.parametrize("seq", [-1, COUNT + 1, 10**12])
def test_a_sequence_number_that_is_not_there_is_an_error_without_a_read(
    ledger: LedgerInMemory, seq: int
) -> None:
    def load(oid: Oid, kind: bytes) -> bytes:
        raise AssertionError("read")

    with pytest.raises(ValueError, match="expected 0 to"):
        seek(ledger.tip.ledger, seq, load)
