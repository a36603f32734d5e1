"""`verify: before-publish`: the answer comes after admission, the audit before the mirror.

A violation stays on record and never becomes the mirror's state.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread

import pytest
from support.forge import GOOD, Bend, Forge, Forged, assert_refused
from support.invariants import check_invariants, events, policy_of
from support.naive_store import cut
from support.reach import pruned

from gitkv.audit.commit import parse_commit
from gitkv.ledger.index_line import parse_live
from gitkv.ledger.plan import Plan, Put
from gitkv.ledger.roots import open_index, open_ledger
from gitkv.ledger.seek import read_ledger_commit
from gitkv.model.oid import BLOB, TREE, Oid, hash_object
from gitkv.sign import sshsig
from gitkv.testing.world import Person, World, run, wait_until

JSON = ("--log-format", "json")
KILLABLE = str(Path(__file__).resolve().parents[1] / "support" / "killable_daemon.py")
Emit = Callable[[bytes, bytes], Oid]


class Stage:
    """A world whose policy says before-publish; a watcher remembers every tip the mirror has
    shown.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.bob, self.carol, self.alice = (
            Forge(world, world.person(name)) for name in ("bob", "carol", "alice")
        )
        world.start(*JSON)
        self.change_policy(b"verify: before-ack ", b"verify: before-publish ")
        self.filled = self.push(self.bob, {b"filled:%03d" % n: Put(b"%d" % n) for n in range(40)})
        world.wait_for_mirror()
        self.shown: set[str] = set()
        self._done = Event()
        self._watcher = Thread(target=self._watch)
        self._watcher.start()

    def _watch(self) -> None:
        while not self._done.is_set():
            self.shown.add(self.world.refs(self.world.mirror)["refs/kv/main"])

    def close(self) -> None:
        self._done.set()
        self._watcher.join()
        for forge in (self.bob, self.carol, self.alice):
            forge.close()
        self.world.close()

    def change_policy(self, old: bytes, new: bytes) -> None:
        text = run(
            ["git", "cat-file", "blob", "refs/heads/main:.kv/policy.yaml"],
            self.world.base_env(),
            self.world.gate,
        ).out
        assert old in text
        assert self.alice.push(self.alice.policy_change(text.replace(old, new))).accepted

    def push(self, forge: Forge, changes: dict[bytes, Put | None], bend: Bend = GOOD) -> Forged:
        """Accepted, whatever the audit will say."""
        forged = pruned(forge.transaction(changes, bend))
        answered = forge.push(forged)
        assert answered.accepted, answered
        return forged

    def wait_for_restoration(self) -> None:
        wait_until(lambda: events(self.world, "audit.restored") and self.audited_to_the_end(), 20)

    def audited_to_the_end(self) -> bool:
        refs = run(
            ["git", "for-each-ref", "--format=%(refname) %(objectname)"],
            self.world.base_env(),
            self.world.gate,
        ).out.decode()
        found = dict(line.split(" ") for line in refs.split("\n") if line)
        return found["refs/kv-audited/main"] == found["refs/kv-watchlog/main@e1"]

    def value(self, name: bytes) -> bytes | None:
        oid = open_ledger(self.bob.tip().ledger.commit.tree, self.bob.load).data.get(name)
        return None if oid is None else self.bob.load(Oid(oid), BLOB)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(World(tmp_path).create(writers=("bob", "carol")))
    yield made
    made.close()


# --- violations that admission cannot see
# -------------------------------------------------------------------------------------------


def _lie(stage: Stage) -> Bend:
    """The index says something else about a key that the transaction did not touch."""

    def trees(plan: Plan, emit: Emit) -> Plan:
        stage.bob.transaction(
            {b"bad": Put(b"v")}
        )  # the forge remembers the honest index, which is this plan's
        lines = dict(open_index(plan.index_tree, stage.bob.load).live.scan())
        told = parse_live(lines[b"filled:007"])
        lines[b"filled:007"] = lines[b"filled:007"].replace(b'"size":%d' % told.size, b'"size":99')
        return plan._replace(index_tree=_index(lines, emit))

    return Bend(trees=trees)


