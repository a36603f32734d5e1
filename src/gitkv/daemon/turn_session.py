"""Handing out turns within a push session (spec/turns): the greeting, the wait, the objects that a
writer lacks.

They come with the turn, because a fetch would take another connection and another log-in while all
others wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import asyncssh

from gitkv.daemon.place import Place
from gitkv.daemon.serving import Serving
from gitkv.daemon.ssh_login import principal_of
from gitkv.errors import GitKvError
from gitkv.gateway.stargate import Stargate
from gitkv.gateway.turns import Turns
from gitkv.git.pack_between import pack_between
from gitkv.ledger.seek import read_ledger_commit
from gitkv.model.configuration import PushBounds
from gitkv.model.oid import COMMIT
from gitkv.model.refs import PRIVATE
from gitkv.model.verdict import FormError
from gitkv.wire.pkt_line import WireError
from gitkv.wire.receive_pack import CAPABILITIES, advertisement
from gitkv.wire.turn import PACK_BYTES_MAX, TurnRequest, objects, offer, waiting

TRANSACTIONS_MAX = 1000  # of a clone that lacks more, the fetch is not worth holding up the others


class Session(NamedTuple):
    """One client's conversation about pushes; `who`: the principal it logged in as; `bounds`: how
    long its parts may take.
    """

    process: asyncssh.SSHServerProcess[bytes]
    serving: Serving
    who: str
    place: Place
    bounds: PushBounds

    @property
    def stargate(self) -> Stargate:
        """The gateway it is with."""
        return self.serving.stargate


def greeting(stargate: Stargate) -> bytes:
    """All refs but Stargate's own, and where writers wait."""
    refs = stargate.gate.refs.read_all()
    shown = {ref: oid for ref, oid in refs.items() if not ref.startswith(PRIVATE)}
    turns = stargate.turns
    words = offer(turns.busy(), is_crowded=turns.arriving > 0)
    return advertisement(shown, b" ".join([CAPABILITIES, *words]))


@contextmanager
def arriving(turns: Turns) -> Iterator[None]:
    """While a client was greeted and has not answered."""
    turns.arriving += 1
    try:
        yield
    finally:
        turns.arriving -= 1


class Resting:
    """The sessions that wait for their client's next request, and can be ended at any time."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()
        self.is_over = False

    @contextmanager
    def rest(self) -> Iterator[None]:
        """To be entered by a session's own task."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            yield
        finally:
            self._tasks.discard(task)

    def end(self) -> None:
        """Ends them, and lets no session rest from now on."""
        self.is_over = True
        for task in self._tasks:
            task.cancel()


def may_stay(session: Session) -> bool:
    """Whether the key that opened the connection still opens it."""
    key_blob = session.process.get_extra_info("key_blob")
    principal = principal_of(session.stargate, key_blob)
    return principal is not None and principal.name == session.who


async def hand_out_turn(session: Session, asked: TurnRequest) -> bool:
    """Waits for the turn and hands it out; False when the client has left meanwhile. Raises
    WireError when it did not wait.
    """
    process, stargate = session.process, session.stargate
    gone = asyncio.ensure_future(process.stdin.read(1))
    try:
        comes = await session.place.take(
            asked.ns, lambda others: process.stdout.write(waiting(others)), gone
        )
        if gone.done() and gone.result():
            raise WireError("turn: bytes were sent before it came")
    finally:
        gone.cancel()
    if not comes:
        return False
    session.place.keep()
    loop = asyncio.get_running_loop()
    pack = await loop.run_in_executor(None, partial(_objects_for, session.serving, asked))
    process.stdout.write(objects(pack) + greeting(stargate))
    return True


def _objects_for(serving: Serving, asked: TurnRequest) -> bytes:
    """What a client lacks of the newest state; b"" when that is nothing, or too much, or cannot be
    told: then it fetches.
    """
    gate = serving.stargate.gate
    tip = gate.tip(asked.ns)
    if tip is None or not asked.haves:
        return b""
    try:
        base = read_ledger_commit(asked.haves[0], gate.objects.read).attestation
    except (FormError, GitKvError):
        return b""
    # A writer that is alone lacks no more than the receipt of its last write
    if base.ns != tip.ns or not tip.seq - TRANSACTIONS_MAX <= base.seq < tip.seq:
        return b""
    wants = [*tip.heads[:2], gate.watchlog_tip(tip), gate.policy().commit]
    kinds = gate.objects.kinds(asked.haves)
    haves = [oid for oid, kind in zip(asked.haves, kinds, strict=True) if kind == COMMIT]
    if set(wants) <= set(haves):
        return b""
    return pack_between(serving.git, haves, wants, PACK_BYTES_MAX)
