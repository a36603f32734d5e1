"""What every journal keeps: a delivery becomes the state whole or not at all, and only under the
fence of whoever leads now.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from gitkv.errors import ConflictError, NotLeaderError
from gitkv.git.journal import FileJournal
from gitkv.git.object_store import GitObjectStore
from gitkv.git.pack import PackWriter
from gitkv.git.process import Git
from gitkv.git.quarantine import Quarantine
from gitkv.git.ref_store import PackedRefStore
from gitkv.model.commit import Identity, commit_payload
from gitkv.model.oid import BLOB, COMMIT, EMPTY_TREE, ZERO_OID, Oid, hash_object
from gitkv.model.refs import Ref, RefUpdate
from gitkv.ports import Delivery, Journal, ObjectStore, RefStore
from gitkv.testing.memory import MemoryJournal, MemoryLease, MemoryObjectStore, MemoryRefStore

REF, OTHER = Ref(b"refs/kv/main"), Ref(b"refs/kv-index/main")
VALUE = b"value"
ENTRY = commit_payload(EMPTY_TREE, (), Identity("A", "a@example.com", 1).line(), b"entry\n")
ENTRY_OID, VALUE_OID = hash_object(COMMIT, ENTRY), hash_object(BLOB, VALUE)


class Place(NamedTuple):
    """A journal with what it works on. `again`: the journal as a process that takes over sees
    it.
    """

    journal: Journal
    refs: RefStore
    lease: MemoryLease
    objects: Callable[[], ObjectStore]
    pack: Callable[[], str]
    again: Callable[[], Journal]


def _on_files(git_dir: Path, stack: ExitStack) -> Place:
    refs, lease = PackedRefStore(str(git_dir)), MemoryLease()
    git = Git(str(git_dir), env=os.environ)

    def journal() -> FileJournal:
        return FileJournal(str(git_dir), refs, lease, lambda step: None)

    def pack() -> str:
        writer, quarantine = PackWriter(str(git_dir)), Quarantine(git)
        writer.add(BLOB, VALUE)
        for chunk in writer.finish().chunks():
            quarantine.feed(chunk)
        stack.callback(quarantine.discard)
        return quarantine.finish().pack_path

    def objects() -> GitObjectStore:
        return stack.enter_context(GitObjectStore(git))

    stack.callback(refs.close)
    return Place(journal(), refs, lease, objects, pack, journal)


def _in_memory() -> Place:
    objects, refs, lease = MemoryObjectStore(), MemoryRefStore(), MemoryLease()
    journal = MemoryJournal(objects, refs, lease)
    journal.packs["pack"] = [(BLOB, VALUE)]
    return Place(journal, refs, lease, lambda: objects, lambda: "pack", lambda: journal)


@pytest.fixture(params=["files", "memory"])
def place(request: pytest.FixtureRequest, bare_repo: Path) -> Iterator[Place]:
    (bare_repo / "kv").mkdir()
    with ExitStack() as stack:
        yield _on_files(bare_repo, stack) if request.param == "files" else _in_memory()


def _delivery(place: Place, old: Oid = ZERO_OID) -> Delivery:
    updates = [RefUpdate(REF, old, ENTRY_OID), RefUpdate(OTHER, ZERO_OID, ENTRY_OID)]
    return Delivery(place.pack(), [ENTRY], updates)


def _holds(place: Place) -> tuple[bool, bool]:
    objects = place.objects()
    return objects.has(VALUE_OID), objects.has(ENTRY_OID)


def test_what_is_committed_is_all_there(place: Place) -> None:
    place.journal.prepare(_delivery(place), 1)
    assert place.refs.read_all() == {}
    place.journal.commit(1)
    place.journal.finish()
    assert place.refs.read_all() == {REF: ENTRY_OID, OTHER: ENTRY_OID}
    assert _holds(place) == (True, True)
    assert place.again().recover(1) == ""


def test_what_is_aborted_leaves_nothing(place: Place) -> None:
    place.journal.prepare(_delivery(place), 1)
    place.journal.abort()
    assert place.refs.read_all() == {} and _holds(place) == (False, False)
    assert place.again().recover(1) == ""


def test_a_ref_that_stands_elsewhere_is_a_conflict_and_moves_none(place: Place) -> None:
    place.journal.prepare(_delivery(place, old=Oid(b"\x01" * 20)), 1)
    with pytest.raises(ConflictError):
        place.journal.commit(1)
    place.journal.abort()
    assert place.refs.read_all() == {} and _holds(place) == (False, False)


def test_a_leadership_that_ended_after_prepare_commits_nothing(place: Place) -> None:
    place.journal.prepare(_delivery(place), 1)
    place.lease.leads = False
    with pytest.raises(NotLeaderError):
        place.journal.commit(1)
    place.journal.abort()
    assert place.refs.read_all() == {} and _holds(place) == (False, False)


def test_a_fence_that_rose_meanwhile_stops_the_former_leader(place: Place) -> None:
    place.journal.prepare(_delivery(place), 1)
    place.lease.current = 2
    with pytest.raises(NotLeaderError):
        place.journal.commit(1)
    assert place.again().recover(2) == "back"
    assert place.refs.read_all() == {} and _holds(place) == (False, False)


def test_a_fence_never_decreases(place: Place) -> None:
    assert place.journal.recover(2) == ""
    for act in (
        lambda: place.journal.prepare(_delivery(place), 1),
        lambda: place.journal.recover(1),
    ):
        with pytest.raises(NotLeaderError):
            act()


def test_who_takes_over_takes_back_what_had_not_moved(place: Place) -> None:
    place.journal.prepare(_delivery(place), 1)
    assert place.again().recover(2) == "back"
    assert _holds(place) == (False, False) and place.again().recover(2) == ""


def test_who_takes_over_keeps_what_had_moved(place: Place) -> None:
    place.journal.prepare(_delivery(place), 1)
    place.journal.commit(1)
    assert place.again().recover(2) == "forward"
    assert _holds(place) == (True, True) and place.refs.read(REF) == ENTRY_OID


def test_a_former_leader_leaves_alone_what_a_later_one_has_begun(place: Place) -> None:
    place.lease.current = 2
    place.journal.prepare(_delivery(place), 2)
    with pytest.raises(NotLeaderError):
        place.again().recover(1)
    place.journal.commit(2)
    assert place.refs.read(REF) == ENTRY_OID


def test_refs_alone_move_without_a_record(place: Place) -> None:
    place.journal.prepare(Delivery("", (), [RefUpdate(REF, ZERO_OID, ENTRY_OID)]), 1)
    place.journal.commit(1)
    assert place.refs.read(REF) == ENTRY_OID


def test_what_is_dropped_goes_once_the_refs_have_moved_and_not_before(place: Place) -> None:
    place.journal.prepare(_delivery(place), 1)
    place.journal.commit(1)
    place.journal.finish()
    leave = [RefUpdate(ref, ENTRY_OID, ZERO_OID) for ref in (REF, OTHER)]
    place.journal.prepare(Delivery("", (), leave, [ENTRY_OID]), 1)
    assert place.again().recover(1) == "back"
    assert _holds(place) == (True, True) and place.refs.read(REF) == ENTRY_OID
    place.journal.prepare(Delivery("", (), leave, [ENTRY_OID]), 1)
    place.journal.commit(1)
    assert _holds(place) == (True, True)
    place.journal.finish()
    assert _holds(place) == (True, False) and place.refs.read_all() == {}


def test_who_takes_over_drops_what_the_one_before_had_not(place: Place) -> None:
    place.journal.prepare(_delivery(place), 1)
    place.journal.commit(1)
    place.journal.finish()
    leave = [RefUpdate(ref, ENTRY_OID, ZERO_OID) for ref in (REF, OTHER)]
    place.journal.prepare(Delivery("", (), leave, [ENTRY_OID]), 1)
    place.journal.commit(1)
    assert place.again().recover(2) == "forward"
    assert _holds(place) == (True, False)
