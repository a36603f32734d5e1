"""Whatever the disk does after the commit point, an accepted push is never answered with a no."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from support.gateway import NS, Gateway
from support.os_faults import FailingDisk, after_the_refs_moved

from gitkv.errors import ConflictError, GitKvError
from gitkv.gateway.stargate import Stargate
from gitkv.git.pack import PackWriter
from gitkv.git.quarantine import Quarantine
from gitkv.git.ref_store import PackedRefStore, UnconfirmedMoveError
from gitkv.model.event import Event, MirrorNone
from gitkv.model.oid import BLOB, ZERO_OID, Oid
from gitkv.model.refs import Ref, RefUpdate, ledger_ref
from gitkv.ports import Delivery, OutcomeUnknownError

FAULTS = (errno.EIO, errno.EMFILE, errno.ENOSPC)


def _push_onto(gateway: Gateway, disk: FailingDisk) -> str:
    """What the pusher hears: "accepted", "unknown", or why not."""
    made = gateway.transaction()
    with pytest.MonkeyPatch.context() as patch:
        disk.install(patch)
        try:
            answer = gateway.push(made)
        except OutcomeUnknownError:
            said = "unknown"
        else:
            said = "accepted" if answer.verdict.accepted else str(answer.verdict.reasons)
    txn = made[0].tip.ledger.attestation.txn
    assert gateway.stargate.known.knows(txn), f"{disk.calls}: the id may be used again"
    assert gateway.tip().ledger.oid == made[0].tip.ledger.oid
    return said


def test_every_failing_call_after_the_refs_moved_is_no_refusal_and_all_that_follows_happens(
    gateway: Gateway,
) -> None:
    recorded = FailingDisk(after_the_refs_moved)
    assert _push_onto(gateway, recorded) == "accepted"
    calls = recorded.calls
    assert any("intent.json" in call for call in calls) and len(calls) >= 4
    woken: list[bool] = []
    gateway.stargate.announcements.on_move(lambda: woken.append(True))
    for number in FAULTS:
        for at in range(1, len(calls) + 1):
            woken.clear()
            disk = FailingDisk(after_the_refs_moved, at, number)
            said = _push_onto(gateway, disk)
            is_confirmation = disk.calls[at - 1].startswith("fsync")
            assert said == ("unknown" if is_confirmation else "accepted"), (disk.calls, at, said)
            assert woken, "nobody was woken"
    assert gateway.push().verdict.accepted
    before = gateway.refs()
    gateway.restart()
    assert gateway.refs() == before
    assert gateway.push().verdict.accepted
    assert not (gateway.git_dir / "kv" / "intent.json").exists()
    assert not any((gateway.git_dir / "kv" / "quarantine").iterdir())


def test_before_the_commit_point_every_failing_call_is_a_no_that_is_true(gateway: Gateway) -> None:
    def begins(name: str, what: object) -> bool:
        return name == "open" and str(what).endswith("intent.json.draft")

    recorded = FailingDisk(begins)
    with pytest.MonkeyPatch.context() as patch:
        recorded.install(patch)
        assert gateway.push().verdict.accepted
    until = next(at for at, call in enumerate(recorded.calls) if "packed-refs.lock" in call)
    for at in range(1, until + 4):
        before, made = gateway.refs(), gateway.transaction()
        disk = FailingDisk(begins, at, errno.EIO)
        with pytest.MonkeyPatch.context() as patch:
            disk.install(patch)
            try:
                accepted = gateway.push(made).verdict.accepted
            except (OSError, GitKvError):
                accepted = False
        assert accepted == (gateway.refs() != before), disk.calls
        assert gateway.stargate.known.knows(made[0].tip.ledger.attestation.txn) == accepted
    assert gateway.push().verdict.accepted
    assert gateway.stargate.gate.tip(NS) is not None


def test_a_log_that_cannot_be_written_refuses_nobody(gateway: Gateway) -> None:
    def broken(event: Event) -> None:
        raise OSError(errno.ENOSPC, "the log's disk is full")

    gateway.close()
    gateway.stargate = Stargate(gateway.opened.adapters, broken)
    gateway.stargate.report(MirrorNone())
    disk = FailingDisk(after_the_refs_moved, 3, errno.EIO)
    assert _push_onto(gateway, disk) in ("accepted", "unknown")


def test_a_rename_that_reports_failure_is_believed_only_when_nothing_moved(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, made = os.rename, gateway.transaction()

    def renames_and_complains(source: str, target: str) -> None:
        real(source, target)
        if target.endswith("packed-refs"):
            raise OSError(errno.EIO, "lost")

    monkeypatch.setattr(os, "rename", renames_and_complains)
    assert gateway.push(made).verdict.accepted
    assert gateway.tip().ledger.oid == made[0].tip.ledger.oid


def test_a_ref_store_says_when_a_move_is_not_confirmed(
    bare_repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, ref = PackedRefStore(str(bare_repo)), Ref(b"refs/kv/main")
    disk = FailingDisk(after_the_refs_moved, 1, errno.EIO).install(monkeypatch)
    with pytest.raises(UnconfirmedMoveError):
        store.move([RefUpdate(ref, ZERO_OID, Oid(b"\x01" * 20))])
    assert disk.calls[0].startswith("fsync")
    assert store.read(ref) == b"\x01" * 20


def test_a_pack_that_the_disk_cannot_look_for_is_never_taken_back(gateway: Gateway) -> None:
    """The repository has this pack already. If the disk's error read "not there", undoing a later
    failure would remove it, and refs would point at nothing.
    """
    writer = PackWriter(str(gateway.root))
    blob = writer.add(BLOB, b"in the repository")
    data = b"".join(writer.finish().chunks())
    gateway.git.run("index-pack", "--stdin", "--strict", stdin=data)
    quarantine = Quarantine(gateway.git)
    quarantine.feed(data)
    pack = quarantine.finish()
    name = os.path.basename(pack.pack_path).removesuffix(".pack") + ".idx"
    stat = os.stat

    def failing(path: str, *args: object, **kwargs: object) -> os.stat_result:
        if str(path).endswith(f"objects/pack/{name}") and "quarantine" not in str(path):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return stat(path, *args, **kwargs)  # type: ignore[arg-type]

    stale = RefUpdate(ledger_ref(NS), blob, blob)
    with pytest.MonkeyPatch.context() as patch, gateway.stargate.durable.lock:
        patch.setattr(os, "stat", failing)
        with pytest.raises((OSError, ConflictError)):
            gateway.stargate.durable.make_durable(Delivery(pack.pack_path, (), [stale]))
    quarantine.discard()
    gateway.opened.objects.close()
    assert gateway.stargate.gate.objects.has(blob)
