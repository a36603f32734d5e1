"""Pushes that are judged at the same moment, as they are when a turn was lost: the decision is made
without a lock, and only the move of the refs compares again.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from support.gateway import Gateway

from gitkv.gateway.receive import Answer
from gitkv.git.pack import Pack, PackWriter
from gitkv.ledger.compose import Transaction
from gitkv.ledger.uuid7 import uuid7

WRITERS = 6


def _push_all(
    gateway: Gateway, step: str, made: Sequence[tuple[Transaction, PackWriter]]
) -> list[Answer]:
    """Each waits at this step until all have come to it."""
    gateway.restart()
    meeting = Barrier(len(made))

    def meet(name: str) -> None:
        if name == step:
            meeting.wait(30)

    gateway.step = meet
    try:
        with ThreadPoolExecutor(len(made)) as pool:
            return list(pool.map(gateway.push, made))
    finally:
        gateway.step = lambda name: None


class _Made(PackWriter):
    """A pack that was finished before, and is sent once more."""

    def __init__(self, pack: Pack) -> None:
        super().__init__("")
        self._pack = pack

    def finish(self) -> Pack:
        return self._pack


@pytest.mark.parametrize("step", ["admitted", "audited"])
def test_all_judged_good_before_any_is_committed_still_one_wins(
    gateway: Gateway, step: str
) -> None:
    made = [gateway.transaction() for _ in range(WRITERS)]
    answers = _push_all(gateway, step, made)
    [won] = [answer.receipt for answer in answers if answer.receipt is not None]
    assert won.tip.heads == gateway.tip().heads
    for answer in answers:
        if answer.receipt is None:
            [why] = answer.verdict.reasons
            assert (why.code, why.rule, why.expected) == (2, "base.stale", won.tip.ledger.oid.hex())
    assert gateway.push().verdict.accepted


def test_the_very_same_push_twice_at_once_is_accepted_once(gateway: Gateway) -> None:
    """A client that lost the line and tries again, while the first attempt still runs."""
    transaction, writer = gateway.transaction()
    pack = writer.finish()
    answers = _push_all(gateway, "audited", [(transaction, _Made(pack)) for _ in range(2)])
    assert sorted(answer.verdict.accepted for answer in answers) == [False, True]
    assert gateway.tip().heads == transaction.tip.heads


def test_one_transaction_id_in_two_racing_transactions_is_used_once(gateway: Gateway) -> None:
    txn = uuid7(1_700_000_000_000, bytes(10))
    answers = _push_all(gateway, "audited", [gateway.transaction(txn=txn) for _ in range(2)])
    assert sorted(answer.verdict.accepted for answer in answers) == [False, True]
    assert gateway.push().verdict.accepted
