"""A push over SSH: advertisement, commands, pack into quarantine, judgement, answer.

The bytes are moved here; what they mean is decided in `wire.push_grammar` and `gateway.receive`.
Blocking work runs in threads.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import NamedTuple, TypeVar

import asyncssh

from gitkv.daemon.ssh_connection import flush
from gitkv.errors import GitKvError, UnavailableError
from gitkv.gateway.deliver import tidy_up
from gitkv.gateway.push_limits import pack_limits
from gitkv.gateway.push_room import Share
from gitkv.gateway.receive import Answer, receive
from gitkv.gateway.stargate import Stargate
from gitkv.git.quarantine import PackRefused, Quarantine, QuarantinedPack
from gitkv.git.shortage import shortage_of
from gitkv.model.refs import PRIVATE
from gitkv.model.verdict import BROKEN, Verdict, printable, reason, refuse
from gitkv.ports import OutcomeUnknownError
from gitkv.wire import answer_lines
from gitkv.wire.pkt_line import NEED_DATA, WireError
from gitkv.wire.push_grammar import PolicyPush, TransactionPush, classify
from gitkv.wire.receive_pack import (
    KV_REPORT,
    SIDE_BAND_64K,
    CommandReader,
    ProposedCommands,
    advertisement,
    report,
)
from gitkv.wire.side_band import progress

CHUNK_BYTES = 1 << 16
IDLE_TIMEOUT_S = 60.0
# For the whole list: whoever sends a byte now and then shall not hold a connection for ever
COMMANDS_TIMEOUT_S = 300.0
UPLOAD_TIMEOUT_S = 600.0
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
    process: asyncssh.SSHServerProcess[bytes], stargate: Stargate, who: str
) -> int:
    """Exit code for the client's session."""
    started = time.monotonic()
    process.stdout.write(
        advertisement(
            {
                ref: oid
                for ref, oid in stargate.refs.read_all().items()
                if not ref.startswith(PRIVATE)
            }
        )
    )
    try:
        proposed = await asyncio.wait_for(_read_commands(process), COMMANDS_TIMEOUT_S)
    except TimeoutError:
        raise ConnectionAbortedError("the client trickles") from None
    except WireError as error:
        stargate.report("push.dropped", {"who": who, "why": str(error)})
        return 128
    if proposed is None or not proposed.command_count:
        return 0  # the client has nothing to push
    stargate.step("commands-read")
    push = classify(proposed)
    if isinstance(push, Verdict):
        answer, is_whole = Received(Answer(push), is_whole=False)
    else:
        with closing(stargate.room.share(who)) as share:
            answer, is_whole = await _receive(process, stargate, push, proposed.rest, share)
    stargate.step("judged")
    _say(process, proposed, answer)
    _log(stargate, who, push, answer, time.monotonic() - started)
    await flush(process)
    if not is_whole:
        await _drain_refused(process)
    return 0


async def _read_commands(process: asyncssh.SSHServerProcess[bytes]) -> ProposedCommands | None:
    """The command list; None when the client left without one. Raises WireError."""
    reader = CommandReader()
    begun = False
    while True:
        data = await _read(process)
        if not data:
            if begun:
                reader.finish()
            return None
        begun = True
        proposed = reader.feed(data)
        if proposed is not NEED_DATA:
            assert isinstance(proposed, ProposedCommands)
            return proposed


