"""The followers over a Stargate in memory: what fails is told once, left alone for a while, and
holds up nothing else.
"""

from __future__ import annotations

import pytest
from support.accepted_in_memory import START_S
from support.memory_stargate import EAGER, MemoryStargate

from gitkv.errors import ToolError
from gitkv.gateway.followers.audit import Audit
from gitkv.gateway.followers.follower import POLL_S
from gitkv.gateway.followers.maintain import Maintenance
from gitkv.gateway.followers.mirror import Mirror
from gitkv.ledger.plan import Put
from gitkv.model.commit import Identity, commit_payload
from gitkv.model.configuration import DEFAULTS, MirrorTiming
from gitkv.model.oid import COMMIT, EMPTY_TREE, Oid
from gitkv.model.refs import Namespace, RefUpdate, audited_ref, ledger_ref
from gitkv.ports import REMOTE_REJECTED, PushStatus
from gitkv.testing.memory_gateway import MemoryHost

A, B = Namespace("a"), Namespace("b")


@pytest.fixture
def gate() -> MemoryStargate:
    return MemoryStargate((A, B))


class Followed:
    """A mirror's follower whose time a test moves."""

    def __init__(self, gate: MemoryStargate) -> None:
        self.gate, self.now = gate, 0.0
        timing = MirrorTiming(interval_s=10)
        self.mirror = Mirror(gate.stargate.mirroring, gate.mirror, timing, lambda: self.now)

    def step(self, after_s: float = 0.0) -> float:
        self.now += after_s
        return self.mirror.step()


@pytest.fixture
def followed(gate: MemoryStargate) -> Followed:
    """One that has mirrored everything."""
    made = Followed(gate)
    assert made.step() == 10.0
    assert gate.mirror.shown[ledger_ref(A)] == gate.tip(A).ledger.oid
    return made


def _push(gate: MemoryStargate, ns: Namespace) -> Oid:
    made = gate.make({b"k": Put(b"%d" % gate.tip(ns).seq)}, ns=ns)
    assert gate.push(made).verdict.accepted
    return made[0].tip.ledger.oid


def _foreign(gate: MemoryStargate) -> Oid:
    who = Identity("Somebody", "else@example.com", START_S).line()
    return gate.objects.add(COMMIT, commit_payload(EMPTY_TREE, (), who, b"not ours\n"))


def test_pushes_are_apart_and_what_comes_meanwhile_travels_together(followed: Followed) -> None:
    gate = followed.gate
    pushed = {ns: _push(gate, ns) for ns in (A, B)}
    assert followed.step(4.0) == 6.0 and gate.mirror.shown[ledger_ref(A)] != pushed[A]
    followed.step(6.0)
    assert all(gate.mirror.shown[ledger_ref(ns)] == pushed[ns] for ns in (A, B))
    told = gate.names("mirror.pushed")[-1]
    assert not told.get("ns") and "refs/kv/b" in str(told["detail"])
    _push(gate, A)
    followed.mirror.finish()
    assert gate.mirror.shown[ledger_ref(A)] == gate.tip(A).ledger.oid, "the last is not left out"


def test_a_mirror_that_is_down_is_tried_ever_less_often_and_then_told_of(
    followed: Followed,
) -> None:
    gate = followed.gate
    gate.mirror.is_up = False
    pushed = _push(gate, A)
    waits = [followed.step(70.0) for _ in range(6)]
    assert waits[0] < waits[3] <= DEFAULTS.retry.longest_s
    assert [fields["failures"] for fields in gate.names("mirror.failed")] == [1, 2, 3, 4, 5, 6]
    gate.mirror.is_up = True
    followed.step(70.0)
    assert gate.mirror.shown[ledger_ref(A)] == pushed


def test_a_namespace_that_diverged_holds_up_no_other_and_is_healed(followed: Followed) -> None:
    gate = followed.gate
    whole, foreign = gate.mirror.shown[ledger_ref(A)], _foreign(gate)
    gate.mirror.shown[ledger_ref(A)] = foreign
    pushed = {ns: _push(gate, ns) for ns in (A, B)}
    followed.step(10.0)
    assert gate.mirror.shown[ledger_ref(B)] == pushed[B]
    assert gate.mirror.shown[ledger_ref(A)] == foreign, "never by force"
    [told] = gate.names("mirror.diverged")
    assert told["ns"] == "a" and foreign.hex() in str(told["detail"])
    gate.mirror.shown[ledger_ref(A)] = whole
    followed.step(70.0)
    assert gate.mirror.shown[ledger_ref(A)] == pushed[A]