def _index(lines: dict[bytes, bytes], emit: Emit) -> Oid:
    """An index tree of two levels with these lines."""
    top = b"".join(
        b"100644 " + node[0][0] + b"!\0" + emit(BLOB, b"".join([line for _, line in node]))
        for node in cut(0, sorted(lines.items()))
    )
    return emit(TREE, b"40000 live\0" + emit(TREE, top))


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 12345\n"
LIE = Bend(said=lambda said: said._replace(keys_set=7))
VIOLATIONS: dict[str, tuple[Put, Callable[[Stage], Bend], str]] = {
    "an index that lies about another key": (Put(b"v"), _lie, "index.mismatch"),
    "false counts": (Put(b"v"), lambda stage: LIE, "attestation.counts"),
    "a tree of its own shape": (
        Put(b"v"),
        lambda stage: Bend(
            trees=lambda plan, emit: plan._replace(
                ledger_tree=emit(TREE, b"100755 x\0" + emit(BLOB, b"x"))
            )
        ),
        "tree.entry",
    ),
}


@pytest.fixture(params=list(VIOLATIONS))
def violation(request: pytest.FixtureRequest) -> tuple[Put, Callable[[Stage], Bend], str]:
    return VIOLATIONS[request.param]


def _check_restoration(stage: Stage, seq: int, state_of: int) -> None:
    """The ledger commit `seq` is a restoration of `state_of`, by a gateway key and by nobody else
    (spec/attestation 2.5).
    """
    ledger = check_invariants(stage.world).ledger
    body = run(
        ["git", "cat-file", "commit", ledger[seq]], stage.world.base_env(), stage.world.gate
    ).out
    good = parse_commit(
        run(
            ["git", "cat-file", "commit", ledger[state_of]],
            stage.world.base_env(),
            stage.world.gate,
        ).out
    )
    commit = parse_commit(body)
    assert commit.subject == b"restore main@%d" % state_of
    assert (commit.keys_set, commit.keys_del) == (0, 0)
    assert (commit.tree, commit.index_tree) == (good.tree, good.index_tree)
    assert commit.armour is not None
    signer = sshsig.parse(commit.armour.rstrip(b"\n") + b"\n").key_blob
    assert signer in [key.material for key in policy_of(stage.world).gateway_keys]


# --- the stories
# --------------------------------------------------------------------------------------------------


def test_an_admin_turns_it_on_with_stock_git_and_good_transactions_are_audited_and_then_shown(
    tmp_path: Path,
) -> None:
    world = World(tmp_path).create().start(*JSON)
    try:
        alice = world.person("alice").clone()
        _switch_with_stock_git(alice)
        with Forge(world, world.person("bob")) as bob:
            pushed = [bob.push(bob.transaction()) for _ in range(3)]
            assert all(answered.accepted for answered in pushed)
            world.wait_for_mirror()
            assert [entry["seq"] for entry in events(world, "audit.passed")] == [1, 2, 3]
        check_invariants(world)
    finally:
        world.close()


def _switch_with_stock_git(alice: Person) -> None:
    path = alice.clone_dir / ".kv" / "policy.yaml"
    path.write_text(path.read_text().replace("verify: before-ack ", "verify: before-publish "))
    alice.git("commit", "--quiet", "-S", "-am", "policy: answer first")
    alice.git("push", "--quiet", "origin", "HEAD:refs/heads/main")


