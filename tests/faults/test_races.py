"""Writers who push at the same moment on the same base: one wins, the others are told where the
ledger stands, nothing of theirs stays.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from faults.conftest import Breakable
from support.forge import Answered, Forge, Forged, assert_refused
from support.invariants import check_invariants

from gitkv.ledger.plan import Put
from gitkv.testing.world import Done, Person, run, wait_until

WRITERS = 6


def _push_all(forge: Forge, transactions: list[Forged]) -> list[Answered]:
    start = Barrier(len(transactions))

    def push(forged: Forged) -> Answered:
        start.wait(30)
        return forge.push(forged)

    with ThreadPoolExecutor(len(transactions)) as pool:
        return list(pool.map(push, transactions))


def _one_wins(broken: Breakable, transactions: list[Forged], answers: list[Answered]) -> None:
    won = [
        forged for forged, answered in zip(transactions, answers, strict=True) if answered.accepted
    ]
    assert len(won) == 1, answers
    actual = won[0].ledger.hex().encode()
    for forged, answered in zip(transactions, answers, strict=True):
        if forged is not won[0]:
            assert_refused(answered, 2, "base.stale")
            assert any(
                actual in entry.text or won[0].index.hex().encode() in entry.text
                for entry in answered.reasons
            ), answered.reasons
    lost = [forged.ledger.hex() for forged in transactions if forged is not won[0]]
    broken.world.wait_for_mirror()
    told = check_invariants(broken.world, acknowledged=[won[0].ledger.hex()], refused=lost)
    assert told.ledger[-1] == won[0].ledger.hex()


def test_of_many_on_one_base_exactly_one_wins(broken: Breakable) -> None:
    broken.restart()
    for turn in range(2):
        transactions = [
            broken.forge.transaction({b"race": Put(b"%d of turn %d" % (n, turn))})
            for n in range(WRITERS)
        ]
        _one_wins(broken, transactions, _push_all(broken.forge, transactions))
    broken.forge.push_good()


def test_a_policy_that_changes_between_judgement_and_commit_is_noticed(broken: Breakable) -> None:
    """What was judged by the old policy is not committed under the new one."""
    gate = broken.world.root / "go"
    broken.plant(f"hold:audited:{gate}")
    forged = broken.forge.transaction()
    text = run(
        ["git", "cat-file", "blob", "refs/heads/main:.kv/policy.yaml"],
        broken.world.base_env(),
        broken.world.gate,
    ).out
    with Forge(broken.world, broken.world.person("alice")) as alice, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(broken.forge.push, forged)
        wait_until(gate.with_suffix(".reached").exists, 20)
        assert alice.push(alice.policy_change(text + b"# another word\n")).accepted
        gate.touch()
        answered = waiting.result(60)
    assert_refused(answered, 2, "policy.moved")
    check_invariants(broken.world)
    broken.forge.push_good()


def test_clients_that_retry_all_get_in_and_every_write_stands_once(broken: Breakable) -> None:
    """The real client: it builds again on the new tip until it is through."""
    broken.restart()
    people = [broken.world.person(name) for name in ("bob", "carol")]
    for person in people:
        if not person.clone_dir.exists():
            person.clone()
    with ThreadPoolExecutor(len(people)) as pool:
        done = [entry for several in pool.map(_set_four, people) for entry in several]
    assert [(entry.code, entry.err) for entry in done] == [(0, "")] * 8
    broken.world.wait_for_mirror()
    check_invariants(broken.world, acknowledged=[entry.out.decode().strip() for entry in done])
    assert len({entry.out for entry in done}) == 8


def _set_four(person: Person) -> list[Done]:
    return [person.kv("set", f"cli:{person.name}:{n}", "v", check=False) for n in range(4)]
