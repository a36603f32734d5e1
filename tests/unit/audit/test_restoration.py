"""A restoration leads a whole ledger back to an earlier state, and undoes what was wrong behind it
(spec/attestation 2.5, 2.6).
"""

from __future__ import annotations

import pytest
from support.ledger_in_memory import LedgerInMemory

from gitkv.ledger.plan import Plan, Put

GOOD = 3  # the last sequence number before the violation


class Restored:
    """Three good transactions, one whose index lies, one on top of it; `restore` is up to the
    test.
    """

    def __init__(self) -> None:
        self.ledger = LedgerInMemory()
        for n in range(GOOD):
            self.ledger.write({b"k%d" % n: Put(b"v"), b"all": Put(b"%d" % n)})
        honest = self.ledger.plan({b"bad": Put(b"v")})
        self.ledger.append(honest._replace(index_tree=self.ledger.tip.trees[1]))
        self.ledger.append(self.ledger.plan({b"later": Put(b"v")}))

    def restore(self, seq: int = GOOD, text: str = "", trees_of: int = GOOD) -> None:
        self.ledger.append(
            Plan(*self._trees(trees_of), 0, 0), text or f"restore main@{seq}\n\nbecause"
        )

    def _trees(self, seq: int) -> tuple[bytes, bytes]:
        return self.ledger.steps[seq - 1].after.trees if seq else self.ledger.first.trees

    def rules(self, **how: object) -> set[str]:
        return {entry.rule for entry in self.ledger.audit_all(**how)}


@pytest.fixture
def restored() -> Restored:
    return Restored()


def test_a_violation_nobody_undid_makes_the_ledger_wrong(restored: Restored) -> None:
    assert restored.rules() == {"index.mismatch"}


def test_a_violation_that_was_undone_does_not_and_the_ledger_goes_on(restored: Restored) -> None:
    restored.restore()
    assert restored.rules() == set()
    restored.ledger.write({b"k0": None, b"after": Put(b"v")})
    assert restored.rules() == set()


def test_what_comes_after_a_restoration_is_judged_by_the_restored_state(restored: Restored) -> None:
    restored.restore()
    restored.ledger.append(restored.ledger.plan({b"x": Put(b"v")})._replace(keys_set=2))
    assert restored.rules() == {"attestation.counts"}


def test_a_restoration_to_any_good_state_is_right_even_to_the_empty_one(restored: Restored) -> None:
    restored.restore(seq=0, trees_of=0)
    restored.ledger.write({b"new": Put(b"v")})
    assert restored.rules() == set()


@pytest.mark.parametrize(("seq", "trees_of"), [(3, 2), (2, 3), (0, 3)])
def test_trees_other_than_those_it_names_are_refused(
    restored: Restored, seq: int, trees_of: int
) -> None:
    restored.restore(seq, trees_of=trees_of)
    assert "restore.trees" in restored.rules()


@pytest.mark.parametrize("seq", [4, 5])
def test_a_restoration_of_the_bad_state_undoes_nothing(restored: Restored, seq: int) -> None:
    restored.restore(seq, trees_of=seq)
    assert restored.rules() == {"index.mismatch"}


@pytest.mark.parametrize(
    "text",
    [
        "restore main@6",
        "restore main@7",
        "restore other@3",
        "restore main@03",
        "Restore main@3",
        "restore main@3 ",
        "kv: nothing",
    ],
)
def test_no_other_commit_may_change_nothing(restored: Restored, text: str) -> None:
    restored.restore(text=text)
    assert "transaction.empty" in restored.rules()


def test_a_restoration_is_signed_by_a_gateway_key(restored: Restored) -> None:
    asked: list[bytes] = []

    def verify(payload: bytes, armour: bytes) -> bool:
        asked.append(payload)
        return False

    restored.restore()
    assert restored.rules(verify_gateway=verify) == {"restore.signature"}
    assert len(asked) == 1 and b"restore main@3" in asked[0], "asked about another commit"
    assert restored.rules(verify_gateway=lambda payload, armour: True) == set()