def test_a_violation_is_accepted_then_restored_its_writer_suspended_and_the_mirror_never_shows_it(
    stage: Stage, violation: tuple[Put, Callable[[Stage], Bend], str]
) -> None:
    put, bend, rule = violation
    good = stage.bob.tip()
    bad = stage.push(stage.bob, {b"bad": put}, bend(stage))
    stage.wait_for_restoration()
    assert any(
        f" {rule}]" in str(reasons)
        for reasons in [entry["reasons"] for entry in events(stage.world, "audit.violation")]
    )
    _check_restoration(stage, good.seq + 2, good.seq)
    assert stage.value(b"bad") is None
    assert_refused(stage.bob.push(stage.bob.transaction()), 3, "writer.suspended")
    sound = stage.push(stage.carol, {b"sound": Put(b"1")})
    stage.world.wait_for_mirror()
    told = check_invariants(stage.world, acknowledged=[bad.ledger.hex(), sound.ledger.hex()])
    assert (
        told.ledger[-1]
        == sound.ledger.hex()
        == stage.world.refs(stage.world.mirror)["refs/kv/main"]
    )
    assert bad.ledger.hex() not in stage.shown


def test_a_client_of_the_mirror_reads_on_through_a_restoration(stage: Stage) -> None:
    carol = stage.world.person("carol").clone()
    stage.push(stage.bob, {b"bad": Put(POINTER)})
    stage.wait_for_restoration()
    stage.world.wait_for_mirror()
    assert carol.kv("get", "filled:007", "--read-from", "stargate").out == b"7"
    assert carol.kv("get", "bad", "--read-from", "mirror", check=False).code == 1
    assert carol.kv("set", "after", "1").code == 0
    assert b"restore main@" in carol.kv("log", "--json").out


def test_a_value_over_the_limit_is_refused_before_the_answer(stage: Stage) -> None:
    large = pruned(stage.bob.transaction({b"large": Put(b"x" * ((1 << 20) + 1))}))
    assert_refused(stage.bob.push(large), 3, "value.size")
    stage.bob.push_good()


def test_an_honest_mistake_is_refused_before_it_leaves_the_machine(stage: Stage) -> None:
    carol = stage.world.person("carol").clone()
    before = stage.world.refs(stage.world.gate)["refs/kv/main"]
    refused = carol.kv("set", "bad", "-", stdin=POINTER, check=False)
    assert refused.code == 3 and "[3 value.lfs]" in refused.err, refused
    assert stage.world.refs(stage.world.gate)["refs/kv/main"] == before
    carol.kv("set", "good", "1")
    stage.world.wait_for_mirror()
    assert events(stage.world, "audit.violation") == []


def test_waiting_for_what_was_undone_says_so_with_the_reason_and_what_was_applied_again_stands(
    stage: Stage,
) -> None:
    carol = stage.world.person("carol").clone()
    bad = stage.push(stage.bob, {b"bad": Put(POINTER)}).ledger.hex()
    stage.wait_for_restoration()
    stage.world.wait_for_mirror()
    for where in ("stargate", "mirror"):
        told = carol.kv("wait", "--oid", bad, "--visible-on", where, check=False)
        assert told.code == 3 and "undone" in told.err and "value.lfs" in told.err, told
    sound = carol.kv("set", "sound", "1").out.decode().strip()
    carol.kv("wait", "--oid", sound)
    carol.kv("wait", "--oid", sound, "--visible-on", "stargate")


def test_an_object_that_nothing_reaches_is_a_violation_too(stage: Stage) -> None:
    seq = stage.bob.tip().seq
    forged = stage.carol.transaction({b"plain": Put(b"v")})
    stray = b"a value of nobody"
    assert stage.carol.push(
        forged._replace(objects=pruned(forged).objects | {hash_object(BLOB, stray): (BLOB, stray)})
    ).accepted
    stage.wait_for_restoration()
    [found] = events(stage.world, "audit.violation")
    assert "pack.stray" in str(found["reasons"])
    assert stage.value(b"plain") is None
    assert [event["state_of"] for event in events(stage.world, "audit.restored")] == [seq]
    assert_refused(
        stage.carol.push(pruned(stage.carol.transaction({b"more": Put(b"v")}))),
        3,
        "writer.suspended",
    )
    assert not [ref for ref in stage.world.refs(stage.world.gate) if "/kv-unaudited/" in ref]


