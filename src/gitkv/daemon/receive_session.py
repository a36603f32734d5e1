"""A push over SSH: advertisement, commands, pack into quarantine, judgement, answer.

The bytes are moved here; what they mean is decided in `wire.push_grammar` and `gateway.receive`.
Blocking work runs in threads.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from functools import partial
from typing import NamedTuple, TypeVar

import asyncssh

from gitkv.daemon.place import Place
from gitkv.daemon.serving import Serving
from gitkv.daemon.ssh_connection import flush
from gitkv.daemon.turn_session import (
    Resting,
    Session,
    arriving,
    greeting,
    hand_out_turn,
    may_stay,
)
from gitkv.errors import GitKvError, UnavailableError
from gitkv.gateway.pace import Pace
from gitkv.gateway.push_limits import pack_limits
from gitkv.gateway.push_room import Share
from gitkv.gateway.receive import Answer, receive, refuse_stale
from gitkv.gateway.telling import tidy_up
from gitkv.git.quarantine import PackRefused, Quarantine
from gitkv.git.shortage import shortage_of
from gitkv.model.configuration import PushBounds
from gitkv.model.event import (
    Event,
    PolicyAccepted,
    PushAccepted,
    PushDropped,
    PushFailed,
    PushRefused,
    Report,
)
from gitkv.model.verdict import BROKEN, Verdict, printable, reason, refuse
from gitkv.ports import OutcomeUnknownError, QuarantinedPack
from gitkv.wire import answer_lines
from gitkv.wire.pkt_line import NEED_DATA, Mark, WireError
from gitkv.wire.push_grammar import PolicyPush, TransactionPush, classify
from gitkv.wire.receive_pack import (
    KV_REPORT,
    SIDE_BAND_64K,
    CommandReader,
    ProposedCommands,
    report,
)
from gitkv.wire.side_band import progress
from gitkv.wire.turn import AGAIN, TurnRequest

CHUNK_BYTES = 1 << 16
REFUSED_DRAIN_BYTES_MAX = 64 << 20  # read past, so that a refused client gets to read its answer
REFUSED_DRAIN_S = 10.0

_T = TypeVar("_T")


class Received(NamedTuple):
    """A push that was answered. `is_whole`: its last byte was read, so that the client has nothing
    to send but its goodbye.
    """

    answer: Answer
    is_whole: bool


async def serve_push(
    process: asyncssh.SSHServerProcess[bytes],
    serving: Serving,
    who: str,
    resting: Resting,
    bounds: PushBounds,
) -> int:
    """Exit code for the client's session: one push, or as many as it asks for."""
    stargate = serving.stargate
    process.stdout.write(greeting(stargate))
    with closing(Place(stargate.turns, who, bounds.turn_s)) as place:
        session = Session(process, serving, who, place, bounds)
        try:
            with arriving(stargate.turns):
                asked = await _request(session)
            while await _serve_request(session, asked) and not resting.is_over:
                with nullcontext() if place.is_held else resting.rest():
                    asked = await _request(session)
                if not may_stay(session):
                    process.stderr.write(b"this key is not valid any more\n")
                    return 128
        except WireError as error:
            stargate.report(PushDropped(who, str(error)))
            return 128
    return 0


async def _request(session: Session) -> ProposedCommands | TurnRequest | None:
    """What the client asks for; None when it leaves. Raises WireError."""
    try:
        return await asyncio.wait_for(_read_request(session), session.bounds.commands_s)
    except TimeoutError:
        raise ConnectionAbortedError("the client trickles") from None


async def _serve_request(session: Session, asked: ProposedCommands | TurnRequest | None) -> bool:
    """Whether the client may ask for more. Raises WireError."""
    if isinstance(asked, TurnRequest):
        return await hand_out_turn(session, asked)
    if asked is None or not asked.command_count:
        return False  # the client has nothing to push
    started = time.monotonic()
    session.stargate.step("commands-read")
    push = classify(asked)
    answer, is_whole = await _judged(session, push, asked)
    session.place.close()
    session.stargate.step("judged")
    _say(session.process, asked, answer)
    _log(session, push, answer, time.monotonic() - started)
    await flush(session.process)
    if not is_whole:
        await _drain_refused(session.process)
    return is_whole and AGAIN in asked.capabilities


