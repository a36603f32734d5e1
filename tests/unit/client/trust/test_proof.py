"""What receipts prove of what a mirror shows: the honest ways it can look, and a table of lies."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.accepted_in_memory import NS, Accepted, Keyed, keyed

from gitkv.client.trust.memory import Memory
from gitkv.client.trust.policies import Look
from gitkv.client.trust.proof import Proof, prove
from gitkv.client.trust.shown import GoneBackError, NotVouchedError, Shown
from gitkv.errors import IntegrityError, PolicyError
from gitkv.ledger.plan import Put
from gitkv.model.commit import commit_payload, parse_commit, sign_payload
from gitkv.model.oid import COMMIT, Oid
from gitkv.model.refs import Namespace
from gitkv.sign.verifier import SignatureVerifier


class Mirror:
    """A store with three transactions, of which a clone has seen two, and what the mirror shows."""

    def __init__(self) -> None:
        self.store = Accepted().begin()
        self.set("a", b"1")
        self.set("a", b"2")
        self.memory = Memory(self.store.policies[-1], self.store.receipts[-1], None)
        self.memory = self.memory._replace(shown=self.store.receipts[-1])
        self.set("a", b"3")

    def set(self, key: str, value: bytes) -> None:
        self.store.write({key.encode(): Put(value)}, self.store.alice)

    @property
    def shown(self) -> Shown:
        tip = self.store.tip
        return Shown(tip.heads, self.store.receipts[-1], self.store.policies[-1])

    def prove(self, shown: Shown | None = None, memory: Memory | None = None) -> Proof:
        look = Look(self.store.store.read, self.store.store.has, self.descends)
        memory = self.memory if memory is None else memory
        return prove(NS, shown or self.shown, memory, look, SignatureVerifier("/nowhere", {}))

    def descends(self, older: Oid, newer: Oid) -> bool:
        at: Oid | None = newer
        while at is not None and at != older:
            parents = parse_commit(self.store.store.read(at, COMMIT)).parents
            at = parents[0] if parents else None
        return at == older

    def commit_on(self, oid: Oid, signer: Keyed | None = None) -> Oid:
        """A commit with the bytes of another, on top of it."""
        commit = parse_commit(self.store.store.read(oid, COMMIT))
        payload = commit_payload(commit.tree, (oid,), commit.committer, commit.message)
        body = sign_payload(payload, signer.signer.sign(payload)) if signer else payload
        return self.store.store.add(COMMIT, body)


@pytest.fixture
def mirror() -> Mirror:
    return Mirror()


def _is_whole(mirror: Mirror, proof: Proof) -> bool:
    shown = mirror.shown
    return not proof.gap and proof.heads == shown.heads


def test_a_tip_with_its_receipt_is_proved(mirror: Mirror) -> None:
    proof = mirror.prove()
    assert _is_whole(mirror, proof) and proof.signer == mirror.store.gateway.key.fingerprint


def test_trust_begins_with_the_key_that_signed_the_first_policy(mirror: Mirror) -> None:
    proof = mirror.prove(memory=Memory())
    assert _is_whole(mirror, proof)
    assert proof.policy.gateway == mirror.store.gateway.key.fingerprint


def test_a_whole_line_of_receipts_needs_one_signature(mirror: Mirror) -> None:
    for number in range(20):
        mirror.set("a", b"%d" % number)
    asked = []
    verifier = SignatureVerifier("/nowhere", {})

    class Counting:
        def verify(self, *words: object) -> object:
            asked.append(words)
            return verifier.verify(*words)  # type: ignore[arg-type]

    look = Look(mirror.store.store.read, mirror.store.store.has, mirror.descends)
    assert _is_whole(mirror, prove(NS, mirror.shown, mirror.memory, look, Counting()))  # type: ignore[arg-type]
    assert len(asked) == 1


def test_a_ledger_ahead_of_its_receipts_is_proved_up_to_them(mirror: Mirror) -> None:
    proof = mirror.prove(mirror.shown._replace(watchlog=mirror.store.receipts[-2]))
    assert proof.heads.ledger == mirror.store.tips[-2].ledger.oid and "has no receipt" in proof.gap


def test_receipts_ahead_of_the_ledger_prove_the_ledger(mirror: Mirror) -> None:
    older = mirror.store.tips[-2]
    proof = mirror.prove(mirror.shown._replace(heads=older.heads))
    assert proof.heads.ledger == older.ledger.oid and not proof.gap


def test_a_policy_that_lags_is_no_lie(mirror: Mirror) -> None:
    first = mirror.store.policies[-1]
    mirror.store.add_policy(mirror.store.text + b"\n# more\n", mirror.store.alice)
    mirror.set("a", b"4")
    memory = mirror.memory._replace(policy=mirror.store.policies[-1])
    assert _is_whole(mirror, mirror.prove(mirror.shown._replace(policy=first), memory))


def test_a_gateway_key_that_an_admin_adds_signs_from_then_on(mirror: Mirror) -> None:
    other = keyed("second")
    store = mirror.store
    old = f"    - {store.gateway.line}\n".encode()
    store.add_policy(store.text.replace(old, old + f"    - {other.line}\n".encode()), store.alice)
    store.gateway = other
    mirror.set("a", b"4")
    assert mirror.prove().signer == other.key.fingerprint
    store.add_policy(store.text.replace(old, b""), store.alice)
    mirror.set("a", b"5")
    assert _is_whole(mirror, mirror.prove())
    assert _is_whole(mirror, mirror.prove(memory=Memory()))


Lie = Callable[[Mirror], Shown]


def _with_ledger(mirror: Mirror, ledger: Oid) -> Shown:
    return mirror.shown._replace(heads=mirror.shown.heads._replace(ledger=ledger))


def _unsigned_tip(mirror: Mirror) -> Shown:
    return _with_ledger(mirror, mirror.commit_on(mirror.shown.heads.ledger))


def _signed_tip(mirror: Mirror) -> Shown:
    tip = mirror.shown.heads.ledger
    return _with_ledger(mirror, mirror.commit_on(tip, mirror.store.alice))


def _no_ledger_commit(mirror: Mirror) -> Shown:
    commit = parse_commit(mirror.store.store.read(mirror.shown.heads.ledger, COMMIT))
    payload = commit_payload(commit.tree, (mirror.shown.heads.ledger,), commit.committer, b"mine\n")
    return _with_ledger(mirror, mirror.store.store.add(COMMIT, payload))


def _another_policy_named(mirror: Mirror) -> Shown:
    other = Accepted().begin()
    mirror.store.add_receipt(
        mirror.store.tip, lambda entry: entry._replace(policy=other.tip.index_oid)
    )
    return mirror.shown


def _index_not_the_ledgers(mirror: Mirror) -> Shown:
    return mirror.shown._replace(
        heads=mirror.shown.heads._replace(index_oid=mirror.commit_on(mirror.shown.heads.index_oid))
    )


@pytest.mark.parametrize(
    "lie",
    [_unsigned_tip, _signed_tip, _no_ledger_commit, _another_policy_named, _index_not_the_ledgers],
)
def test_what_no_receipt_covers_is_not_proved(mirror: Mirror, lie: Lie) -> None:
    shown = lie(mirror)
    try:
        proof = mirror.prove(shown)
    except IntegrityError:
        return
    assert proof.gap and proof.heads.ledger in {tip.ledger.oid for tip in mirror.store.tips}


def _receipt_by(key: Keyed, mirror: Mirror) -> Shown:
    mirror.store.receipts.pop()
    mirror.store.add_receipt(mirror.store.tip, by=key)
    return mirror.shown


def _by_a_stranger(mirror: Mirror) -> Shown:
    return _receipt_by(keyed("mallory"), mirror)


def _by_a_writer(mirror: Mirror) -> Shown:
    return _receipt_by(mirror.store.alice, mirror)


def _unsigned_receipt(mirror: Mirror) -> Shown:
    entry = parse_commit(mirror.store.store.read(mirror.store.receipts[-1], COMMIT))
    payload = commit_payload(entry.tree, entry.parents, entry.committer, entry.message)
    return mirror.shown._replace(watchlog=mirror.store.store.add(COMMIT, payload))


def _signature_of_another(mirror: Mirror) -> Shown:
    """The signature of the receipt before, on another message."""
    store = mirror.store.store
    newest, before = (
        parse_commit(store.read(oid, COMMIT)) for oid in mirror.store.receipts[:-3:-1]
    )
    payload = commit_payload(newest.tree, newest.parents, newest.committer, newest.message)
    return mirror.shown._replace(watchlog=store.add(COMMIT, sign_payload(payload, before.armour)))


def _by_a_key_taken_out(mirror: Mirror) -> Shown:
    other, store = keyed("second"), mirror.store
    store.add_policy(
        store.text.replace(store.gateway.line.encode(), other.line.encode()), store.alice
    )
    return _receipt_by(store.gateway, mirror)


def _old_policy_named(mirror: Mirror) -> Shown:
    first = mirror.store.policies[-1]
    mirror.store.add_policy(mirror.store.text + b"\n# more\n", mirror.store.alice)
    mirror.set("a", b"4")
    mirror.memory = mirror.memory._replace(receipt=mirror.store.receipts[-1], shown=None)
    mirror.set("a", b"5")
    mirror.store.receipts.pop()
    mirror.store.add_receipt(mirror.store.tip, lambda entry: entry._replace(policy=first))
    return mirror.shown


def _another_ledger(mirror: Mirror) -> Shown:
    """The receipt is genuine and names another ledger than is shown."""
    mirror.store.receipts.pop()
    shown = _with_ledger(mirror, mirror.commit_on(mirror.store.tips[-3].ledger.oid))
    return shown._replace(
        watchlog=mirror.store.add_receipt(mirror.store.tip),
    )


def _another_namespace(mirror: Mirror) -> Shown:
    mirror.store.receipts.pop()
    bend = lambda entry: entry._replace(ns=Namespace("other"))  # noqa: E731
    return mirror.shown._replace(watchlog=mirror.store.add_receipt(mirror.store.tip, bend))


def _another_store(mirror: Mirror) -> Shown:
    other = Mirror()
    for oid, kind, body in other.store.store.all():
        mirror.store.store.add(kind, body)
        del oid
    return other.shown


def _forked_receipts(mirror: Mirror) -> Shown:
    """A second receipt for a place that has one, by the gateway itself."""
    del mirror.store.receipts[-2:]
    mirror.store.add_receipt(mirror.store.tips[-2], lambda entry: entry._replace(txn="0" * 36))
    mirror.store.add_receipt(mirror.store.tip)
    return mirror.shown


def _gap_in_receipts(mirror: Mirror) -> Shown:
    del mirror.store.receipts[-2:]
    mirror.store.add_receipt(mirror.store.tip)
    return mirror.shown


def _no_receipts(mirror: Mirror) -> Shown:
    return mirror.shown._replace(watchlog=None)


def _no_entry(mirror: Mirror) -> Shown:
    return mirror.shown._replace(watchlog=mirror.shown.heads.ledger)


def _policy_by_a_writer(mirror: Mirror) -> Shown:
    mirror.store.add_policy(mirror.store.text + b"\n# mine\n", mirror.store.bob)
    return mirror.shown


def _policy_by_the_gateway(mirror: Mirror) -> Shown:
    mirror.store.add_policy(mirror.store.text + b"\n# mine\n", mirror.store.gateway)
    return mirror.shown


def _push_url_by_the_mirror(mirror: Mirror) -> Shown:
    text = mirror.store.text.replace(b"ssh://git@127.0.0.1", b"ssh://git@evil.example")
    assert text != mirror.store.text
    mirror.store.add_policy(text, keyed("mallory"))
    return mirror.shown


def _another_first_policy(mirror: Mirror) -> Shown:
    mirror.store.policies.clear()
    mirror.store.add_policy(mirror.store.text + b"\n# mine\n", mirror.store.gateway)
    return mirror.shown


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        (_by_a_stranger, "cannot be verified"),
        (_by_a_writer, "cannot be verified"),
        (_unsigned_receipt, "cannot be verified"),
        (_signature_of_another, "cannot be verified"),
        (_by_a_key_taken_out, "cannot be verified"),
        (_old_policy_named, "or a later one"),
        (_another_ledger, "another history than its receipts"),
        (_another_namespace, "namespace other"),
        (_another_store, "another policy history"),
        (_forked_receipts, "other receipts"),
        (_gap_in_receipts, "other receipts"),
        (_no_receipts, "no receipts"),
        (_no_entry, "entry"),
        (_policy_by_a_writer, "policy cannot be trusted"),
        (_policy_by_the_gateway, "policy cannot be trusted"),
        (_push_url_by_the_mirror, "policy cannot be trusted"),
        (_another_first_policy, "another policy history"),
    ],
)
def test_a_lie_is_named_and_proves_nothing(mirror: Mirror, lie: Lie, words: str) -> None:
    shown = lie(mirror)
    with pytest.raises((IntegrityError, ValueError), match=words) as caught:
        mirror.prove(shown)
    assert not isinstance(caught.value, NotVouchedError)


@pytest.mark.parametrize("lie", [_unsigned_receipt, _by_a_stranger, _by_a_writer, _no_receipts])
def test_a_lie_is_a_lie_for_a_clone_that_trusts_nothing_yet(mirror: Mirror, lie: Lie) -> None:
    with pytest.raises(IntegrityError):
        mirror.prove(lie(mirror), Memory())


def test_a_first_policy_that_its_own_gateway_key_did_not_sign_begins_no_trust() -> None:
    mirror = Mirror()
    mirror.store.policies.clear()
    mirror.store.add_policy(mirror.store.text, mirror.store.alice)
    mirror.set("a", b"4")
    with pytest.raises(IntegrityError, match="policy cannot be trusted"):
        mirror.prove(memory=Memory())


def test_without_any_policy_no_trust_begins(mirror: Mirror) -> None:
    with pytest.raises(PolicyError, match="no policy"):
        mirror.prove(mirror.shown._replace(policy=None), Memory())


@pytest.mark.parametrize("part", ["ledger", "watchlog", "both"])
def test_a_mirror_that_shows_less_than_before_was_rewound(mirror: Mirror, part: str) -> None:
    older, shown = mirror.store.tips[-3], mirror.shown
    if part != "watchlog":
        shown = shown._replace(heads=older.heads)
    if part != "ledger":
        shown = shown._replace(watchlog=mirror.store.receipts[-3])
    with pytest.raises(GoneBackError, match="rewound"):
        mirror.prove(shown)
    never_seen = mirror.memory._replace(shown=None)
    assert mirror.prove(shown, never_seen).heads.ledger == older.ledger.oid  # it may lag