def test_a_ref_that_the_mirror_does_not_take_holds_up_no_other(followed: Followed) -> None:
    gate = followed.gate
    before = dict(gate.mirror.shown)
    gate.mirror.refused[ledger_ref(A)] = PushStatus(REMOTE_REJECTED, "protected")
    _push(gate, A)
    pushed = _push(gate, B)
    followed.step(10.0)
    shown = gate.mirror.shown
    assert shown[ledger_ref(B)] == pushed
    assert all(shown[ref] == oid for ref, oid in before.items() if b"/a" in ref), "all or none"
    assert "protected" in str(gate.names("mirror.failed")[-1]["detail"])


def test_what_the_mirror_loses_is_noticed_and_brought_back(followed: Followed) -> None:
    gate = followed.gate
    lost = gate.mirror.shown.pop(ledger_ref(B))
    followed.step(MirrorTiming().look_every_s)
    assert gate.mirror.shown[ledger_ref(B)] == lost
    [told] = gate.names("mirror.changed")
    assert told["refs"] == ["refs/kv/b"]


def test_an_unreachable_mirror_lets_writes_in_where_this_place_served_last(
    followed: Followed,
) -> None:
    gate = followed.gate
    gate.mirror.is_up = False
    gate.restart()
    assert not gate.stargate.hold.because and gate.names("mirror.unseen")
    _push(gate, A)
    gate.host.confirmed = None
    gate.restart()
    assert "cannot be reached" in gate.stargate.hold.because
    with pytest.raises(Exception, match="writes are held"):
        _push(gate, A)
    later = Followed(gate)
    gate.mirror.is_up = True
    later.step()
    assert not gate.stargate.hold.because
    _push(gate, A)


def test_an_older_state_never_serves_beside_a_newer_mirror(followed: Followed) -> None:
    gate = followed.gate
    old = gate.refs.read_all()
    _push(gate, A)
    followed.step(10.0)
    new = gate.refs.read_all()
    gate.refs.move([RefUpdate(ref, oid, old[ref]) for ref, oid in new.items() if old[ref] != oid])
    gate.restart()
    assert "the mirror has what this repository has not" in gate.stargate.hold.because
    held = Followed(gate)
    held.step()
    assert gate.names("writes.held") and gate.mirror.shown[ledger_ref(A)] == new[ledger_ref(A)]
    gate.refs.move([RefUpdate(ref, old[ref], oid) for ref, oid in new.items() if old[ref] != oid])
    held.step(70.0)
    assert not gate.stargate.hold.because


def test_a_namespace_whose_audit_fails_holds_up_no_other(gate: MemoryStargate) -> None:
    assert gate.change_policy(*EAGER).verdict.accepted
    now = [0.0]
    audit = Audit(gate.stargate.auditing, gate.stargate.hold, lambda: now[0])
    mark = gate.refs.read(audited_ref(A))
    assert mark is not None
    gate.refs.move([RefUpdate(audited_ref(A), mark, gate.tip(B).ledger.oid)])
    _push(gate, A)
    _push(gate, B)
    assert 0.0 < audit.step() <= POLL_S
    audit.step()
    assert len(gate.names("audit.failed")) == 1 and gate.names("audit.failed")[0]["ns"] == "a"
    assert [fields["ns"] for fields in gate.names("audit.passed")] == ["b"]
    stands = gate.refs.read(audited_ref(A))
    assert stands is not None
    gate.refs.move([RefUpdate(audited_ref(A), stands, mark)])
    now[0] += 1.0
    assert audit.step() == POLL_S
    assert gate.names("audit.recovered") and gate.names("audit.passed")[-1]["ns"] == "a"
    gate.stargate.hold.begin("a test says so")
    assert audit.step() == POLL_S
    audit.finish()


class Crowded(MemoryHost):
    """Many packs, and at first a disk that is full."""

    def __init__(self) -> None:
        super().__init__("memory", [A])
        self.packs, self.is_full = 1000, True

    def roll_up(self) -> None:
        if self.is_full:
            raise ToolError("git repack failed: No space left on device")
        super().roll_up()


def test_maintenance_rolls_up_packs_and_what_fails_is_told_once() -> None:
    host, now = Crowded(), [0.0]
    events: list[tuple[str, object]] = []
    upkeep = Maintenance(
        host, lambda event: events.append((event.name, event.fields())), lambda: now[0]
    )
    host.left = ["abandoned"]
    assert upkeep.step() == DEFAULTS.upkeep.every_s
    upkeep.step()
    assert [event for event, _ in events] == ["quarantine.swept", "maintenance.failed"]
    now[0] += DEFAULTS.retry.longest_s
    host.is_full = False
    upkeep.step()
    assert host.packs == 1
    assert [event for event, _ in events][2:] == ["maintained", "maintenance.recovered"]
    upkeep.step()
    upkeep.finish()
    assert len(events) == 4
