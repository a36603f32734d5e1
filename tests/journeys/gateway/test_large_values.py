"""Pushes with large values: chunks travel with their ledger, or nothing moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.gateway import NS, Gateway
from support.large_values import cut, noise

from gitkv.gateway.followers.audit import audit_pending
from gitkv.gateway.followers.mirror import Mirror
from gitkv.gateway.receive import Answer
from gitkv.git.pack import PackWriter
from gitkv.git.process import Git
from gitkv.ledger.compose import Transaction
from gitkv.ledger.plan import Put
from gitkv.model.configuration import MirrorTiming
from gitkv.model.heads import ChunkHead, Heads
from gitkv.model.manifest import Manifest
from gitkv.model.oid import BLOB, COMMIT, TREE, ZERO_OID, Oid
from gitkv.model.refs import EpochLabel, chunks_ref
from gitkv.testing.memory import MemoryObjectStore
from gitkv.wire.push_grammar import TransactionPush

EPOCH = EpochLabel("e1")
REF = "refs/kv-chunks/main@e1"
CHUNKS = b"    max_value_inline: 4KiB\n    chunks: {min: 1KiB, average: 4KiB, max: 16KiB}\n"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    made = Gateway(tmp_path)
    made.restart()
    assert _settle(made, b"").verdict.accepted
    yield made
    made.close()


def _settle(gateway: Gateway, more: bytes) -> Answer:
    """A policy with small chunks, and `more`."""
    line = b"    max_value_inline: 1MiB"

    def change(text: bytes) -> bytes:
        head, found, rest = text.partition(line)
        assert found
        return head + CHUNKS + more + rest.partition(b"\n")[2]

    return gateway.change_policy(change)


class Large:
    """A large value and its objects, not sent yet."""

    def __init__(self, size: int = 60_000, seed: int = 7) -> None:
        self.store = MemoryObjectStore()
        self.manifest: Manifest = cut(self.store.add, size, seed)
        self.value = noise(size, seed)

    @property
    def objects(self) -> list[tuple[bytes, bytes]]:
        return [(kind, body) for _, kind, body in self.store.all()]


def _made(
    gateway: Gateway, key: bytes = b"big", large: Large | None = None
) -> tuple[Transaction, PackWriter]:
    value = large or Large()
    return gateway.transaction({key: Put(value.manifest)}, also=value.objects)


def _rules(answer: Answer) -> set[str]:
    return {entry.rule for entry in answer.verdict.reasons}


def _pushed(
    gateway: Gateway,
    made: tuple[Transaction, PackWriter],
    bend: Callable[[Heads, Heads], tuple[Heads, Heads]],
) -> set[str]:
    """What is said of a push whose refs were changed; nothing has moved."""
    transaction, writer = made
    before = gateway.refs()
    assert transaction.before is not None
    old, new = bend(transaction.before, transaction.tip.heads)
    answer = gateway._receive(TransactionPush(NS, old, new), writer)
    assert gateway.refs() == before
    return _rules(answer)


def test_a_large_value_moves_three_refs_as_one(gateway: Gateway) -> None:
    made, large = _made(gateway), Large()
    answer = gateway.push(made)
    assert answer.verdict.accepted
    tip = gateway.tip()
    assert tip == made[0].tip and tip.chunks_oid is not None
    assert gateway.refs()[REF] == tip.chunks_oid.hex()
    assert answer.receipt is not None
    entry = gateway.stargate.gate.entry(answer.receipt.watchlog)
    assert entry.heads.chunks == ChunkHead(EPOCH, tip.chunks_oid)
    for oid, kind, body in large.store.all():
        assert gateway.stargate.gate.objects.read(oid, kind) == body
    assert gateway.restart().gate.tip(NS) == tip, "and it is there after a restart"


def test_a_small_write_leaves_the_chunk_ref_where_it_is(gateway: Gateway) -> None:
    assert REF not in gateway.refs()
    assert gateway.push().verdict.accepted
    assert REF not in gateway.refs()
    gateway.push(_made(gateway))
    before = gateway.refs()[REF]
    assert gateway.push().verdict.accepted
    assert gateway.refs()[REF] == before
    assert gateway.push(_made(gateway, large=Large(seed=8))).verdict.accepted
    assert gateway.refs()[REF] != before


def test_the_same_bytes_under_another_key_send_no_chunk(gateway: Gateway) -> None:
    large = Large()
    assert gateway.push(_made(gateway, b"one", large)).verdict.accepted
    _, writer = gateway.transaction({b"two": Put(large.manifest)}, also=large.objects)
    pack = writer.finish()
    assert not {oid for oid, _, _ in large.store.all()} & set(pack.oids)
    assert pack.count < 10
    pack.close()


def test_a_large_value_is_deleted_and_its_chunks_stay(gateway: Gateway) -> None:
    gateway.push(_made(gateway))
    before = gateway.tip()
    assert gateway.push(gateway.transaction({b"big": None})).verdict.accepted
    assert gateway.tip().trees.chunks_tree == before.trees.chunks_tree


def test_chunks_that_do_not_travel_with_their_ledger_are_refused(gateway: Gateway) -> None:
    found = _pushed(
        gateway,
        _made(gateway),
        lambda old, new: (old._replace(chunks=None), new._replace(chunks=None)),
    )
    assert found == {"chunks.commit"}


def test_a_chunk_ref_that_has_no_reason_to_move_is_refused(gateway: Gateway) -> None:
    gateway.push(_made(gateway))
    tip = gateway.tip()
    head = ChunkHead(EPOCH, tip.chunks_oid or ZERO_OID)
    other = ChunkHead(EPOCH, tip.ledger.oid)
    found = _pushed(
        gateway,
        gateway.transaction(),
        lambda old, new: (old._replace(chunks=head), new._replace(chunks=other)),
    )
    assert found == {"chunks.commit"}


def test_chunks_of_another_epoch_are_refused(gateway: Gateway) -> None:
    def bend(old: Heads, new: Heads) -> tuple[Heads, Heads]:
        assert new.chunks is not None
        later = EpochLabel("e2")
        return old._replace(chunks=ChunkHead(later, ZERO_OID)), new._replace(
            chunks=ChunkHead(later, new.chunks.oid)
        )

    assert _pushed(gateway, _made(gateway), bend) == {"push.epoch"}


def test_a_chunk_head_that_moved_meanwhile_is_a_conflict(gateway: Gateway) -> None:
    late = _made(gateway, b"late", Large(seed=8))
    gateway.push(_made(gateway))
    assert _rules(gateway.push(late)) == {"base.stale"}


def test_a_push_without_a_chunk_is_refused_whole(gateway: Gateway) -> None:
    large = Large()
    lost = next(oid for oid, kind, _ in large.store.all() if kind == BLOB)
    large.store.drop(lost)
    before = gateway.refs()
    with pytest.raises(Exception, match="did not receive expected object"):
        gateway.push(_made(gateway, large=large))
    assert gateway.refs() == before
    assert gateway.push(_made(gateway)).verdict.accepted, "the next one works"


def test_a_stray_chunk_is_refused(gateway: Gateway) -> None:
    large = Large()
    large.store.add(BLOB, b"smuggled")
    assert _rules(gateway.push(_made(gateway, large=large))) == {"pack.stray"}


def test_a_value_in_the_store_that_no_key_has_is_refused(gateway: Gateway) -> None:
    """The trees of another value, reachable and not asked for."""
    large, other = Large(), Large(seed=9)

    def bend(plan):  # type: ignore[no-untyped-def]
        from gitkv.ledger.roots import open_chunks

        def load(oid: Oid, kind: bytes) -> bytes:
            return known[oid][1] if oid in known else gateway.stargate.gate.objects.read(oid, kind)

        store = open_chunks(plan.chunks_tree, load)
        edit = [(other.manifest.store_name, other.manifest.tree)]
        return plan._replace(chunks_tree=store.apply(edit, keep))

    known: dict[Oid, tuple[bytes, bytes]] = {}
    extra: list[tuple[bytes, bytes]] = []

    def keep(kind: bytes, body: bytes) -> Oid:
        extra.append((kind, body))
        return MemoryObjectStore().add(kind, body)

    honest = gateway.transaction({b"big": Put(large.manifest)}, also=large.objects)
    for oid in honest[0].tip.heads.oids:
        assert oid
    tree = honest[0].tip.trees.chunks_tree
    assert tree is not None
    known[tree] = TREE, b"40000 %b\0%b" % (large.manifest.store_name, large.manifest.tree)
    gateway.transaction({b"big": Put(large.manifest)}, bend=bend)
    made = gateway.transaction(
        {b"big": Put(large.manifest)}, bend=bend, also=[*large.objects, *other.objects, *extra]
    )
    assert _rules(gateway.push(made)) == {"chunks.store"}


@pytest.mark.parametrize(
    ("large", "rule"),
    [(Large(4000), "value.inline"), (Large(2_000_000), "value.total")],
    ids=["small enough for one blob", "too large"],
)
@pytest.mark.parametrize("verify", ["before-ack", "before-publish"])
def test_limits_are_told_before_anything_is_accepted(
    gateway: Gateway, large: Large, rule: str, verify: str
) -> None:
    more = b"    max_value_total: 1MiB\n"

    def change(text: bytes) -> bytes:
        text = text.replace(b"    max_value_total: 1GiB", b"    max_value_total: 1MiB")
        return text.replace(b"verify: before-ack", b"verify: " + verify.encode())

    assert gateway.change_policy(change).verdict.accepted, more
    assert _rules(gateway.push(_made(gateway, large=large))) == {rule}


def test_after_the_answer_a_lie_is_undone_and_the_store_with_it(gateway: Gateway) -> None:
    def eager(text: bytes) -> bytes:
        return text.replace(b"verify: before-ack", b"verify: before-publish")

    assert gateway.change_policy(eager).verdict.accepted
    assert gateway.push(_made(gateway, b"good")).verdict.accepted
    assert audit_pending(gateway.stargate.auditing, NS) == 1
    good = gateway.tip()
    lie = Large(seed=3)
    lie.manifest = lie.manifest._replace(blake3=bytes(32))
    assert gateway.push(_made(gateway, b"bad", lie)).verdict.accepted
    assert gateway.push(_made(gateway, b"later", Large(seed=4))).verdict.accepted
    audit_pending(gateway.stargate.auditing, NS)
    tip = gateway.tip()
    assert [fields["ns"] for fields in gateway.names("audit.violation")] == [NS]
    assert tip.trees == good.trees, "the later one was signed by the suspended writer"
    assert tip.chunks_oid not in (None, good.chunks_oid), "the chunk ref has moved forward"
    body = gateway.stargate.gate.objects.read(tip.chunks_oid or ZERO_OID, COMMIT)
    assert body.startswith(b"tree " + (good.trees.chunks_tree or ZERO_OID).hex().encode())
    assert gateway.refs()[chunks_ref(NS, EPOCH).decode()] == (tip.chunks_oid or ZERO_OID).hex()


def test_the_mirror_gets_the_chunks_with_the_ledger(gateway: Gateway) -> None:
    gateway.push(_made(gateway))
    assert gateway.watch.push_once().state == "pushed"
    there = gateway.refs(gateway.mirror)
    ours = gateway.refs()
    assert there[REF] == ours[REF]
    assert there["refs/kv/main"] == ours["refs/kv/main"]
    assert gateway.watch.push_once().state in ("current", "pushed")


def _limited(gateway: Gateway, push_bytes: int) -> Mirror:
    """The mirror's worker, where the host takes only a little more than that in one push."""
    git = Git(str(gateway.mirror), env=gateway.env)
    git.run("config", "receive.maxInputSize", str(push_bytes + 12_000))
    git.run("config", "receive.unpackLimit", "1")
    timing = MirrorTiming(interval_s=0, push_bytes=push_bytes)
    mirror = Mirror(gateway.stargate.mirroring, gateway.remote(), timing)
    mirror.begin()
    return mirror


