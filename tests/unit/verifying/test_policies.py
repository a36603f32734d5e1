"""The chain of policies, and the own policies of a store that nobody else vouches for."""

from __future__ import annotations

import pytest
from support.accepted_in_memory import START_S, Accepted, keyed

from gitkv.model.commit import commit_payload, sign_payload
from gitkv.model.oid import BLOB, COMMIT, Oid, hash_object
from gitkv.sign.verifier import SignatureVerifier
from gitkv.verifying.policies import OwnPolicy, Policies, judge_policies, own_policies

VERIFIER = SignatureVerifier("/nowhere", {})


@pytest.fixture
def team() -> Accepted:
    return Accepted().begin()


def _judge(team: Accepted, known: Policies | None = None) -> tuple[int, list[str]]:
    line = team.policies[len(known.versions) if known else 0 :]
    commits = [(oid, team.store.read(oid, COMMIT)) for oid in line]
    policies, reasons = judge_policies(commits, team.store.read, VERIFIER, known)
    return len(policies.versions), [entry.rule for entry in reasons]


def test_a_line_of_admins_changes_is_a_chain_and_can_be_gone_on_with(team: Accepted) -> None:
    team.add_policy(team.text.replace(b"200000", b"1000"), team.alice)
    assert _judge(team) == (2, [])
    commits = [(oid, team.store.read(oid, COMMIT)) for oid in team.policies]
    known, _ = judge_policies(commits, team.store.read, VERIFIER)
    assert known.gateway == team.gateway.key.fingerprint
    team.add_policy(team.text.replace(b"1000", b"2000"), team.alice)
    assert _judge(team, known) == (3, [])


def test_a_change_by_no_admin_or_with_a_bad_text_is_named(team: Accepted) -> None:
    before = team.text
    team.add_policy(before.replace(b"200000", b"1000"), team.bob)
    assert _judge(team) == (1, ["policy.admin"])
    team.policies.pop()
    team.add_policy(before + b"nonsense: 1\n", team.alice)
    assert _judge(team)[0] == 1
    team.policies.pop()
    team.add_policy(before, keyed("mallory"))
    assert _judge(team) == (1, ["signature.unknown-key"])


def test_a_change_of_before_its_predecessor_is_named(team: Accepted) -> None:
    for back_s, rules in ((600, []), (601, ["commit.time"])):
        team.add_policy(team.text, team.alice, START_S - back_s)
        assert _judge(team)[1] == rules
        team.policies.pop()


def test_a_first_policy_that_is_signed_by_none_of_its_keys_or_has_a_parent_is_named(
    team: Accepted,
) -> None:
    assert _judge_one(team, team.add_policy(team.text, team.gateway)) == ["policy.root"]
    team.policies.clear()
    assert _judge_one(team, team.add_policy(team.text, team.alice)) == ["policy.root"]


def _judge_one(team: Accepted, oid: Oid) -> list[str]:
    commits = [(oid, team.store.read(oid, COMMIT))]
    return [entry.rule for entry in judge_policies(commits, team.store.read, VERIFIER)[1]]


def test_a_commit_that_leaves_its_predecessor_out_is_named(team: Accepted) -> None:
    team.add_policy(team.text, team.alice)
    team.add_policy(team.text, team.alice)
    del team.policies[1]
    assert _judge(team) == (1, ["policy.chain"])


def test_bytes_under_a_false_id_and_commits_in_another_form_are_named(team: Accepted) -> None:
    body = team.store.read(team.policies[0], COMMIT)
    assert [
        entry.rule
        for entry in judge_policies([(Oid(bytes(20)), body)], team.store.read, VERIFIER)[1]
    ] == ["object.hash"]
    odd = body.replace(b"author ", b"encoding x\nauthor ", 1)
    found = judge_policies([(hash_object(COMMIT, odd), odd)], team.store.read, VERIFIER)[1]
    assert [entry.rule for entry in found] == ["commit.headers"]


def test_a_first_policy_without_a_valid_text_is_named(team: Accepted) -> None:
    team.policies.clear()
    assert _judge_one(team, team.add_policy(b"version: 9\n", team.gateway)) == ["policy.text"]
    payload = commit_payload(
        team.tip.ledger.commit.tree, (), team.tip.ledger.commit.committer, b"no policy\n"
    )
    oid = team.store.add(COMMIT, sign_payload(payload, team.gateway.signer.sign(payload)))
    assert _judge_one(team, oid) == ["policy.missing"]


def test_an_own_policy_is_in_force_from_its_time_on_but_not_before_the_one_it_replaced(
    team: Accepted,
) -> None:
    texts = [team.text, b"no policy", team.text.replace(b"200000", b"1000")]
    blobs = [team.store.add(BLOB, text) for text in texts]
    commits = [Oid(bytes([place] * 20)) for place in range(3)]
    times = (100, 150, 50)
    found = [OwnPolicy(*parts) for parts in zip(commits, times, blobs, strict=True)]
    policies = own_policies(found, team.store.read)
    assert [version.since_s for version in policies.versions] == [100, 100]
    newest = policies.at(100)
    assert newest is not None and newest.oid == commits[2], "its own clock was behind"
    assert policies.at(99) is None
