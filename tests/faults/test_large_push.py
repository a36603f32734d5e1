"""A disk that fails in the middle of a push with a large value: ledger, index, chunks and watchlog
move as one or not at all, and the next push works.
"""

from __future__ import annotations

import errno

import pytest
from support.gateway import Gateway
from support.large_values import cut
from support.os_faults import FailingDisk

from gitkv.errors import GitKvError
from gitkv.git.pack import PackWriter
from gitkv.ledger.compose import Transaction
from gitkv.ledger.plan import Put
from gitkv.model.chunking import DEFAULT_CHUNKING
from gitkv.model.manifest import Manifest
from gitkv.ports import OutcomeUnknownError
from gitkv.testing.memory import MemoryObjectStore

SIZE = (1 << 20) + 50_000


def _made(gateway: Gateway, seed: int) -> tuple[Manifest, tuple[Transaction, PackWriter]]:
    store = MemoryObjectStore()
    manifest = cut(store.add, SIZE, seed, DEFAULT_CHUNKING)
    objects = [(kind, body) for _, kind, body in store.all()]
    return manifest, gateway.transaction({b"big": Put(manifest)}, also=objects)


def _begins(name: str, what: object) -> bool:
    return name == "open" and str(what).endswith("intent.json.draft")


def _calls(gateway: Gateway) -> int:
    recorded = FailingDisk(_begins)
    with pytest.MonkeyPatch.context() as patch:
        recorded.install(patch)
        assert gateway.push(_made(gateway, 1)[1]).verdict.accepted
    return len(recorded.calls)


def test_whatever_call_fails_the_refs_move_as_one(gateway: Gateway) -> None:
    for at in range(1, _calls(gateway) + 1):
        before = gateway.refs()
        manifest, made = _made(gateway, at + 1)
        disk = FailingDisk(_begins, at, errno.ENOSPC)
        with pytest.MonkeyPatch.context() as patch:
            disk.install(patch)
            try:
                said = "accepted" if gateway.push(made).verdict.accepted else "refused"
            except OutcomeUnknownError:
                said = "unknown"
            except (OSError, GitKvError):
                said = "refused"
        after = gateway.refs()
        moved = sorted(ref for ref in after if before.get(ref) != after[ref])
        assert (said == "refused") == (moved == []), (disk.calls, at)
        if moved:
            families = {ref.split("/")[1] for ref in moved}
            assert families == {"kv", "kv-audited", "kv-chunks", "kv-index", "kv-watchlog"}
            assert gateway.tip() == made[0].tip
        has = gateway.stargate.gate.objects.has
        assert said == "refused" or has(manifest.tree)
    assert gateway.push(_made(gateway, 999)[1]).verdict.accepted
    assert gateway.restart().gate.tip(gateway.tip().ns) == gateway.tip()


def test_of_two_who_set_the_same_bytes_at_once_the_second_sends_no_chunk_again(
    gateway: Gateway,
) -> None:
    (manifest, one), (_, other) = _made(gateway, 1), _made(gateway, 1)
    assert gateway.push(one).verdict.accepted
    [reason, *_] = gateway.push(other).verdict.reasons
    assert reason.rule == "base.stale"
    tip = gateway.tip()
    _, rebuilt = gateway.transaction({b"copy": Put(manifest)})
    assert manifest.tree not in rebuilt.finish().oids
    assert gateway.push(gateway.transaction({b"copy": Put(manifest)})).verdict.accepted
    assert gateway.tip().chunks_oid == tip.chunks_oid