async def _judged(
    session: Session, push: TransactionPush | PolicyPush | Verdict, asked: ProposedCommands
) -> Received:
    if isinstance(push, Verdict):
        return Received(Answer(push), is_whole=False)
    # Known before its pack is read. A client that wants to stay needs its pack read to the end.
    stale = None if AGAIN in asked.capabilities else refuse_stale(session.stargate.gate, push)
    if stale is not None:
        return Received(stale, is_whole=False)
    with closing(session.stargate.room.share(session.who)) as share:
        return await _receive(session, push, asked.rest, share)


async def _read_request(session: Session) -> ProposedCommands | TurnRequest | None:
    """What the client asks for; None when it leaves. Raises WireError."""
    reader = CommandReader()
    begun = False
    session.place.limit()
    while True:
        data = await _read(session.process, session.bounds.idle_s)
        if not data:
            if begun:
                reader.finish()
            return None
        begun = True
        asked = reader.feed(data)
        if asked is not NEED_DATA:
            assert not isinstance(asked, Mark)
            return asked


async def _receive(
    session: Session, push: TransactionPush | PolicyPush, rest: bytes, share: Share
) -> Received:
    stargate, quarantine = session.stargate, None
    is_whole = False
    try:
        limits = pack_limits(stargate.gate.policy().policy, push)
        share.allowed_bytes = limits.pack_bytes_max
        quarantine = Quarantine(session.serving.git, limits, reserve=share.grow_to)
        pack = await _read_pack(session, quarantine, rest)
        is_whole = True
        stargate.step("quarantined")
        if isinstance(push, TransactionPush):
            await session.place.take(push.ns)
            session.place.keep()
        judging_s = session.bounds.judging_s
        judging = partial(receive, stargate.receiving, push, quarantine, pack, judging_s=judging_s)
        answer = await _in_thread(judging)
    except PackRefused as error:
        expected = "a complete and well-formed pack within the limits"
        answer = Answer(
            refuse([reason(error.exit_code, "pack.refused", "pack", expected, str(error))])
        )
    except UnavailableError as error:
        if shortage_of(error):
            answer = _failed(stargate.report, error)
        else:
            expected = "an available gateway"
            answer = _cannot("stargate.unavailable", expected, str(error), "try again")
    except OutcomeUnknownError:
        raise ConnectionAbortedError("no answer is better than a wrong one") from None
    except (GitKvError, OSError, MemoryError, RuntimeError) as error:
        answer = _failed(stargate.report, error)
    finally:
        if quarantine is not None:
            tidy_up(stargate.report, quarantine.discard)
    return Received(answer, is_whole)


def _failed(told: Report, error: Exception) -> Answer:
    """The refusal when the gateway, and not the push, is to blame. A machine that is short of
    something may have it again in a moment.
    """
    short = shortage_of(error)
    told(PushFailed(str(error) or type(error).__name__, short))
    if short:
        hint = "try again later, and tell the operator"
        return _cannot("stargate.unavailable", "a machine with room to work", short, hint)
    if isinstance(error, RuntimeError):
        raise error  # a defect of ours
    return _cannot("stargate.failed", "its own state in order", str(error), "tell the operator")


def _cannot(rule: str, expected: str, got: str, hint: str) -> Answer:
    """The refusal of a gateway that cannot do its work."""
    return Answer(refuse([reason(BROKEN, rule, "stargate", expected, got, hint)]))


