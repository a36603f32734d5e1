"""The durable step: a judged push becomes the state of the repository, as a whole or not at all.

The order is: intent on disk, pack and watchlog entries in place, then one rename of `packed-refs`,
which is the commit point for every ref. A crash before it leaves an intent whose files `recover`
removes; a crash after it leaves an intent that is only cleared. An error before it is a refusal;
an error after it never is.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from gitkv.errors import GitKvError
from gitkv.gateway.stargate import Stargate
from gitkv.git.durable import sync
from gitkv.git.loose_object import remove_loose, write_loose
from gitkv.git.quarantine import Quarantine, QuarantinedPack
from gitkv.git.ref_store import UnconfirmedMoveError
from gitkv.model.oid import COMMIT, ZERO_OID, Oid, hash_object, parse_oid
from gitkv.model.refs import Ref, RefUpdate

_PACK_NAME = re.compile(r"pack-[0-9a-f]{40}")
_PACK_SUFFIXES = (".idx", ".rev", ".pack")


class OutcomeUnknownError(GitKvError):
    """Neither acceptance nor refusal can be promised: the client must look for its transaction."""


class Delivery(NamedTuple):
    """What a push brings: its quarantined pack, the gateway's own commits (watchlog entries), and
    the refs that move. `txns`: the ids of its transactions, known from the commit point on.
    """

    quarantine: Quarantine
    pack: QuarantinedPack
    commits: Sequence[bytes]
    updates: Sequence[RefUpdate]
    txns: Sequence[str] = ()


def commit(stargate: Stargate, delivery: Delivery) -> None:
    """Makes the delivery the repository's state, durably; to be called with `stargate.moving` held.

    Raises ConflictError, with nothing changed, when a ref is not where the delivery says; OSError,
    with nothing changed, when the disk fails before the commit point; OutcomeUnknownError when the
    disk does not confirm that the refs moved; UnavailableError while writes are held.
    """
    stargate.check_writable()
    path, intent = _intent_path(stargate), _intent_of(stargate, delivery)
    _finish_former(stargate, path)
    try:
        _write_intent(path, intent)
        stargate.step("intent-written")
        delivery.quarantine.adopt(delivery.pack)
        stargate.step("pack-adopted")
        for body in delivery.commits:
            write_loose(stargate.git_dir, COMMIT, body)
        stargate.step("entries-written")
        stargate.refs.move(delivery.updates)
    except UnconfirmedMoveError as error:
        if _have_moved(stargate, delivery.updates):
            _follow_up(stargate, delivery, path)
        raise OutcomeUnknownError(
            f"the refs moved, but are perhaps not durable: {error}"
        ) from error
    except BaseException:  # nothing has moved: the refs stand at old values, or at another push's
        _take_back(stargate, intent, path)
        raise
    _follow_up(stargate, delivery, path)


def _follow_up(stargate: Stargate, delivery: Delivery, path: str) -> None:
    """What follows the commit point happens whatever the disk says: the push is accepted, and an
    error would be heard as a refusal. An intent that stays is finished by the next push or start.
    """
    for txn in delivery.txns:
        stargate.learn_transaction(txn)
    stargate.announce_move()
    stargate.step("refs-moved")
    try:
        _clear(path)
    except OSError as error:
        stargate.report("commit.untidy", {"error": str(error)})
    stargate.step("intent-cleared")


def _take_back(stargate: Stargate, intent: _Intent, path: str) -> None:
    """Leaves nothing of a delivery that did not come to its commit point; the error that stopped it
    is the one to tell.
    """
    try:
        _undo(stargate, intent)
        _clear(path)
    except OSError as error:
        stargate.report("commit.untidy", {"error": str(error)})


def _finish_former(stargate: Stargate, path: str) -> None:
    """An intent that a failing disk would not let go of is finished before it is overwritten."""
    try:
        if os.path.lexists(path):
            recover_intent(stargate)
    except OSError as error:
        stargate.report("commit.untidy", {"error": str(error)})


def _have_moved(stargate: Stargate, updates: Sequence[RefUpdate]) -> bool:
    """Whether the refs are seen at their new values; False when nobody can tell."""
    try:
        return all((stargate.refs.read(ref) or ZERO_OID) == new for ref, _, new in updates)
    except (OSError, GitKvError):
        return False


def recover_intent(stargate: Stargate) -> str:
    """Ends what a killed gateway had begun: "" nothing to do, "forward" its refs had moved, "back"
    its files are removed.
    """
    path = _intent_path(stargate)
    intent = _read_intent(path)
    if intent is None:
        _clear(path)
        return ""
    # Only refs that still stand at the old values prove that nothing came of it; a stale intent may
    # come back after a power cut.
    unmoved = all(
        (stargate.refs.read(update.ref) or ZERO_OID) == update.old for update in intent.updates
    )
    if unmoved:
        _undo(stargate, intent)
    _clear(path)
    return "back" if unmoved else "forward"


def _undo(stargate: Stargate, intent: _Intent) -> None:
    """Removes the files of an intent whose refs did not move."""
    for name in intent.packs:
        for suffix in _PACK_SUFFIXES:
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(_pack_dir(stargate), name + suffix))
    for oid in intent.commits:
        remove_loose(stargate.git_dir, oid)


class _Intent(NamedTuple):
    packs: list[str]
    commits: list[Oid]
    updates: list[RefUpdate]


def _intent_of(stargate: Stargate, delivery: Delivery) -> _Intent:
    name = os.path.basename(delivery.pack.pack_path).removesuffix(".pack")
    is_new = bool(name) and not _is_there(os.path.join(_pack_dir(stargate), name + ".idx"))
    oids = [hash_object(COMMIT, body) for body in delivery.commits]
    return _Intent([name] if is_new else [], oids, list(delivery.updates))


def _is_there(path: str) -> bool:
    """Whether there is such a file; raises OSError when the disk cannot tell, for undoing removes
    what was not there.
    """
    try:
        os.stat(path)
    except FileNotFoundError:
        return False
    return True


def _intent_path(stargate: Stargate) -> str:
    return os.path.join(stargate.git_dir, "kv", "intent.json")


def _pack_dir(stargate: Stargate) -> str:
    return os.path.join(stargate.git_dir, "objects", "pack")


def _write_intent(path: str, intent: _Intent) -> None:
    text = json.dumps(
        {
            "packs": intent.packs,
            "commits": [oid.hex() for oid in intent.commits],
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
            said = json.loads(file.read())
        updates = [
            RefUpdate(Ref(ref.encode()), parse_oid(old.encode()), parse_oid(new.encode()))
            for ref, old, new in said["updates"]
        ]
        packs = [name for name in said["packs"] if _PACK_NAME.fullmatch(name)]
        return _Intent(packs, [parse_oid(oid.encode()) for oid in said["commits"]], updates)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _clear(path: str) -> None:
    for name in (path + ".draft", path):
        with suppress(FileNotFoundError):
            os.unlink(name)
