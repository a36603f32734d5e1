"""What every Intake and Spool keep: nobody sees a pack before it is delivered; nothing stays."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from gitkv.errors import IntegrityError
from gitkv.git.journal import FileJournal
from gitkv.git.object_store import GitObjectStore
from gitkv.git.pack import PackWriter
from gitkv.git.process import Git
from gitkv.git.quarantine import Quarantine
from gitkv.git.ref_store import PackedRefStore
from gitkv.git.spool import GitSpool
from gitkv.model.oid import BLOB, Oid, hash_object
from gitkv.ports import (
    Delivery,
    Intake,
    Journal,
    ObjectStore,
    ObjectTooLargeError,
    QuarantinedPack,
    Spool,
)
from gitkv.testing.memory import MemoryJournal, MemoryLease, MemoryObjectStore, MemoryRefStore
from gitkv.testing.memory_gateway import MemoryIntake, MemorySpool

Sent = Sequence[tuple[bytes, bytes]]
VALUE = hash_object(BLOB, b"value")


class Door(NamedTuple):
    """`left`: what is there besides the repository's own objects."""

    receive: Callable[[Sent], tuple[Intake, QuarantinedPack]]
    spool: Callable[[], Spool]
    journal: Journal
    objects: ObjectStore
    left: Callable[[], int]


def _on_files(git_dir: Path, stack: ExitStack) -> Door:
    git, lease = Git(str(git_dir), env=os.environ), MemoryLease()
    refs = PackedRefStore(str(git_dir))
    stack.callback(refs.close)

    def receive(sent: Sent) -> tuple[Intake, QuarantinedPack]:
        writer, quarantine = PackWriter(str(git_dir)), Quarantine(git)
        for kind, body in sent:
            writer.add(kind, body)
        for chunk in writer.finish().chunks():
            quarantine.feed(chunk)
        return quarantine, quarantine.finish()

    def left() -> int:
        folder = git_dir / "kv" / "quarantine"
        return len(list(folder.iterdir())) if folder.exists() else 0

    journal = FileJournal(str(git_dir), refs, lease, lambda step: None)
    objects = stack.enter_context(GitObjectStore(git))
    return Door(receive, lambda: GitSpool(git), journal, objects, left)


def _in_memory() -> Door:
    objects = MemoryObjectStore()
    journal = MemoryJournal(objects, MemoryRefStore(), MemoryLease())

    def receive(sent: Sent) -> tuple[Intake, QuarantinedPack]:
        intake = MemoryIntake(objects, journal.packs, sent)
        return intake, intake.pack

    spool = lambda: MemorySpool(journal.packs)  # noqa: E731
    return Door(receive, spool, journal, objects, lambda: len(journal.packs))


@pytest.fixture(params=["files", "memory"])
def door(request: pytest.FixtureRequest, bare_repo: Path) -> Iterator[Door]:
    (bare_repo / "kv").mkdir()
    with ExitStack() as stack:
        yield _on_files(bare_repo, stack) if request.param == "files" else _in_memory()


def _deliver(door: Door, pack_path: str) -> None:
    door.journal.prepare(Delivery(pack_path, (), ()), 1)
    door.journal.commit(1)
    door.journal.finish()


def test_what_was_received_is_seen_by_its_judge_only(door: Door) -> None:
    intake, pack = door.receive([(BLOB, b"value"), (BLOB, b"other")])
    assert pack.oids == tuple(sorted([VALUE, hash_object(BLOB, b"other")])) and pack.bases == ()
    objects = intake.objects(100)
    assert objects.read(VALUE, BLOB) == b"value"
    objects.close()
    assert not door.objects.has(VALUE)
    intake.discard()
    intake.discard()
    assert door.left() == 0 and not door.objects.has(VALUE)


def test_its_judge_sees_what_the_repository_has_too(door: Door) -> None:
    spool = door.spool()
    spool.add(BLOB, b"value")
    _deliver(door, spool.finish())
    spool.discard()
    intake, _ = door.receive([(BLOB, b"other")])
    objects = intake.objects(100)
    assert objects.read(VALUE, BLOB) == b"value"
    objects.close()
    intake.discard()


def test_what_is_delivered_stays_when_the_intake_is_discarded(door: Door) -> None:
    intake, pack = door.receive([(BLOB, b"value")])
    _deliver(door, pack.pack_path)
    intake.discard()
    assert door.left() == 0 and door.objects.read(VALUE, BLOB) == b"value"


def test_what_is_larger_than_was_agreed_is_not_read(door: Door) -> None:
    intake, _ = door.receive([(BLOB, b"x" * 101), (BLOB, b"y" * 100)])
    objects = intake.objects(100)
    assert objects.read(hash_object(BLOB, b"y" * 100), BLOB) == b"y" * 100
    with pytest.raises(ObjectTooLargeError):
        objects.read(hash_object(BLOB, b"x" * 101), BLOB)
    objects.close()
    intake.discard()


def test_an_empty_pack_has_no_path(door: Door) -> None:
    intake, pack = door.receive([])
    assert pack == QuarantinedPack("", (), ())
    intake.discard()


def test_a_spool_takes_an_object_once_and_shows_it_when_it_is_delivered(door: Door) -> None:
    spool = door.spool()
    assert [spool.add(BLOB, b"value") for _ in range(2)] == [VALUE, VALUE]
    assert not door.objects.has(VALUE)
    _deliver(door, spool.finish())
    spool.discard()
    assert door.objects.read(VALUE, BLOB) == b"value" and door.left() == 0


def test_a_spool_that_is_discarded_leaves_nothing(door: Door) -> None:
    begun, finished = door.spool(), door.spool()
    for spool in (begun, finished):
        spool.add(BLOB, b"value")
    finished.finish()
    for spool in (begun, finished):
        spool.discard()
        spool.discard()
    assert door.left() == 0 and not door.objects.has(VALUE)
    with pytest.raises(IntegrityError):
        door.objects.read(Oid(VALUE), BLOB)
