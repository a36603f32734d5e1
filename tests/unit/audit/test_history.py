"""A whole ledger decided again from raw objects: an honest one passes, every lie in its chain is
named.
"""

from __future__ import annotations

import pytest
from support.naive_store import Ledger, Told, Value, jump, tell

from gitkv.audit.commit import Commit, parse_commit
from gitkv.audit.history import (
    UNLIMITED,
    Judge,
    Judged,
    Trust,
    Verify,
    audit_chain,
    audit_history,
    jump_of,
)
from gitkv.audit.step import Roots, StepFacts
from gitkv.model.oid import COMMIT, EMPTY_TREE, Oid, hash_object

Commits = list[tuple[Oid, bytes]]
STEPS = 12


class History:
    """Twelve small transactions. `changed` rewrites one commit (and nothing after it), so that only
    that lie is told.
    """

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.steps = [(self.ledger.roots, StepFacts(0, 0, 0))]
        for seq in range(1, STEPS):
            facts = self.ledger.step(
                self.ledger.state | {b"a": Value(b"%d" % seq), b"k%d" % seq: Value(b"v")}
            )
            self.steps.append((self.ledger.roots, facts))
        self.told = tell(self.steps)

    def audit(self, told: Told | None = None, verify: Verify | None = None) -> set[tuple[int, str]]:
        told = told or self.told
        return {
            (entry.code, entry.rule)
            for entry in audit_history(
                told.commits, told.index_commits, self.ledger.store, verify=verify
            )
        }

    def changed(self, old: bytes, new: bytes) -> set[tuple[int, str]]:
        """Rules broken when the last commit says `new` for `old`; its index commit follows it
        honestly.
        """
        oid, body = self.told.commits[-1]
        assert old in body
        body = body.replace(old, new)
        lied = hash_object(COMMIT, body)
        index = self.told.index_commits[-1][1].replace(oid.hex().encode(), lied.hex().encode())
        return self.audit(
            Told(
                [*self.told.commits[:-1], (lied, body)],
                [*self.told.index_commits[:-1], (hash_object(COMMIT, index), index)],
            )
        )


@pytest.fixture(scope="module")
def history() -> History:
    return History()


def test_honest_ledger_passes(history: History) -> None:
    assert history.audit() == set()
    assert audit_history([], [], history.ledger.store) == []


def test_jump_follows_the_rule_of_the_specification() -> None:
    jumps = [jump_of(seq) for seq in range(500)]
    assert jumps[1:] == [jump(seq) for seq in range(1, 500)]
    assert jumps[1:12] == [0, 1, 0, 3, 4, 3, 0, 7, 8, 7, 10]


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        (b"KV-NS: main", b"KV-NS: other", "attestation.ns"),
        (b"KV-Epoch: e1", b"KV-Epoch: e2", "attestation.epoch"),
        (b"KV-Seq: 11", b"KV-Seq: 12", "attestation.seq"),
        (b"KV-Keys-Set: 2", b"KV-Keys-Set: 3", "attestation.counts"),
        (b"KV-Keys-Del: 0", b"KV-Keys-Del: 1", "attestation.counts"),
        (b"00000000000b", b"00000000000a", "transaction.reused"),
    ],
)
def test_false_trailer_is_named(history: History, old: bytes, new: bytes, rule: str) -> None:
    found = history.changed(old, new)
    assert {name for _, name in found} - {"index.commit"} == {rule}


