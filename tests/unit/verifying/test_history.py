"""A whole history in memory, re-verified: a good one passes, and what somebody spoils is named."""

from __future__ import annotations

import pytest
from support.accepted_in_memory import EPOCH, NS, START_S, Accepted, keyed, texts
from support.large_values import cut

from gitkv.ledger.chunks import chunks_between
from gitkv.ledger.plan import Plan, Put
from gitkv.model.chunking import DEFAULT_CHUNKING
from gitkv.model.heads import Heads
from gitkv.model.oid import COMMIT, Oid
from gitkv.model.refs import EpochLabel
from gitkv.verifying.anchors import parse_anchor
from gitkv.verifying.history import Request, Seen, Unjudged
from gitkv.verifying.objects import Sighting


@pytest.fixture
def team() -> Accepted:
    """Five transactions: the gateway's, bob's, alice's, and bob's two under a second policy."""
    team = Accepted().begin()
    team.write({b"cfg:a": Put(b"1")}, team.bob)
    team.write({b"cfg:b": Put(b"2"), b"other": Put(b"3")}, team.alice)
    team.add_policy(team.text.replace(b"bob: {}", b'bob: {prefixes: ["cfg:"]}'), team.alice)
    team.write({b"cfg:c": Put(b"4")}, team.bob)
    team.write({b"cfg:a": None}, team.bob)
    return team


def test_a_good_history_is_verified_and_told(team: Accepted) -> None:
    found = team.verify()
    assert not found.reasons and not found.unjudged, texts(found)
    assert (found.first, found.last, found.transactions, found.receipts) == (0, 4, 5, 5)
    assert found.signers == {"alice": 1, "bob": 3, "stargate": 1}
    assert (found.policies, found.gateway) == (2, team.gateway.key.fingerprint)
    assert not found.standalone and found.commit == team.tip.ledger.oid.hex()


def test_a_range_judges_what_comes_after_its_trusted_start(team: Accepted) -> None:
    found = team.verify(request=Request(trusted_to=1, to=3))
    assert (found.first, found.last, found.transactions, found.reasons) == (1, 3, 2, ())


def test_a_writer_beyond_its_prefixes_is_named(team: Accepted) -> None:
    team.write({b"other": Put(b"9")}, team.bob)
    assert team.rules() == {"prefix.not-owned"}


def test_a_stranger_and_a_forged_committer_are_named(team: Accepted) -> None:
    team.write({b"cfg:x": Put(b"9")}, keyed("mallory"))
    assert team.rules() == {"signature.unknown-key"}


def test_a_watchlog_that_was_cut_short_is_named(team: Accepted) -> None:
    team.receipts.pop()
    assert team.rules() == {"receipt.missing"}


def test_a_missing_watchlog_of_a_stargates_ledger_is_named_where_it_would_be_here(
    team: Accepted,
) -> None:
    assert team.rules(team.seen()._replace(watchlogs={})) == {"receipt.missing"}


def test_a_missing_watchlog_is_not_judged_where_nothing_fetches_it(team: Accepted) -> None:
    seen = team.seen()._replace(watchlogs={}, fetches_receipts=False)
    found = team.verify(seen)
    assert not found.reasons
    [gap] = found.unjudged
    assert gap.what.startswith("signers, policy and receipts: a Stargate began this ledger")


def test_a_clone_of_a_team_store_cannot_pass_for_a_standalone_store(team: Accepted) -> None:
    stripped = team.seen()._replace(watchlogs={}, policies=(), fetches_receipts=False)
    assert team.verify(stripped).unjudged
    found = team.verify(stripped._replace(is_standalone=True))
    assert found.unjudged and not found.standalone, "a gateway began it"
    assert team.rules(team.seen()._replace(is_standalone=True)) == set(), "receipts are judged"


def test_a_ledger_that_is_shorter_than_its_receipts_was_rolled_back(team: Accepted) -> None:
    last = team.tips.pop()
    assert team.rules() == {"ledger.cut"}
    shown = Sighting("refs/remotes/origin/kv/main", last.ledger.oid)
    seen = team.seen()._replace(ledgers=(shown,), is_writer=True)
    assert team.rules(seen) == set(), "fetched, and not adopted yet"


def test_what_was_written_here_waits_for_its_receipt(team: Accepted) -> None:
    shown = Sighting("refs/remotes/origin/kv/main", team.tip.ledger.oid)
    team.write({b"cfg:new": Put(b"1")}, team.bob)
    team.receipts.pop()
    seen = team.seen()._replace(ledgers=(shown,), is_writer=True)
    found = team.verify(seen)
    assert (found.reasons, found.unjudged, found.without_receipt) == ((), (), 1)
    assert team.verify(seen._replace(ledgers=(), watchlogs={})).unjudged, "none was ever fetched"


