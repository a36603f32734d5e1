"""Admission: the one transaction that fits is admitted, each deviation is refused by its own rule,
in constant time (gateway design, 3).
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from support.ledger_in_memory import START_S, LedgerInMemory, unsigned

from gitkv.admission.admit import Candidate, Situation, admit, judge_time
from gitkv.ledger.compose import Tip, compose
from gitkv.ledger.plan import Plan, Put, plan_changes
from gitkv.ledger.roots import Trees
from gitkv.ledger.seek import LedgerCommit, read_ledger_commit
from gitkv.model.attestation import Attestation
from gitkv.model.commit import DerivedFacts, commit_payload, index_commit
from gitkv.model.identity import PublicKey, Signature
from gitkv.model.oid import COMMIT, EMPTY_TREE, TREE, Oid
from gitkv.model.policy import NamespacePolicy, Policy, Principal, Writer
from gitkv.model.refs import EpochLabel, Namespace

ANN = Principal("ann", (PublicKey("ssh", b"ann", "SHA256:ann"),), admin=True)
BEN = Principal("ben", (PublicKey("ssh", b"ben", "SHA256:ben"),))
MAIN = NamespacePolicy(
    Namespace("main"), (Writer("ann"), Writer("ben", (b"ben:", b"team:"))), keys_max=50
)
POLICY = Policy((ANN, BEN), (MAIN,))
NOW_S = START_S + 1000
TXN = "018bcfe5-6800-7000-8000-00000000000f"


def _signed_by(name: str) -> Signature:
    return Signature("good", f"SHA256:{name}")


class Bench:
    """A ledger of 600 keys, and transactions on it that can be bent."""

    def __init__(self) -> None:
        self.ledger = LedgerInMemory()
        self.reads = 0
        for start in (0, 20, 40):  # several commits, so that jumps are not trivial
            self.ledger.write({b"ben:%03d" % n: Put(b"%d" % n) for n in range(start, start + 20)})
        self.ledger.write({b"own:%04d" % n: Put(b"%d" % n) for n in range(540)})

    @property
    def tip(self) -> Tip:
        return self.ledger.tip

    def load(self, oid: Oid, kind: bytes) -> bytes:
        self.reads += 1
        return self.ledger.store.read(oid, kind)

    def said(self, plan: Plan) -> Attestation:
        tip = compose(
            self.tip,
            plan,
            self.ledger.stamp(),
            unsigned,
            self.ledger.store.read,
            self.ledger.store.add,
        ).tip
        return tip.ledger.attestation._replace(txn=TXN)

    def candidate(
        self,
        changes: dict[bytes, Put | None] | None = None,
        bend: Callable[[Attestation], Attestation] = lambda said: said,
        body: Callable[[bytes], bytes] = lambda body: body,
        tree: Oid | None = None,
        signer: str = "ann",
    ) -> Candidate:
        plan = self.ledger.plan(changes or {b"ben:new": Put(b"v")})
        said = bend(self.said(plan))
        line = self.ledger.stamp().identity._replace(seconds=START_S + 500).line()
        raw = body(
            commit_payload(
                tree or plan.ledger_tree,
                (self.tip.ledger.oid,),
                line,
                b"kv: test\n\n" + said.trailers(),
            )
        )
        ledger = read_ledger_commit(self.ledger.store.add(COMMIT, raw), self.ledger.store.read)
        return Candidate(ledger, self._index(ledger), _signed_by(signer))

    def _index(self, ledger: LedgerCommit) -> Oid:
        said = ledger.attestation
        facts = DerivedFacts(
            said.ns,
            said.seq,
            ledger.oid,
            ledger.commit.identity().seconds,
            said.index_tree,
            self.tip.index_oid,
        )
        return index_commit(facts)[0]

    def rules(
        self, candidate: Candidate, policy: Policy = POLICY, **situation: object
    ) -> set[tuple[int, str]]:
        now = Situation(Namespace("main"), self.tip, policy, NOW_S, lambda txn: False)._replace(
            **situation
        )
        self.reads = 0
        return {(entry.code, entry.rule) for entry in admit(candidate, now, self.load).reasons}


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench()


def test_an_honest_transaction_is_admitted_in_the_name_of_its_signer(bench: Bench) -> None:
    candidate = bench.candidate()
    situation = Situation(Namespace("main"), bench.tip, POLICY, NOW_S, lambda txn: False)
    assert admit(candidate, situation, bench.load) == ([], ANN)
    assert admit(bench.candidate(signer="ben"), situation, bench.load) == ([], BEN)


@pytest.mark.parametrize(
    ("bend", "code", "rule"),
    [
        (lambda said: said._replace(ns=Namespace("other")), 8, "attestation.namespace"),
        (lambda said: said._replace(base=Oid(b"\x11" * 20)), 8, "attestation.base"),
        (lambda said: said._replace(base_tree=EMPTY_TREE), 8, "attestation.base-tree"),
        (lambda said: said._replace(seq=said.seq + 1), 8, "attestation.seq"),
        (lambda said: said._replace(jump=said.base_tree), 8, "attestation.jump"),
        (lambda said: said._replace(epoch=EpochLabel("e2")), 8, "attestation.epoch"),
        (lambda said: said._replace(keys_set=0), 3, "transaction.empty"),
        (lambda said: said._replace(keys_set=51), 3, "transaction.keys"),
    ],
)
def test_a_false_trailer_is_refused_by_its_rule(
    bench: Bench, bend: Callable[[Attestation], Attestation], code: int, rule: str
) -> None:
    assert bench.rules(bench.candidate(bend=bend)) == {(code, rule)}


def test_another_index_commit_is_refused(bench: Bench) -> None:
    assert bench.rules(bench.candidate()._replace(index_oid=bench.tip.index_oid)) == {
        (8, "index.commit")
    }


@pytest.mark.parametrize(
    ("signature", "code"),
    [
        (Signature("unsigned"), 3),
        (Signature("unknown-key", "SHA256:eve"), 3),
        (Signature("expired-key", "SHA256:ann"), 3),
        (Signature("revoked-key", "SHA256:ann"), 3),
        (Signature("bad", "SHA256:ann"), 8),
        (Signature("malformed"), 8),
    ],
)
def test_a_signature_that_is_not_good_is_refused(
    bench: Bench, signature: Signature, code: int
) -> None:
    assert {found for found, _ in bench.rules(bench.candidate()._replace(signature=signature))} == {
        code
    }


@pytest.mark.parametrize("seconds", [START_S - 700, NOW_S + 601, 253402300799])
def test_a_time_nobody_believes_is_refused(bench: Bench, seconds: int) -> None:
    candidate = bench.candidate(
        body=lambda body: body.replace(b"%d" % (START_S + 500), b"%d" % seconds)
    )
    assert bench.rules(candidate) == {(3, "commit.time")}


@pytest.mark.parametrize("behind_s", [1201, 90 * 86400])
def test_a_judge_whose_clock_is_behind_blames_it_and_not_the_client(behind_s: int) -> None:
    parent = NOW_S
    [found] = judge_time(parent + 5, parent, parent - behind_s)
    assert (found.code, found.rule) == (5, "clock.behind")
    assert str(parent - 1200) in found.expected and str(parent - behind_s) == found.got
    assert not judge_time(parent, parent, parent - 600)


def test_a_time_is_refused_with_a_range_that_exists_and_the_judges_own_time() -> None:
    for behind_s in range(0, 1201, 100):
        for found in judge_time(NOW_S + 601, NOW_S, NOW_S - behind_s):
            low, high = re.findall(r"[0-9]+", found.expected)[:2]
            assert found.rule == "commit.time" and int(low) <= int(high)
            assert str(NOW_S - behind_s) in found.expected


def test_author_and_committer_that_differ_and_merges_are_refused(bench: Bench) -> None:
    forged = bench.candidate(body=lambda body: body.replace(b"committer Ann", b"committer Eve"))
    assert (3, "commit.identity") in bench.rules(forged)
    parent = b"parent " + bench.tip.ledger.oid.hex().encode() + b"\n"
    merge = bench.candidate(
        body=lambda body: body.replace(parent, parent + b"parent " + b"1" * 40 + b"\n")
    )
    assert (3, "commit.parents") in bench.rules(merge)


def test_a_stale_base_is_a_conflict_that_names_the_tip(bench: Bench) -> None:
    candidate = bench.candidate()
    newer = Situation(
        Namespace("main"), bench.ledger.steps[0].after, POLICY, NOW_S, lambda txn: False
    )
    [found] = admit(candidate, newer, bench.load).reasons
    assert (found.code, found.rule, found.expected) == (2, "base.stale", newer.tip.ledger.oid.hex())


def test_a_transaction_id_is_good_once(bench: Bench) -> None:
    assert bench.rules(bench.candidate(), txn_known=lambda txn: txn == TXN) == {
        (8, "transaction.replayed")
    }


@pytest.mark.parametrize(
    "changes",
    [
        {b"own:0007": Put(b"x")},
        {b"own:0007": None},
        {b"ben;": Put(b"x")},
        {b"ben": Put(b"x")},
        {b"zzz": Put(b"x")},
        {b"own:0007": Put(b"7", "t")},
    ],
)
def test_a_key_outside_the_writers_prefixes_is_refused_and_named(
    bench: Bench, changes: dict[bytes, Put | None]
) -> None:
    both = {b"ben:001": Put(b"allowed"), **changes}
    assert bench.rules(bench.candidate(both, signer="ben")) == {(3, "prefix.not-owned")}
    assert bench.rules(bench.candidate(both)) == set()


def test_prefixes_are_judged_along_their_edges_and_not_by_a_scan(bench: Bench) -> None:
    candidate = bench.candidate({b"ben:%03d" % n: Put(b"new") for n in range(50)}, signer="ben")
    assert bench.rules(candidate) == set()
    assert bench.reads < 40


def test_a_principal_who_is_no_writer_may_change_nothing(bench: Bench) -> None:
    policy = POLICY._replace(namespaces=(MAIN._replace(writers=(Writer("ann"),)),))
    assert bench.rules(bench.candidate(signer="ben"), policy=policy) == {(3, "writer.unknown")}


def test_trees_of_another_shape_do_not_hide_a_change(bench: Bench) -> None:
    """The writer of a prefix sends a root that is no ordered tree, or one whose nodes are all
    new.
    """
    store = bench.ledger.store
    stray = store.add(TREE, b"40000 data\0" + EMPTY_TREE + b"40000 zzz\0" + EMPTY_TREE)
    assert bench.rules(bench.candidate(tree=stray, signer="ben")) == {(3, "tree.entry")}
    fresh = plan_changes(
        Trees(EMPTY_TREE, EMPTY_TREE),
        1,
        {b"own:%04d" % n: Put(b"other") for n in range(540)},
        store.read,
        store.add,
    )
    assert bench.rules(bench.candidate(tree=fresh.ledger_tree, signer="ben")) == {
        (3, "prefix.not-owned")
    }