def _is_whole(gateway: Gateway) -> bool:
    done = Git(str(gateway.mirror), env=gateway.env).run("fsck", "--connectivity-only", check=False)
    there = gateway.refs(gateway.mirror)
    return done.code == 0 and there == {
        ref: oid for ref, oid in gateway.refs().items() if ref in there
    }


def test_a_value_larger_than_a_push_of_the_mirror_goes_in_several(gateway: Gateway) -> None:
    mirror = _limited(gateway, 64 << 10)
    gateway.push(_made(gateway, b"huge", Large(400_000)))
    assert mirror.push_once().state == "pushed"
    assert _is_whole(gateway)
    assert gateway.refs(gateway.mirror)[REF] == gateway.refs()[REF]
    assert not [ref for ref in gateway.refs(gateway.mirror) if "staging" in ref]
    gateway.push(_made(gateway, b"more", Large(300_000, seed=8)))
    gateway.push(_made(gateway, b"small", Large(20_000, seed=9)))
    assert mirror.push_once().state == "pushed"
    assert _is_whole(gateway)


def test_what_came_ahead_is_not_sent_again_and_nobody_saw_the_ledger(gateway: Gateway) -> None:
    mirror = _limited(gateway, 64 << 10)
    assert mirror.push_once().state == "pushed"
    seen = gateway.refs(gateway.mirror)
    gateway.push(_made(gateway, b"huge", Large(400_000)))
    hook = gateway.mirror / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\ncase "$1" in refs/kv-staging/main/3|refs/kv/*) exit 1;; esac\n')
    hook.chmod(0o755)
    assert mirror.push_once().state == "failed"
    halfway = gateway.refs(gateway.mirror)
    staged = {ref: oid for ref, oid in halfway.items() if "staging" in ref}
    assert sorted(staged) == [f"refs/kv-staging/main/{at}" for at in range(3)]
    assert {ref: oid for ref, oid in halfway.items() if ref not in staged} == seen
    hook.write_text(
        f'#!/bin/sh\ncase "$1" in refs/kv-staging/main/[012]) test "$3" = {"0" * 40};; esac\n'
    )
    again = _limited(gateway, 64 << 10)
    assert again.push_once().state == "pushed", "another worker, after a restart"
    assert _is_whole(gateway)
    assert not [ref for ref in gateway.refs(gateway.mirror) if "staging" in ref]
