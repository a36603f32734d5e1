"""Receipts: one for each commit, in order, of the gateway of that time, saying what is true."""

from __future__ import annotations

import pytest
from support.accepted_in_memory import Accepted, keyed, texts

from gitkv.gateway.watchlog import Entry
from gitkv.ledger.plan import Put
from gitkv.model.commit import commit_payload, parse_commit, sign_payload
from gitkv.model.heads import Heads
from gitkv.model.oid import COMMIT, EMPTY_TREE, Oid, hash_object
from gitkv.model.refs import EpochLabel, Namespace
from gitkv.model.verdict import FormError
from gitkv.verifying.receipts import parse_receipt

OTHER = Oid(b"\x11" * 20)


@pytest.fixture
def team() -> Accepted:
    team = Accepted().begin()
    team.write({b"a": Put(b"1")}, team.bob)
    return team


def _told_again(team: Accepted, bend: object, **how: object) -> list[str]:
    """What is said when the last receipt is another one."""
    team.receipts.pop()
    team.add_receipt(team.tip, bend, **how)  # type: ignore[arg-type]
    return texts(team.verify())


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("ns", Namespace("other"), "KV-NS: expected main, got other"),
        ("epoch", EpochLabel("e2"), "KV-Epoch: expected e1, got e2"),
        ("seq", 7, "KV-Seq: expected 1, got 7"),
        ("txn", "0" * 36, "KV-Txn: expected "),
        ("heads", Heads(OTHER, OTHER), "KV-Ledger: expected "),
        ("heads", Heads(OTHER, OTHER), "KV-Index: expected "),
    ],
)
def test_a_receipt_that_says_something_else_is_named(
    team: Accepted, field: str, value: object, named: str
) -> None:
    said = _told_again(team, lambda entry: entry._replace(**{field: value}))
    assert any(f"[8 receipt.mismatch] receipt 1: {named}" in text for text in said), said


def test_a_receipt_by_a_policy_that_is_not_here_or_was_replaced_is_named(team: Accepted) -> None:
    assert any(
        "[8 receipt.policy] receipt 1" in text
        for text in _told_again(team, lambda entry: entry._replace(policy=OTHER))
    )
    first = team.policies[0]
    team.add_policy(team.text, team.alice)
    team.receipts.pop()
    team.add_receipt(team.tip)
    team.write({b"b": Put(b"2")}, team.bob)
    said = _told_again(team, lambda entry: entry._replace(policy=first))
    assert any("the policy of the entry before, or a later one" in text for text in said)


def test_a_receipt_of_somebody_else_is_named(team: Accepted) -> None:
    for stranger in (keyed("mallory"), team.alice):
        said = _told_again(team, lambda entry: entry, by=stranger)
        assert [text.split("]")[0] for text in said] == ["[8 receipt.signature"]


def test_a_receipt_that_leaves_the_one_before_out_is_named(team: Accepted) -> None:
    team.write({b"b": Put(b"2")}, team.bob)
    del team.receipts[1:]
    team.add_receipt(team.tip)
    said = texts(team.verify())
    assert "[8 receipt.mismatch] receipt 1: subject: expected main@1, got main@2" in said
    assert any(text.startswith("[8 receipt.missing] receipt 2") for text in said)


def _body(message: bytes, *parents: Oid, tree: Oid = EMPTY_TREE) -> bytes:
    return commit_payload(tree, parents, b"A <a@example.org> 1700000000 +0000", message)


def test_only_an_entry_in_its_one_form_is_a_receipt(team: Accepted) -> None:
    oid = team.receipts[-1]
    body = team.store.read(oid, COMMIT)
    assert parse_receipt(oid, body).ledger == team.tip.ledger.oid
    assert parse_receipt(oid, body).before == team.receipts[0]
    message = parse_commit(body).message
    for bad in (
        _body(message + b"\n"),
        _body(message, tree=OTHER),
        _body(message, OTHER, OTHER),
        _body(b"accept nothing\n"),
        _body(message.replace(b"KV-Version: 1", b"KV-Version: 2")),
    ):
        with pytest.raises(FormError, match=r"receipt\.form"):
            parse_receipt(hash_object(COMMIT, bad), bad)
    with pytest.raises(FormError, match=r"object\.hash"):
        parse_receipt(OTHER, body)
    with pytest.raises(FormError):
        parse_receipt(hash_object(COMMIT, b"x"), b"x")


def test_an_entry_in_another_form_and_a_lost_one_are_named_where_they_stand(
    team: Accepted,
) -> None:
    team.receipts.pop()
    payload = _body(b"accept nothing\n", team.receipts[0])
    team.receipts.append(team.store.add(COMMIT, sign_payload(payload, b"x\n")))
    assert [text.partition(":")[0] for text in texts(team.verify())] == [
        "[8 receipt.form] receipt 1"
    ]


def test_an_entry_reads_back_as_it_was_written(team: Accepted) -> None:
    seen: list[Entry] = []
    team.write({b"b": Put(b"2")}, team.bob)
    _told_again(team, lambda entry: (seen.append(entry), entry)[1])
    receipt = parse_receipt(team.receipts[-1], team.store.read(team.receipts[-1], COMMIT))
    [entry] = seen
    assert receipt.fields[3] == b"%d" % entry.seq and receipt.policy == entry.policy
    assert receipt.time_s == team.now_s
