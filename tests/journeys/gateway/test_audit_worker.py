"""The follower that audits after the acknowledgement: a namespace that fails is told once, tried
ever less often, and goes on when it is over; the others never wait for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.gateway import Gateway

from gitkv.gateway.followers.audit import Audit
from gitkv.model.configuration import DEFAULTS
from gitkv.model.oid import Oid
from gitkv.model.refs import Namespace, RefUpdate, audited_ref

A, B = Namespace("a"), Namespace("b")


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """One with two namespaces, which are audited after the acknowledgement."""
    made = Gateway(tmp_path, (A, B))
    made.restart()
    changed = made.change_policy(
        lambda text: text.replace(b"verify: before-ack", b"verify: before-publish")
    )
    assert changed.verdict.accepted
    yield made
    made.close()


def _move_mark(gateway: Gateway, ns: Namespace, oid: Oid) -> Oid:
    before = gateway.stargate.gate.refs.read(audited_ref(ns))
    assert before is not None
    gateway.stargate.gate.refs.move([RefUpdate(audited_ref(ns), before, oid)])
    return before


def _push(gateway: Gateway, ns: Namespace) -> None:
    assert gateway.push(gateway.transaction(ns=ns)).verdict.accepted


def _passed(gateway: Gateway, ns: Namespace) -> int:
    return len([fields for fields in gateway.names("audit.passed") if fields["ns"] == ns])


def test_a_broken_namespace_holds_up_no_other(gateway: Gateway) -> None:
    now = [0.0]
    audit = Audit(gateway.stargate.auditing, gateway.stargate.hold, lambda: now[0])
    mark = _move_mark(gateway, A, gateway.tip(B).ledger.oid)  # no entry of this watchlog
    for pushes in range(1, 5):
        _push(gateway, A)
        _push(gateway, B)
        audit.step()
        assert _passed(gateway, B) == pushes, "it waited for the broken one"
        now[0] += DEFAULTS.retry.longest_s
    assert _passed(gateway, A) == 0
    [told] = gateway.names("audit.failed")
    assert told["ns"] == A

    _move_mark(gateway, A, mark)
    audit.step()
    assert _passed(gateway, A) == 4
    assert [fields["ns"] for fields in gateway.names("audit.recovered")] == [A]


def test_a_broken_namespace_is_left_alone_for_a_while_and_the_others_are_not(
    gateway: Gateway,
) -> None:
    now = [0.0]
    audit = Audit(gateway.stargate.auditing, gateway.stargate.hold, lambda: now[0])
    mark = _move_mark(gateway, A, gateway.tip(B).ledger.oid)
    _push(gateway, A)
    assert 0.0 < audit.step() <= 0.5
    _move_mark(gateway, A, mark)
    _push(gateway, B)
    audit.step()
    assert (_passed(gateway, A), _passed(gateway, B)) == (0, 1)
    now[0] += 0.5
    audit.step()
    assert _passed(gateway, A) == 1


def test_a_failure_of_all_namespaces_is_raised_for_the_runner_to_tell(gateway: Gateway) -> None:
    path = gateway.git_dir / "packed-refs"
    whole = path.read_bytes()
    path.write_bytes(b"")
    audit = Audit(gateway.stargate.auditing, gateway.stargate.hold)
    with pytest.raises(Exception, match="packed-refs"):
        audit.step()
    path.write_bytes(whole)
    assert audit.step() > 0.0