async def _receive(
    process: asyncssh.SSHServerProcess[bytes],
    stargate: Stargate,
    push: TransactionPush | PolicyPush,
    rest: bytes,
    share: Share,
) -> Received:
    quarantine: Quarantine | None = None
    is_whole = False
    try:
        limits = pack_limits(stargate, push)
        quarantine = Quarantine(stargate.git, limits, reserve=share.grow_to)
        pack = await _read_pack(process, quarantine, rest)
        is_whole = True
        stargate.step("quarantined")
        answer = await _in_thread(partial(receive, stargate, push, quarantine, pack))
    except PackRefused as error:
        expected = "a complete and well-formed pack within the limits"
        answer = Answer(
            refuse([reason(error.exit_code, "pack.refused", "pack", expected, str(error))])
        )
    except UnavailableError as error:
        if shortage_of(error):
            answer = _failed(stargate, error)
        else:
            expected = "an available gateway"
            answer = _cannot("stargate.unavailable", expected, str(error), "try again")
    except OutcomeUnknownError:
        raise ConnectionAbortedError("no answer is better than a wrong one") from None
    except (GitKvError, OSError, MemoryError, RuntimeError) as error:
        answer = _failed(stargate, error)
    finally:
        if quarantine is not None:
            tidy_up(stargate, quarantine.discard)
    return Received(answer, is_whole)


def _failed(stargate: Stargate, error: Exception) -> Answer:
    """The refusal when the gateway, and not the push, is to blame. A machine that is short of
    something may have it again in a moment.
    """
    short = shortage_of(error)
    stargate.report("push.failed", {"error": str(error) or type(error).__name__, "short_of": short})
    if short:
        hint = "try again later, and tell the operator"
        return _cannot("stargate.unavailable", "a machine with room to work", short, hint)
    if isinstance(error, RuntimeError):
        raise error  # a defect of ours
    return _cannot("stargate.failed", "its own state in order", str(error), "tell the operator")


def _cannot(rule: str, expected: str, got: str, hint: str) -> Answer:
    """The refusal of a gateway that cannot do its work."""
    return Answer(refuse([reason(BROKEN, rule, "stargate", expected, got, hint)]))


async def _read_pack(
    process: asyncssh.SSHServerProcess[bytes], quarantine: Quarantine, rest: bytes
) -> QuarantinedPack:
    """Feeds git until it has the whole pack. It ends by itself: the client keeps its side open for
    our answer.
    """
    data, ending = rest, None
    deadline = time.monotonic() + UPLOAD_TIMEOUT_S
    while True:
        if time.monotonic() > deadline:
            raise PackRefused(f"pack: it did not arrive within {UPLOAD_TIMEOUT_S:g} s")
        if data:
            await _in_thread(partial(quarantine.feed, data))
        if ending is None and quarantine.is_started:
            ending = asyncio.ensure_future(_in_thread(quarantine.wait_until_ended))
        reading = asyncio.ensure_future(_read(process))
        done, _ = await asyncio.wait(
            {reading, ending} if ending else {reading}, return_when=asyncio.FIRST_COMPLETED
        )
        if ending is not None and ending in done and reading not in done:
            reading.cancel()
            break
        data = reading.result()
        if not data:
            break
    return await _in_thread(quarantine.finish)


async def _read(process: asyncssh.SSHServerProcess[bytes]) -> bytes:
    """The next bytes, empty at the end. A client that stalls is dropped; no lock is held for it."""
    try:
        return await asyncio.wait_for(process.stdin.read(CHUNK_BYTES), IDLE_TIMEOUT_S)
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


def _log(stargate: Stargate, who: str, push: object, answer: Answer, seconds: float) -> None:
    fields: dict[str, object] = {"who": who, "seconds": round(seconds, 4)}
    if isinstance(push, TransactionPush):
        fields["ns"] = push.ns
    if answer.receipt is not None:
        tip = answer.receipt.tip
        attestation = tip.ledger.attestation
        fields |= {
            "seq": tip.seq,
            "set": attestation.keys_set,
            "del": attestation.keys_del,
            "ledger": tip.ledger.oid.hex(),
            "signers": list(answer.signers),
        }
    if answer.verdict.accepted:
        stargate.report("push.accepted" if answer.receipt else "policy.accepted", fields)
    else:
        fields |= {
            "exit": answer.verdict.exit_code,
            "reasons": [printable(entry.text()) for entry in answer.verdict.reasons],
        }
        stargate.report("push.refused", fields)


async def _in_thread(work: Callable[[], _T]) -> _T:
    return await asyncio.get_running_loop().run_in_executor(None, work)