@pytest.mark.parametrize("name", ["ledgers", "watchlogs", "policies"])
def test_two_places_that_contradict_each_other_are_named(team: Accepted, name: str) -> None:
    other = Accepted().begin()
    for oid, kind, body in other.store.all():
        assert team.store.add(kind, body) == oid
    tip = {
        "ledgers": other.tip.ledger.oid,
        "watchlogs": other.receipts[-1],
        "policies": other.policies[-1],
    }[name]
    forked = Sighting("refs/remotes/other/x", tip)
    seen = team.seen()
    if name == "watchlogs":
        seen = seen._replace(watchlogs={EPOCH: (*seen.watchlogs[EPOCH], forked)})
    else:
        seen = seen._replace(**{name: (*getattr(seen, name), forked)})
    found = team.verify(seen)
    assert [(entry.rule, entry.where) for entry in found.reasons] == [
        ("remote.forked", "refs/remotes/other/x")
    ]


def test_the_policy_is_found_by_the_receipts_where_no_ref_is_known_to_be_it(
    team: Accepted,
) -> None:
    unrelated = Accepted().begin()
    for _, kind, body in unrelated.store.all():
        team.store.add(kind, body)
    newest = team.add_policy(team.text.replace(b"bob: {prefixes", b"bob: {prefixes"), team.alice)
    maybe = (Sighting("a", unrelated.policies[-1]), Sighting("b", newest))
    found = team.verify(team.seen()._replace(policies=(), maybe_policies=maybe))
    assert not found.reasons and found.policies == 3
    forged = team.add_policy(team.text, keyed("mallory"))
    maybe = (Sighting("b", forged),)
    assert team.rules(team.seen()._replace(policies=(), maybe_policies=maybe)) >= {
        "policy.admin"
    } or (
        "signature.unknown-key"
        in team.rules(team.seen()._replace(policies=(), maybe_policies=maybe))
    )


def test_without_policy_and_receipts_nothing_is_said_to_be_right(team: Accepted) -> None:
    seen = team.seen()._replace(policies=(), watchlogs={EpochLabel("e2"): ()})
    found = team.verify(seen)
    assert not found.reasons and "the policy, signers" in found.unjudged[0].what


def test_anchors_are_found_or_named(team: Accepted) -> None:
    good = [
        team.gateway.key.fingerprint,
        team.tips[2].ledger.oid.hex(),
        team.tips[2].index_oid.hex(),
        team.receipts[3].hex(),
        team.policies[0].hex(),
    ]
    found = team.verify(request=Request(anchors=tuple(map(parse_anchor, good))))
    assert not found.reasons and found.anchors == tuple(good)
    other = Accepted().begin()
    bad = [other.gateway.key.fingerprint, other.tip.ledger.oid.hex(), other.receipts[0].hex()]
    found = team.verify(request=Request(anchors=tuple(map(parse_anchor, bad))))
    assert [entry.rule for entry in found.reasons] == ["anchor.key", *["anchor.missing"] * 2]
    assert found.anchors == ()


def test_a_consistent_rollback_is_found_by_an_anchor_only(team: Accepted) -> None:
    newest = team.receipts.pop(), team.tips.pop().ledger.oid
    assert team.rules() == set()
    for oid in newest:
        anchors = (parse_anchor(oid.hex()),)
        assert team.rules(request=Request(anchors=anchors)) == {"anchor.missing"}


def test_what_comes_after_the_end_of_a_range_does_not_anchor_it(team: Accepted) -> None:
    anchors = (parse_anchor(team.receipts[-1].hex()),)
    assert team.rules(request=Request(to=3, anchors=anchors)) == {"anchor.missing"}
    assert team.rules(request=Request(to=4, anchors=anchors)) == set()


@pytest.mark.parametrize(
    "text", ["", "SHA256:short", "abcdef0", "A" * 40, "0" * 39, "0" * 41, "SHA256:" + "=" * 43]
)
def test_what_pins_nothing_is_no_anchor(text: str) -> None:
    with pytest.raises(ValueError, match="is not an anchor"):
        parse_anchor(text)


def test_an_object_missing_from_a_shallow_or_partial_clone_is_not_judged(team: Accepted) -> None:
    gap = Unjudged("everything: this clone is shallow, and its history does not reach back to", "x")
    lost = team.tips[0].ledger.oid
    team.store.drop(lost)
    assert team.rules() == {"object.missing"}
    found = team.verify(team.seen()._replace(gaps=(gap,)))
    assert found.reasons == () and lost.hex() in found.unjudged[0].what


def test_a_missing_value_is_a_gap_in_a_partial_clone_and_hides_no_other_fault(
    team: Accepted,
) -> None:
    from gitkv.model.oid import BLOB, hash_object

    team.write({b"cfg:x": Put(b"9")}, keyed("mallory"))
    lost = hash_object(BLOB, b"1")
    team.store.drop(lost)
    assert team.rules() == {"object.missing", "signature.unknown-key"}
    seen = team.seen()._replace(gaps=(Unjudged("everything: partial, without", "fetch it"),))
    found = team.verify(seen)
    assert [entry.rule for entry in found.reasons] == ["signature.unknown-key"]
    assert found.unjudged == (Unjudged(f"everything: partial, without {lost.hex()}", "fetch it"),)