def test_what_stock_git_sends_again_is_no_stray(stage: Stage) -> None:
    old = stage.bob.tip().ledger.commit.tree
    forged = pruned(stage.bob.transaction({b"plain": Put(b"v")}))
    assert stage.bob.push(
        forged._replace(objects=forged.objects | {old: (TREE, stage.bob.load(old, TREE))})
    ).accepted
    wait_until(stage.audited_to_the_end, 20)
    assert not events(stage.world, "audit.violation")
    assert stage.value(b"plain") == b"v"


def test_an_admins_change_of_the_policy_lifts_the_suspension(stage: Stage) -> None:
    stage.push(stage.bob, {b"bad": Put(b"v")}, LIE)
    stage.wait_for_restoration()
    assert_refused(stage.bob.push(stage.bob.transaction()), 3, "writer.suspended")
    stage.change_policy(b"version: 1\n", b"version: 1\n# bob and I have talked\n")
    stage.bob.push_good()
    stage.world.wait_for_mirror()
    check_invariants(stage.world)


def test_a_restoration_cannot_be_pushed(stage: Stage) -> None:
    """Its counts are 0, which a pushed transaction's may not be."""
    base = stage.bob.tip()
    empty = Bend(
        trees=lambda plan, emit: Plan(*base.trees, 0, 0),
        message=lambda message: b"restore main@%d\n\n" % base.seq + message.partition(b"\n\n")[2],
    )
    assert_refused(stage.bob.push(stage.bob.transaction(bend=empty)), 3, "transaction.empty")


def test_the_audit_outlives_refs_that_could_not_be_read_for_a_while(stage: Stage) -> None:
    path = stage.world.gate / "packed-refs"
    whole = path.read_bytes()
    path.write_bytes(b"")
    wait_until(lambda: events(stage.world, "audit.failed"), 20)
    path.write_bytes(whole)
    stage.carol.push_good()
    stage.world.wait_for_mirror()
    check_invariants(stage.world)


# --- others who built on the bad state
# -------------------------------------------------------------------------------------------------


def _chain(stage: Stage) -> tuple[Forged, list[Forged]]:
    """One push: bob's violation, then sound transactions of carol's on top of it, and one of
    bob's.
    """
    first = stage.bob.transaction({b"bad": Put(b"v")}, LIE)
    found = [first]
    for forge, changes in (
        (stage.carol, {b"carol:1": Put(b"one"), b"filled:003": None}),
        (stage.bob, {b"bob:too": Put(b"late")}),
        (
            stage.carol,
            {b"carol:2": Put(b"two", "text/plain", 4102444800), b"filled:004": Put(b"changed")},
        ),
    ):
        forge.made |= stage.bob.made | stage.carol.made
        found.append(forge.transaction(changes, base=forge.tip_of(found[-1])))
    stage.carol.made |= stage.bob.made
    objects = {oid: held for forged in found for oid, held in forged.objects.items()}
    moves = tuple(
        last._replace(old=first_move.old)
        for first_move, last in zip(first.updates, found[-1].updates, strict=True)
    )
    return found[-1]._replace(objects=objects, updates=moves), found


def _check_applied_again(stage: Stage, chain: list[Forged]) -> None:
    assert [stage.value(name) for name in (b"bad", b"bob:too", b"filled:003")] == [None] * 3
    assert [stage.value(name) for name in (b"carol:1", b"carol:2", b"filled:004")] == [
        b"one",
        b"two",
        b"changed",
    ]
    stage.world.wait_for_mirror()
    told = check_invariants(stage.world, acknowledged=[forged.ledger.hex() for forged in chain])
    assert not stage.shown & {forged.ledger.hex() for forged in chain}
    messages = [
        read_ledger_commit(Oid(bytes.fromhex(oid)), stage.bob.load).text for oid in told.ledger[-2:]
    ]
    assert all(re.match(rb"apply main@[0-9]+ of carol again\n", text) for text in messages), (
        messages
    )


def test_sound_transactions_behind_a_violation_are_applied_again(stage: Stage) -> None:
    whole, chain = _chain(stage)
    assert stage.carol.push(whole).accepted
    stage.wait_for_restoration()
    _check_applied_again(stage, chain)
    stage.carol.push_good()