@pytest.mark.parametrize("field", [b"Base", b"Base-Tree", b"Jump", b"Index-Tree"])
def test_false_id_in_a_trailer_is_named(history: History, field: bytes) -> None:
    start = b"KV-" + field + b": "
    body = history.told.commits[-1][1]
    at = body.index(start) + len(start)
    names = {name for _, name in history.changed(start + body[at : at + 40], start + b"1" * 40)}
    assert {"attestation." + field.decode().lower()} & names or (
        field == b"Index-Tree" and "object.missing" in names
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"KV-Seq: 11\n", b"KV-Seq: 11\nKV-Seq: 11\n"),
        (b"KV-Seq: 11", b"kv-seq: 11"),
        (b"KV-Seq: 11", b"KV-Seq:  11"),
        (b"KV-Seq: 11", b"KV-Seq: 011"),
        (b"KV-Seq: 11", "KV-Seq: ١١".encode()),
        (b"KV-Seq: 11\n", b"KV-Seq: 11\r\n"),
        (b"KV-Seq: 11\n", b"KV-Seq: 1\n 1\n"),
        (b"KV-Seq: 11\n", b""),
        (b"KV-Keys-Del: 0\n", b"KV-Keys-Del: 0\n\n"),
        (b"KV-Keys-Del: 0\n", b"KV-Keys-Del: 0"),
        (b"KV-Keys-Del: 0\n", b"KV-Keys-Del: 0\nSigned-off-by: x\n"),
        (b"KV-Keys-Del: 0\n", b"KV-Keys-Del: 0\n---\n"),
        (b"KV-Keys-Del: 0\n", b"KV-Keys-Del: 0\n\ntext\n"),
        (b"kv: step\n", b"kv: step\n\nkV-Seq: 9\n"),
        (b"kv: step\n", b"KV-Seq: 9\n"),
        (b"kv: step\n", b"kv: step\nmore\n"),
        (b"kv: step\n", b"kv: step\n\n"),
        (b"kv: step\n", b"\n"),
        (b"kv: step", b"kv: \x1b[2J"),
        (b"kv: step", "kv: \u0085".encode()),
        (b"kv: step", b"kv: \xff"),
        (b"kv: step", b"kv: " + b"x" * 65536),
        (b"-7000-", b"-4000-"),
        (b"018f0000", b"018F0000"),
        (b"KV-Chunks-Tree: -", b"KV-Chunks-Tree: " + b"1" * 39),
        (b"KV-Version: 1", b"KV-Version: 2"),
        (b"KV-Epoch: e1", b"KV-Epoch: ../x"),
        (b"author ", b"encoding UTF-8\nauthor "),
        (b"\n\nkv: step", b"\nmergetag x\n\nkv: step"),
        (b"\n\nkv: step", b"\ngpgsig a\ngpgsig b\n\nkv: step"),
        (b"author Ann", b"author Bob"),
        (b"Ann Example", b"Ann <Example"),
        (b"+0100", b"+01000"),
        (b"+0100", b"+0160"),
        (b"1700000011", b"253402300800"),
        (b"1700000011", b"0"),
        (b"1700000011", b"01700000011"),
        (b"tree ", b"tree  "),
    ],
)
def test_commit_in_another_form_is_refused(history: History, old: bytes, new: bytes) -> None:
    assert history.changed(old, new) >= {(8, "commit.form")}


def test_body_and_signature_are_read_and_the_signature_is_not_signed(history: History) -> None:
    body = history.told.commits[-1][1].replace(
        b"kv: step\n", "kv: step\n\nwhy: käse\n\n\tmore\n".encode()
    )
    signed = body.replace(b"\n\nkv:", b"\ngpgsig -----BEGIN\n \n abc\n -----END\n\nkv:")
    commit = parse_commit(signed)
    assert (commit.payload, commit.armour) == (body, b"-----BEGIN\n\nabc\n-----END\n")
    assert parse_commit(body).armour is None


def test_signatures_are_asked_about_when_a_verifier_is_given(history: History) -> None:
    assert history.audit(verify=lambda payload, armour: True) == {(3, "signature.missing")}
    steps = [body.replace(b"\n\nkv:", b"\ngpgsig x\n\nkv:") for _, body in history.told.commits[:1]]
    told = Told([(hash_object(COMMIT, steps[0]), steps[0])], history.told.index_commits[:1])
    assert (3, "signature.bad") in history.audit(told, verify=lambda payload, armour: False)
    assert (3, "signature.bad") not in history.audit(
        told, verify=lambda payload, armour: armour == b"x\n"
    )


def test_commit_dated_before_its_parent_is_refused(history: History) -> None:
    assert history.changed(b"1700000011", b"1699999410") - {(8, "index.commit")} == set()
    assert history.changed(b"1700000011", b"1699999409") - {(8, "index.commit")} == {
        (3, "commit.date")
    }