def test_an_object_that_holds_something_else_is_named(team: Accepted) -> None:
    from gitkv.model.oid import BLOB, hash_object

    team.store.replace(hash_object(BLOB, b"1"), BLOB, b"7")
    found = team.verify()
    assert "holds what hashes to" in texts(found)[0]
    team.store.replace(team.tips[1].ledger.oid, COMMIT, team.store.read(team.receipts[0], COMMIT))
    assert "holds what hashes to" in texts(team.verify())[0]


def test_a_restoration_and_what_is_applied_again_are_the_gateways_to_sign(team: Accepted) -> None:
    good = team.tip
    team.write({b"other": Put(b"not bob's")}, team.bob)
    team.write({b"cfg:later": Put(b"1")}, team.bob)
    assert team.rules() == {"prefix.not-owned"}
    team.write_plan(Plan(*good.trees, 0, 0), team.gateway, text="restore main@4\n\nA violation.")
    team.write({b"cfg:later": Put(b"1")}, team.gateway, text="apply main@6 of bob again")
    found = team.verify()
    assert not found.reasons, texts(found)
    assert found.signers["stargate"] == 3
    assert team.rules(request=Request(trusted_to=6)) == set()


@pytest.mark.parametrize(
    "text",
    [
        "apply main@3 of alice again",
        "apply main@9 of bob again",
        "apply other@3 of bob again",
        "kv: of its own accord",
    ],
)
def test_what_the_gateway_signs_of_its_own_accord_is_named(team: Accepted, text: str) -> None:
    team.write({b"cfg:x": Put(b"1")}, team.gateway, text=text)
    assert team.rules() == {"signature.gateway"}


def test_a_namespace_that_no_policy_has_and_one_of_another_name_are_named(team: Accepted) -> None:
    found = team.verify(team.seen()._replace(ns=NS + "x"))
    assert [entry.rule for entry in found.reasons] == ["attestation.ns"]


def test_a_first_commit_in_another_form_is_named(team: Accepted) -> None:
    body = b"tree " + b"0" * 40 + b"\nnonsense\n"
    oid = team.store.add(COMMIT, body)
    seen = team.seen()._replace(heads=Heads(oid, oid))
    assert [entry.rule for entry in team.verify(seen).reasons] == ["commit.form"]
    seen = team.seen()._replace(heads=Heads(team.store.add(COMMIT, b"x"), oid))
    assert "not a commit" in texts(team.verify(seen))[0]


def test_a_standalone_store_says_that_nobody_vouches_for_it() -> None:
    store = Accepted()
    seen = _standalone(store)
    found = store.verify(seen)
    assert found.standalone and not found.reasons and not found.unjudged
    assert found.receipts == 0
    unmarked = store.verify(seen._replace(is_standalone=False))
    assert not unmarked.standalone and "nothing says" in unmarked.unjudged[0].what


def _standalone(store: Accepted) -> Seen:
    from gitkv.ledger.compose import compose_first

    stamp = store._stamp(store.alice, "start of main")
    first = compose_first(NS, EPOCH, stamp, store.alice.signer.sign, store.store.add)
    store.tips.append(first.tip)
    store.policies.append(Oid(bytes(20)))  # receipts are not looked at
    store.write({b"a": Put(b"1")}, store.alice, time_s=START_S + 10)
    return Seen(NS, store.tip.heads, is_standalone=True)


def test_large_values_are_verified_with_their_chunks_or_said_to_be_unread() -> None:
    team = Accepted().begin()
    team.write({b"small": Put(b"1")}, team.alice)
    manifest = cut(team.store.add, 1_100_000, chunking=DEFAULT_CHUNKING)
    team.write({b"big": Put(manifest)}, team.alice)
    assert (team.rules(), team.verify().chunks_unread) == (set(), 0)
    found = chunks_between(manifest, 0, manifest.size, team.store.read)
    for oid in {chunk.oid for _, chunk in found}:
        team.store.drop(oid)
    assert team.rules() == {"object.missing"}
    unread = team.verify(request=Request(with_chunks=False))
    assert (unread.reasons, unread.chunks_unread) == ((), 1)


def test_a_chunk_head_other_than_the_derived_one_is_found() -> None:
    team = Accepted().begin()
    team.write({b"big": Put(cut(team.store.add, 1_100_000, chunking=DEFAULT_CHUNKING))}, team.alice)
    heads = team.tip.heads
    assert heads.chunks is not None
    other = heads._replace(chunks=heads.chunks._replace(oid=heads.ledger))
    assert team.rules(team.seen()._replace(heads=other)) == {"chunks.commit"}
    assert team.rules(team.seen()._replace(heads=heads._replace(chunks=None))) == {"chunks.commit"}


def test_a_receipt_that_names_another_chunk_commit_is_found() -> None:
    team = Accepted().begin()
    team.write({b"big": Put(cut(team.store.add, 1_100_000, chunking=DEFAULT_CHUNKING))}, team.alice)
    team.receipts.pop()
    team.add_receipt(
        team.tip, lambda entry: entry._replace(heads=entry.heads._replace(chunks=None))
    )
    assert team.rules() == {"receipt.mismatch"}