def _bomb(plan: Plan, emit: Emit) -> Plan:
    """10^10 names in some nodes, after a prefix of the writer's own."""
    oid = emit(TREE, b"".join(b"100644 f%d\0" % n + emit(BLOB, b"f") for n in range(10)))
    for _ in range(9):
        oid = emit(TREE, b"".join(b"40000 f%d!\0" % n + oid for n in range(10)))
    return plan._replace(ledger_tree=emit(TREE, b"40000 data\0" + oid))


LATER: dict[str, tuple[dict[bytes, Put | None], Bend]] = {
    "a pointer": ({b"worse": Put(POINTER)}, GOOD),
    "only a type for a pointer": ({b"bad": Put(POINTER, "text/plain")}, GOOD),
    "a tree that never ends": ({b"worse": Put(b"v")}, Bend(trees=_bomb)),
}


@pytest.mark.parametrize("later", LATER)
def test_a_violation_behind_a_violation_is_not_applied_again_and_does_not_hold_up_the_rest(
    stage: Stage, later: str
) -> None:
    changes, bend = LATER[later]
    first = pruned(stage.bob.transaction({b"bad": Put(POINTER)}))
    stage.carol.made |= stage.bob.made
    second = pruned(stage.carol.transaction(changes, bend, base=stage.carol.tip_of(first)))
    moves = tuple(
        last._replace(old=before.old)
        for before, last in zip(first.updates, second.updates, strict=True)
    )
    assert stage.carol.push(
        second._replace(objects=first.objects | second.objects, updates=moves)
    ).accepted
    stage.wait_for_restoration()
    assert [entry["seq"] for entry in events(stage.world, "audit.not-reapplied")] == [
        second.said.seq
    ]
    assert (stage.value(b"bad"), stage.value(b"worse")) == (None, None)
    stage.carol.push_good()
    stage.world.wait_for_mirror()
    check_invariants(stage.world)


@pytest.mark.parametrize("times", [2, 3, 4])
def test_killed_between_restoration_and_application_it_does_all_of_it_after_the_start(
    stage: Stage, times: int
) -> None:
    """The first move of refs is the push, the second the restoration, then two transactions are
    applied again.
    """
    stage.world.close()
    stage.world.start(command=[KILLABLE, f"kill:refs-moved:{times}", "--"])
    whole, chain = _chain(stage)
    stage.carol.push(whole)
    assert stage.world.daemon is not None and stage.world.daemon.wait(30) == -9
    stage.world.daemon = None
    stage.world.start(*JSON)
    wait_until(stage.audited_to_the_end, 20)
    _check_applied_again(stage, chain)
    assert_refused(stage.bob.push(stage.bob.transaction()), 3, "writer.suspended")


@pytest.mark.parametrize("step", ["refs-moved", "intent-cleared", "judged"])
def test_killed_between_acceptance_and_audit_nothing_is_lost_and_nothing_slips_through(
    stage: Stage, step: str
) -> None:
    stage.world.close()
    good, bad = stage.carol.transaction({b"good": Put(b"1")}), None
    stage.world.start(command=[KILLABLE, f"kill:{step}:2", "--"])
    assert stage.carol.push(good).accepted
    bad = stage.bob.transaction({b"bad": Put(b"v")}, LIE)
    stage.bob.push(bad)
    assert stage.world.daemon is not None and stage.world.daemon.wait(30) == -9
    stage.world.daemon = None
    stage.world.start(*JSON)
    wait_until(lambda: stage.audited_to_the_end() and stage.value(b"bad") is None, 20)
    assert stage.value(b"good") == b"1"
    stage.world.wait_for_mirror()
    check_invariants(stage.world, acknowledged=[good.ledger.hex(), bad.ledger.hex()])
    assert bad.ledger.hex() not in stage.shown
    assert_refused(stage.bob.push(stage.bob.transaction()), 3, "writer.suspended")
    stage.carol.push_good()
