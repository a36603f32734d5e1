"""Composed commits say of themselves what the specification asks, and a tip is read only with its
own index commit.
"""

from __future__ import annotations

import pytest
from support.ledger_in_memory import START_S, LedgerInMemory, unsigned

from gitkv.ledger.compose import compose, read_tip
from gitkv.ledger.plan import Put
from gitkv.ledger.seek import read_ledger_commit
from gitkv.model.commit import commit_payload, parse_commit, sign_payload
from gitkv.model.oid import COMMIT, EMPTY_TREE, ZERO_OID
from gitkv.model.verdict import FormError

ARMOUR = b"-----BEGIN SSH SIGNATURE-----\nabc\n-----END SSH SIGNATURE-----\n"


@pytest.fixture
def ledger() -> LedgerInMemory:
    made = LedgerInMemory()
    made.write({b"a": Put(b"1")})
    return made


def test_the_first_commit_is_empty_and_has_no_past() -> None:
    first = LedgerInMemory().first.ledger
    said = first.attestation
    assert (said.seq, said.base, said.base_tree, said.jump, said.keys_set, said.keys_del) == (
        0,
        None,
        None,
        None,
        0,
        0,
    )
    assert first.commit.parents == () and first.commit.tree == said.index_tree == EMPTY_TREE


def test_a_transaction_names_its_base_its_jump_and_its_counts(ledger: LedgerInMemory) -> None:
    for n in range(8):
        before = ledger.tip
        step = ledger.write({b"k%d" % n: Put(b"v"), b"a": Put(b"%d" % n)})
        assert step is not None
        said = step.after.ledger.attestation
        assert (said.base, said.base_tree, said.seq) == (
            before.ledger.oid,
            before.ledger.commit.tree,
            before.seq + 1,
        )
        assert (said.keys_set, said.keys_del, said.index_tree) == (
            step.plan.keys_set,
            0,
            step.plan.index_tree,
        )
        assert parse_commit(ledger.store.read(step.after.index_oid, COMMIT)).parents == (
            before.index_oid,
        )


def test_what_is_signed_is_the_commit_without_its_signature(ledger: LedgerInMemory) -> None:
    signed: list[bytes] = []

    def sign(payload: bytes) -> bytes:
        signed.append(payload)
        return ARMOUR

    plan = ledger.plan({b"k": Put(b"v")})
    tip = compose(ledger.tip, plan, ledger.stamp(), sign, ledger.store.read, ledger.store.add).tip
    commit = parse_commit(ledger.store.read(tip.ledger.oid, COMMIT))
    assert (commit.payload, commit.armour) == (signed[0], ARMOUR)
    assert sign_payload(signed[0], ARMOUR) == ledger.store.read(tip.ledger.oid, COMMIT)


def test_a_clock_behind_the_base_does_not_lead_backwards(ledger: LedgerInMemory) -> None:
    stamp = ledger.stamp()
    late = stamp._replace(identity=stamp.identity._replace(seconds=START_S - 10_000))
    tip = compose(
        ledger.tip,
        ledger.plan({b"k": Put(b"v")}),
        late,
        unsigned,
        ledger.store.read,
        ledger.store.add,
    ).tip
    assert tip.ledger.commit.identity().seconds == ledger.tip.ledger.commit.identity().seconds


def test_both_refs_move_from_the_base_to_the_new_tip(ledger: LedgerInMemory) -> None:
    base = ledger.tip
    made = compose(
        base,
        ledger.plan({b"k": Put(b"v")}),
        ledger.stamp(),
        unsigned,
        ledger.store.read,
        ledger.store.add,
    )
    assert [tuple(update) for update in made.updates] == [
        (b"refs/kv/main", base.ledger.oid, made.tip.ledger.oid),
        (b"refs/kv-index/main", base.index_oid, made.tip.index_oid),
    ]
    assert ZERO_OID not in (made.updates[0].old, made.updates[1].old)


@pytest.mark.parametrize(
    "text", ["KV-Seq: 9", "fine\n\nkv-txn: x", "fine\n\n---\n", "", "\n", "esc \x1b[2J", "a\rb"]
)
def test_a_message_that_could_pose_as_trailers_or_move_the_cursor_is_not_composed(
    ledger: LedgerInMemory, text: str
) -> None:
    plan = ledger.plan({b"k": Put(b"v")})
    with pytest.raises(FormError):
        compose(ledger.tip, plan, ledger.stamp(text), unsigned, ledger.store.read, ledger.store.add)


def test_a_tip_is_read_with_its_own_index_commit_only(ledger: LedgerInMemory) -> None:
    assert read_tip(ledger.tip.heads, ledger.store.read) == ledger.tip
    with pytest.raises(FormError, match=r"index\.commit"):
        read_tip(ledger.tip.heads._replace(index_oid=ledger.first.index_oid), ledger.store.read)


def test_a_commit_that_is_none_of_a_ledger_is_not_read(ledger: LedgerInMemory) -> None:
    oid = ledger.store.add(
        COMMIT, commit_payload(EMPTY_TREE, (), ledger.stamp().identity.line(), b"just a commit\n")
    )
    with pytest.raises(FormError):
        read_ledger_commit(oid, ledger.store.read)
