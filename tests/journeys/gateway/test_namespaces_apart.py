"""What is broken in one namespace holds up no other: neither its audit nor its mirror."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.gateway import Gateway

from gitkv.gateway.followers.follower import POLL_S
from gitkv.gateway.followers.mirror import Mirror
from gitkv.git.process import Git
from gitkv.model.configuration import MirrorTiming
from gitkv.model.refs import Namespace, RefUpdate, audited_ref

A, B = Namespace("a"), Namespace("b")


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    made = Gateway(tmp_path, (A, B))
    made.restart()
    assert made.watch.push_once().state == "pushed"
    yield made
    made.close()


def _push(gateway: Gateway, ns: Namespace) -> str:
    made = gateway.transaction(ns=ns)
    assert gateway.push(made).verdict.accepted
    return made[0].tip.ledger.oid.hex()


def _divert(gateway: Gateway, ref: str) -> str:
    """Somebody else's commit stands there on the mirror now."""
    git = Git(str(gateway.mirror), env=gateway.env)
    tree = git.run("rev-parse", "refs/kv/a^{tree}").stdout.decode().strip()
    foreign = git.run("commit-tree", tree, "-m", "not ours").stdout.decode().strip()
    git.run("update-ref", ref, foreign)
    return foreign


def test_a_namespace_that_diverged_on_the_mirror_holds_up_no_other(gateway: Gateway) -> None:
    foreign = _divert(gateway, "refs/kv/a")
    _push(gateway, A)
    pushed = _push(gateway, B)
    assert gateway.watch.push_once().state == "diverged"
    shown = gateway.refs(gateway.mirror)
    assert shown["refs/kv/b"] == pushed and shown["refs/kv-mirror/b"] == pushed
    assert shown["refs/kv/a"] == foreign
    assert gateway.refs()["refs/kv-mirror/b"] == pushed


def test_a_namespace_that_the_mirror_refuses_holds_up_no_other(gateway: Gateway) -> None:
    hook = gateway.mirror / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\ncase "$1" in refs/kv-index/a) exit 1;; esac\n')
    hook.chmod(0o755)
    before = gateway.refs(gateway.mirror)
    _push(gateway, A)
    pushed = _push(gateway, B)
    assert gateway.watch.push_once().state == "failed"
    shown = gateway.refs(gateway.mirror)
    assert shown["refs/kv/b"] == pushed
    assert {ref: oid for ref, oid in shown.items() if "/a" in ref} == {
        ref: oid for ref, oid in before.items() if "/a" in ref
    }, "half of a transaction is shown"


def test_the_follower_tells_who_diverged_leaves_it_alone_for_a_while_and_heals_it(
    gateway: Gateway,
) -> None:
    now = [0.0]
    mirror = Mirror(
        gateway.stargate.mirroring, gateway.remote(), MirrorTiming(interval_s=0), lambda: now[0]
    )
    mirror.step()
    whole = gateway.refs(gateway.mirror)["refs/kv/a"]
    _divert(gateway, "refs/kv/a")
    for failures in range(1, 4):
        last = _push(gateway, A)
        pushed = _push(gateway, B)
        mirror.step()
        assert gateway.refs(gateway.mirror)["refs/kv/b"] == pushed
        told = gateway.names("mirror.diverged")
        assert len(told) == failures
        assert (told[-1]["ns"], told[-1]["failures"]) == ("a", failures)
        mirror.step()
        assert len(gateway.names("mirror.diverged")) == failures, "it is left alone"
        now[0] += 8.0
    git = Git(str(gateway.mirror), env=gateway.env)
    git.run("update-ref", "refs/kv/a", whole)  # an operator has looked at it
    assert mirror.step() == POLL_S
    assert gateway.refs(gateway.mirror)["refs/kv/a"] == last


def test_usually_everything_travels_in_one_push(gateway: Gateway) -> None:
    """Hosts count pushes."""
    _push(gateway, A)
    _push(gateway, B)
    now = [0.0]
    mirror = Mirror(
        gateway.stargate.mirroring, gateway.remote(), MirrorTiming(interval_s=10), lambda: now[0]
    )
    assert mirror.step() == 10.0
    [told] = gateway.names("mirror.pushed")
    assert not told["ns"] and "refs/kv/a" in str(told["detail"]).split()
    pushed = _push(gateway, A)
    assert mirror.step() == 10.0, "pushes are ten seconds apart"
    now[0] += 10.0
    mirror.step()
    assert gateway.refs(gateway.mirror)["refs/kv/a"] == pushed


def test_receipts_wait_for_the_policy_that_judges_them(gateway: Gateway) -> None:
    foreign = _divert(gateway, "refs/heads/main")
    before = gateway.refs(gateway.mirror)
    assert gateway.change_policy(lambda text: text + b"# one more line\n").verdict.accepted
    _push(gateway, A)
    assert gateway.watch.push_once().state == "diverged"
    shown = gateway.refs(gateway.mirror)
    assert shown == before and shown["refs/heads/main"] == foreign


def test_a_namespace_that_cannot_be_read_holds_up_no_other(gateway: Gateway) -> None:
    _push(gateway, A)
    pushed = _push(gateway, B)
    mark = gateway.stargate.gate.refs.read(audited_ref(A))
    assert mark is not None
    no_entry = gateway.tip(A).ledger.oid
    gateway.stargate.gate.refs.move([RefUpdate(audited_ref(A), mark, no_entry)])
    assert gateway.watch.push_once().state == "failed"
    assert gateway.refs(gateway.mirror)["refs/kv/b"] == pushed