async def _read_pack(session: Session, quarantine: Quarantine, rest: bytes) -> QuarantinedPack:
    """Feeds git until it has the whole pack. It ends by itself: the client keeps its side open for
    our answer.
    """
    data, ending, size = rest, None, 0
    session.place.limit()
    bounds = session.bounds
    pace = Pace(bounds.slow_s, bounds.least_bytes)
    while True:
        if data:
            size += len(data)
            session.place.allow(size)
            await _in_thread(partial(quarantine.feed, data))
        if ending is None and quarantine.is_started:
            ending = asyncio.ensure_future(_in_thread(quarantine.wait_until_ended))
        asked_s = time.monotonic()
        reading = asyncio.ensure_future(_read(session.process, bounds.idle_s))
        done, _ = await asyncio.wait(
            {reading, ending} if ending else {reading}, return_when=asyncio.FIRST_COMPLETED
        )
        if ending is not None and ending in done and reading not in done:
            reading.cancel()
            break
        data = reading.result()
        if not data:
            break
        if not pace.is_kept(time.monotonic() - asked_s, len(data)):
            raise PackRefused(
                f"pack: it came more slowly than {bounds.least_bytes} bytes a second, "
                f"for more than {bounds.slow_s:g} s"
            )
    return await _in_thread(quarantine.finish)


async def _read(process: asyncssh.SSHServerProcess[bytes], idle_s: float) -> bytes:
    """The next bytes, empty at the end. A client that stalls is dropped; no lock is held for it."""
    try:
        return await asyncio.wait_for(process.stdin.read(CHUNK_BYTES), idle_s)
    except TimeoutError:
        raise ConnectionAbortedError("the client stalled") from None


async def _drain_refused(process: asyncssh.SSHServerProcess[bytes]) -> None:
    deadline, taken = time.monotonic() + REFUSED_DRAIN_S, 0
    try:
        while taken < REFUSED_DRAIN_BYTES_MAX:
            data = await asyncio.wait_for(
                process.stdin.read(CHUNK_BYTES), max(deadline - time.monotonic(), 0.01)
            )
            if not data:
                return
            taken += len(data)
    except TimeoutError:
        return


def _say(
    process: asyncssh.SSHServerProcess[bytes], proposed: ProposedCommands, answer: Answer
) -> None:
    """Reasons or receipt on band 2, then the report git needs."""
    sideband, machine = SIDE_BAND_64K in proposed.capabilities, KV_REPORT in proposed.capabilities
    verdict, receipt = answer.verdict, answer.receipt
    if sideband and not verdict.accepted:
        process.stdout.write(progress(answer_lines.refused(verdict, machine)))
    if sideband and receipt is not None:
        tip = receipt.tip
        shown = answer_lines.Receipt(tip.seq, tip.ledger.oid, receipt.watchlog, receipt.entry)
        process.stdout.write(progress(answer_lines.accepted(tip.ns, shown, machine)))
    why = verdict.reasons[0].text().encode() if verdict.reasons else None
    broken = why if verdict.exit_code == BROKEN else None
    process.stdout.write(
        report(broken or b"ok", [(command.ref, why) for command in proposed.commands], sideband)
    )


def _log(session: Session, push: object, answer: Answer, seconds: float) -> None:
    who, seconds = session.who, round(seconds, 4)
    ns = push.ns if isinstance(push, TransactionPush) else ""
    session.stargate.report(_event_of(who, seconds, ns, answer))


def _event_of(who: str, seconds: float, ns: str, answer: Answer) -> Event:
    if not answer.verdict.accepted:
        reasons = tuple(printable(entry.text()) for entry in answer.verdict.reasons)
        return PushRefused(who, seconds, ns, answer.verdict.exit_code, reasons)
    if answer.receipt is None:
        return PolicyAccepted(who, seconds)
    tip = answer.receipt.tip
    return PushAccepted(
        who,
        seconds,
        ns,
        tip.seq,
        tip.ledger.attestation.keys_set,
        tip.ledger.attestation.keys_del,
        tip.ledger.oid.hex(),
        answer.signers,
    )


async def _in_thread(work: Callable[[], _T]) -> _T:
    return await asyncio.get_running_loop().run_in_executor(None, work)
