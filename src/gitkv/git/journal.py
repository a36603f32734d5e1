"""The durable step over files: a delivery becomes the state of a bare repository, as a whole or not
at all.

The order is: intent on disk (`kv/intent.json`), pack and commits in place, then one rename of
`packed-refs`, which is the commit point for every ref. A crash before it leaves an intent whose
files `recover` removes; a crash after it leaves an intent that is only cleared. A delivery that
brings no files needs no intent: the rename alone is atomic. Left to others: the lock around it, and
what is told to whom (`gateway/`).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import NamedTuple

from gitkv.errors import NotLeaderError
from gitkv.git.durable import sync
from gitkv.git.loose_object import remove_loose, write_loose
from gitkv.git.ref_store import UnconfirmedMoveError
from gitkv.model.oid import COMMIT, ZERO_OID, Oid, hash_object, parse_oid
from gitkv.model.refs import Ref, RefUpdate
from gitkv.ports import Delivery, Lease, OutcomeUnknownError, RefStore

_PACK_NAME = re.compile(r"pack-[0-9a-f]{40}")
_OIDS = ("commits", "dropped")
_PACK_SUFFIXES = (".idx", ".rev", ".pack")


class FileJournal:
    """Journal of the bare repository `git_dir`. `step` hears of each step within `prepare`."""

    def __init__(
        self, git_dir: str, refs: RefStore, lease: Lease, step: Callable[[str], None]
    ) -> None:
        self._git_dir, self._refs, self._lease, self._step = git_dir, refs, lease, step
        self._path = os.path.join(git_dir, "kv", "intent.json")
        self._fence_seen = 0
        self._prepared: _Intent | None = None
        self._is_recorded = False  # whether the prepared one has an intent on the disk

    def prepare(self, delivery: Delivery, fence: int) -> None:
        """As in the port. Takes the pack out of the folder it is in."""
        self._check_not_older(fence)
        intent = _intent_of(self._git_dir, delivery, fence)
        self._prepared = intent
        self._is_recorded = bool(delivery.pack_path or delivery.commits or delivery.dropped)
        if not self._is_recorded:
            return
        _write_intent(self._path, intent)
        self._step("intent-written")
        adopt_pack(self._git_dir, delivery.pack_path)
        self._step("pack-adopted")
        for body in delivery.commits:
            write_loose(self._git_dir, COMMIT, body)
        self._step("entries-written")

    def commit(self, fence: int) -> None:
        """As in the port; raises ValueError when nothing is prepared."""
        if self._prepared is None:
            raise ValueError("nothing is prepared")
        current = self._lease.fence()
        if not fence == self._prepared.fence == current:
            raise NotLeaderError(
                f"the leadership has changed: expected fence {self._prepared.fence}, got {current}"
            )
        try:
            self._refs.move(self._prepared.updates)
        except UnconfirmedMoveError as error:
            raise OutcomeUnknownError(
                f"the refs moved, but are perhaps not durable: {error}"
            ) from error

    def finish(self) -> None:
        """As in the port: removes the record of intent."""
        prepared, self._prepared = self._prepared, None
        if prepared is not None and self._is_recorded:
            self._drop(prepared)
            self._clear()

    def abort(self) -> None:
        """As in the port."""
        prepared, self._prepared = self._prepared, None
        if prepared is not None and self._is_recorded:
            self._undo(prepared)
            self._clear()

    def recover(self, fence: int) -> str:
        """As in the port, from the record of intent on the disk."""
        self._check_not_older(fence)
        self._prepared = None
        intent = _read_intent(self._path)
        if intent is None:
            self._clear()
            return ""
        if intent.fence > fence:
            raise NotLeaderError(
                f"a later leader is at work: expected fence {fence} at most, got {intent.fence}"
            )
        # Only refs that still stand at the old values prove that nothing came of it; a stale intent
        # may come back after a power cut.
        unmoved = all(
            (self._refs.read(update.ref) or ZERO_OID) == update.old for update in intent.updates
        )
        if unmoved:
            self._undo(intent)
        else:
            self._drop(intent)
        self._clear()
        return "back" if unmoved else "forward"

    def _check_not_older(self, fence: int) -> None:
        if fence < self._fence_seen:
            raise NotLeaderError(
                f"the leadership is over: expected fence {self._fence_seen} at least, got {fence}"
            )
        self._fence_seen = fence

    def _undo(self, intent: _Intent) -> None:
        """Removes the files of an intent whose refs did not move."""
        for name in intent.packs:
            for suffix in _PACK_SUFFIXES:
                with suppress(FileNotFoundError):
                    os.unlink(os.path.join(_pack_dir(self._git_dir), name + suffix))
        for oid in intent.commits:
            remove_loose(self._git_dir, oid)

    def _drop(self, intent: _Intent) -> None:
        """Removes what nothing reaches any more, now that the refs have moved; not before the disk
        has confirmed that, for a power cut would bring back refs to what is gone.
        """
        if intent.dropped:
            sync(self._git_dir)
        for oid in intent.dropped:
            remove_loose(self._git_dir, oid)

    def _clear(self) -> None:
        for name in (self._path + ".draft", self._path):
            with suppress(FileNotFoundError):
                os.unlink(name)


def adopt_pack(git_dir: str, pack_path: str) -> None:
    """Moves a checked pack among the repository's own, durably; its index last, for git sees a pack
    through its index. Harmless for "". Raises OSError.
    """
    if not pack_path:
        return
    stem, folder = pack_path.removesuffix(".pack"), _pack_dir(git_dir)
    for suffix in (".pack", ".rev", ".idx"):
        target = os.path.join(folder, os.path.basename(stem) + suffix)
        # Not asked for first: a disk that cannot tell would leave refs without objects.
        with suppress(FileNotFoundError) if suffix == ".rev" else nullcontext():
            sync(stem + suffix)
            os.rename(stem + suffix, target)
    sync(folder)


class _Intent(NamedTuple):
    fence: int
    packs: list[str]
    commits: list[Oid]
    updates: list[RefUpdate]
    dropped: list[Oid]


def _intent_of(git_dir: str, delivery: Delivery, fence: int) -> _Intent:
    name = os.path.basename(delivery.pack_path).removesuffix(".pack")
    is_new = bool(name) and not _is_there(os.path.join(_pack_dir(git_dir), name + ".idx"))
    oids = [hash_object(COMMIT, body) for body in delivery.commits]
    packs, dropped = [name] if is_new else [], list(delivery.dropped)
    return _Intent(fence, packs, oids, list(delivery.updates), dropped)


def _is_there(path: str) -> bool:
    """Whether there is such a file; raises OSError when the disk cannot tell, for undoing removes
    what was not there.
    """
    try:
        os.stat(path)
    except FileNotFoundError:
        return False
    return True


def _pack_dir(git_dir: str) -> str:
    return os.path.join(git_dir, "objects", "pack")


def _write_intent(path: str, intent: _Intent) -> None:
    text = json.dumps(
        {
            "fence": intent.fence,
            "packs": intent.packs,
            "commits": [oid.hex() for oid in intent.commits],
            "dropped": [oid.hex() for oid in intent.dropped],
            "updates": [
                [update.ref.decode(), update.old.hex(), update.new.hex()]
                for update in intent.updates
            ],
        }
    )
    with open(path + ".draft", "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(path + ".draft", path)
    sync(os.path.dirname(path))


def _read_intent(path: str) -> _Intent | None:
    """The intent, or None when there is none or a failing disk tore it: then the refs alone are the
    truth, and they are whole.
    """
    try:
        with open(path, "rb") as file:
            told = json.loads(file.read())
        updates = [
            RefUpdate(Ref(ref.encode()), parse_oid(old.encode()), parse_oid(new.encode()))
            for ref, old, new in told["updates"]
        ]
        packs = [name for name in told["packs"] if _PACK_NAME.fullmatch(name)]
        commits, dropped = ([parse_oid(oid.encode()) for oid in told[name]] for name in _OIDS)
        return _Intent(int(told["fence"]), packs, commits, updates, dropped)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
