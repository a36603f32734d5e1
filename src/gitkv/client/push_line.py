"""One connection to Stargate's receiving side: what it advertises, what we send, what it answers.

ssh was started before the line is made, so its handshake passes while a transaction is built. A
Stargate that hands out turns (spec/turns) takes many transactions on one line. What an answer means
is left to `team.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gitkv.errors import GitKvError, ToolError, UnavailableError
from gitkv.git.pack import Pack
from gitkv.git.ssh_pipe import SshPipe
from gitkv.model.oid import Oid
from gitkv.model.refs import Namespace, Ref, RefUpdate
from gitkv.model.verdict import BROKEN, CONFLICT, Reason, Verdict, reason, refuse
from gitkv.version import __version__
from gitkv.wire.answer_lines import Receipt, parse_line
from gitkv.wire.pkt_line import FLUSH_PKT, Mark, WireError
from gitkv.wire.receive_pack import ATOMIC, KV_REPORT, REPORT_STATUS, SIDE_BAND_64K
from gitkv.wire.send_pack import (
    AdvertisementReader,
    Answer,
    AnswerReader,
    RemoteRefusal,
    TruncatedAnswer,
    commands,
)
from gitkv.wire.turn import AGAIN, TURN, TurnReader, is_busy, request

_READ_BYTES = 1 << 16
_NEEDED = (REPORT_STATUS, ATOMIC)
_LIKED = (REPORT_STATUS, SIDE_BAND_64K, ATOMIC, KV_REPORT, b"object-format=sha1")
_OK = b"ok"
# What stock git says to the loser of a race; it has no machine-readable reasons.
_RACE_WORDS = (
    b"failed to update ref",
    b"failed to lock",
    b"incorrect old value",
    b"fetch first",
    b"non-fast-forward",
    b"atomic ",
    b"reference already exists",
    b"cannot lock ref",
)


class LostAnswerError(UnavailableError):
    """The transaction was sent and no whole answer came back: it may or may not have been
    accepted.
    """


class Outcome(NamedTuple):
    """A definite answer: refused with reasons, or accepted, with a receipt from a Stargate."""

    verdict: Verdict
    receipt: Receipt | None


class PushLine:
    """Close it. `heads` first, then either `leave` or `send` and `answer`. `take_turn`
    may come before each `send`, and has to from the second on.
    """

    def __init__(self, pipe: SshPipe) -> None:
        """`pipe`: started on its way, perhaps not connected yet."""
        self._pipe = pipe
        self._capabilities: frozenset[bytes] = frozenset()
        self._broken: GitKvError | None = None
        self.is_ready = False  # an answer has come, and another transaction may follow
        self.is_kept = False  # it was used before

    @property
    def offers_turns(self) -> bool:
        """Whether the server hands them out, as far as it has said."""
        return TURN in self._capabilities and AGAIN in self._capabilities

    def is_busy(self, ns: Namespace) -> bool:
        """Whether the greeting said that others write in this namespace."""
        return is_busy(ns, self._capabilities)

    def heads(self) -> dict[Ref, Oid]:
        """The refs that Stargate has. Raises UnavailableError when it cannot be reached,
        AccessError when it refuses us, ToolError when it is not a server that git-kv can use.
        """
        try:
            return self._greeting(b"")
        except RemoteRefusal as refusal:
            raise UnavailableError(f"Stargate refused the connection: {refusal}") from None
        except WireError as error:
            raise ToolError(
                f"Stargate's greeting is not git's protocol: {error}",
                hint="check remote.<name>.pushurl",
            ) from None

    def take_turn(self, ns: Namespace, haves: Sequence[Oid]) -> tuple[dict[Ref, Oid], bytes]:
        """Waits until it is our turn: the refs at that moment, and a thin pack of what leads there
        from `haves`, b"" when there is none. Raises UnavailableError when the line is broken.
        """
        self.is_ready = False
        reader = TurnReader()
        try:
            self._pipe.write(request(ns, haves))
            while isinstance(pack := reader.feed(self._some()), Mark):
                pass
            return self._greeting(reader.take_rest()), pack
        except WireError as error:
            raise UnavailableError(f"Stargate gave no turn: {error}", hint="try again") from None

    def _greeting(self, begun: bytes) -> dict[Ref, Oid]:
        reader = AdvertisementReader()
        shown = reader.feed(begun)
        while isinstance(shown, Mark):
            shown = reader.feed(self._some())
        self._capabilities = shown.capabilities
        missing = [word.decode() for word in _NEEDED if word not in shown.capabilities]
        if missing:
            raise ToolError(
                f"the server cannot take a transaction: it does not offer {', '.join(missing)}"
            )
        return shown.refs

    @property
    def promises_receipts(self) -> bool:
        """Whether an acceptance must come with a receipt."""
        return {KV_REPORT, SIDE_BAND_64K} <= self._capabilities

    def leave(self) -> None:
        """Says that nothing will be pushed."""
        try:
            self._pipe.write(FLUSH_PKT)
            self._pipe.close_write()
        except GitKvError:
            pass  # it left first

    def send(self, updates: Sequence[RefUpdate], pack: Pack) -> None:
        """Sends the whole transaction. A connection that breaks is told by `answer`: the server may
        have said why before.
        """
        wanted = [word for word in _LIKED if word in self._capabilities]
        if self.offers_turns:
            wanted.append(AGAIN)
        wanted.append(b"agent=git-kv/" + __version__.encode())
        try:
            self._pipe.write(commands(updates, wanted))
            for chunk in pack.chunks():
                self._pipe.write(chunk)
            if not self.offers_turns:
                self._pipe.close_write()
        except GitKvError as error:
            self._broken = error

    def answer(self) -> Outcome:
        """Waits for the answer. Raises LostAnswerError when it did not arrive as a whole."""
        reader = AnswerReader(SIDE_BAND_64K in self._capabilities)
        lines: list[bytes] = []
        try:
            while not reader.is_over and (data := self._pipe.read(_READ_BYTES)):
                lines += reader.feed(data)
            outcome = _outcome(reader.finish(), lines)
            self.is_ready = self.offers_turns and reader.is_over and self._broken is None
            return outcome
        except TruncatedAnswer as error:
            why = str(self._broken or error)
        except (WireError, UnavailableError) as error:
            why = str(error)
        raise LostAnswerError(f"Stargate's answer was lost: {why}")

    def is_over(self) -> bool:
        """Whether Stargate has hung up, as far as it is known here without waiting."""
        return self._pipe.is_over()

    def let_go(self) -> None:
        """To be called in a forked process: the line goes on for the parent alone."""
        self._pipe.let_go()

    def close(self) -> None:
        """Ends the connection."""
        self._pipe.close()

    def _some(self) -> bytes:
        return self._pipe.read(_READ_BYTES) or self._pipe.read_exactly(
            1
        )  # the latter knows how to say why nothing came


def _outcome(answer: Answer, lines: list[bytes]) -> Outcome:
    """Raises WireError when the machine lines are malformed."""
    said = [parse_line(line) for line in lines]
    receipts = [entry for entry in said if isinstance(entry, Receipt)]
    if (
        answer.unpack == _OK
        and answer.results
        and all(why is None for why in answer.results.values())
    ):
        return Outcome(Verdict(), receipts[-1] if receipts else None)
    reasons = [entry for entry in said if isinstance(entry, Reason)]
    return Outcome(refuse(reasons or _plain_reasons(answer)), None)


def _plain_reasons(answer: Answer) -> list[Reason]:
    """The reasons of a server that gives them for people only."""
    if answer.unpack != _OK:
        return [reason(BROKEN, "push.unpack", "pack", "ok", answer.unpack)]
    refused = [(ref, why) for ref, why in answer.results.items() if why is not None]
    if not refused:
        return [reason(BROKEN, "push.report", "answer", "a result for each ref", "none")]
    return [
        reason(CONFLICT if _is_race(why) else BROKEN, "push.refused", ref, "ok", why)
        for ref, why in refused
    ]


def _is_race(why: bytes) -> bool:
    return any(word in why for word in _RACE_WORDS)