def test_any_other_index_commit_is_refused(history: History) -> None:
    for old, new in (
        (b"index of", b"Index of"),
        (b"+0000", b"+0100"),
        (b"KV-Version: 1\n", b""),
        (b"parent ", b"parent  "),
    ):
        indexes = list(history.told.index_commits)
        body = indexes[5][1].replace(old, new)
        indexes[5] = (hash_object(COMMIT, body), body)
        assert (8, "index.commit") in history.audit(Told(history.told.commits, indexes))


def test_chains_of_different_length_and_objects_under_a_false_id_are_refused(
    history: History,
) -> None:
    told = history.told
    assert history.audit(Told(told.commits, told.index_commits[:-1])) == {(8, "chain.length")}
    assert history.audit(Told(told.commits[:-1], told.index_commits)) == {(8, "chain.length")}
    assert (8, "object.hash") in history.audit(
        Told([(told.commits[1][0], told.commits[0][1])], told.index_commits[:1])
    )


def test_left_out_swapped_or_merged_commits_break_the_chain(history: History) -> None:
    told = history.told
    left_out = Told(
        told.commits[:3] + told.commits[4:], told.index_commits[:3] + told.index_commits[4:]
    )
    assert {(8, "commit.parent"), (8, "attestation.seq")} <= history.audit(left_out)
    assert (8, "commit.parent") in history.audit(Told(told.commits[1:], told.index_commits[1:]))
    parent = b"parent " + told.commits[-2][0].hex().encode() + b"\n"
    assert (8, "commit.form") in history.changed(
        parent, parent + b"parent " + told.commits[0][0].hex().encode() + b"\n"
    )


def test_first_commit_must_be_empty() -> None:
    ledger = Ledger()
    facts = ledger.step({b"a": Value(b"1")})
    told = tell([(ledger.roots, facts._replace(seq=0))])
    assert {entry.rule for entry in audit_history(*told, ledger.store)} == {"attestation.counts"}
    assert (
        audit_history(*tell([(Roots(EMPTY_TREE, EMPTY_TREE), StepFacts(0, 0, 0))]), ledger.store)
        == []
    )


def test_wrong_trees_are_found_in_the_middle_of_a_history_and_limits_can_be_given(
    history: History,
) -> None:
    steps = list(history.steps)
    steps[4] = (steps[4][0]._replace(index_tree=steps[3][0].index_tree), steps[4][1])
    assert history.audit(tell(steps)) == {(8, "index.mismatch")}
    rules = UNLIMITED._replace(ranges=((b"a", b"b"),))
    found = audit_history(*history.told, history.ledger.store, rules=rules)
    assert {(entry.rule, entry.where) for entry in found} == {
        ("prefix.not-owned", "commit 1: key k1")
    }


def _judge_of_all(seen: list[int]) -> Judge:
    def judge(seq: int, oid: Oid, commit: Commit, chunks: Oid | None) -> Judged:
        seen.append(seq)
        return [], UNLIMITED

    return judge


@pytest.mark.parametrize("first", [1, 5, 7])
def test_a_chain_may_begin_at_any_number_that_is_trusted(history: History, first: int) -> None:
    told, seen = history.told, list[int]()
    trust = Trust(_judge_of_all(seen), trusted_to=first, first_seq=first)
    part = Told(told.commits[first:], told.index_commits[first:])
    assert audit_chain(*part, history.ledger.store, trust) == []
    assert seen == list(range(first + 1, STEPS))
    shifted = trust._replace(first_seq=first + 1, trusted_to=first + 1)
    rules = {entry.rule for entry in audit_chain(*part, history.ledger.store, shifted)}
    assert "attestation.seq" in rules, "its own number is not believed"
    left_out = Told([part.commits[0], *part.commits[2:]], [part[1][0], *part[1][2:]])
    found = audit_chain(*left_out, history.ledger.store, trust)
    assert {"commit.parent", "attestation.seq", "index.commit"} <= {entry.rule for entry in found}


def test_a_chain_that_begins_later_and_is_not_trusted_is_refused(history: History) -> None:
    part = Told(history.told.commits[5:], history.told.index_commits[5:])
    trust = Trust(_judge_of_all([]), first_seq=5)
    found = audit_chain(*part, history.ledger.store, trust)
    assert [(entry.rule, entry.where) for entry in found][:1] == [
        ("attestation.counts", "commit 5")
    ]
