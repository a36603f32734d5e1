"""Writing through Stargate: build on what we trust while ssh connects, again if Stargate has moved
on, send, and believe only its answer.

A lost answer is resolved by looking for our commit at Stargate's tip, so no retry applies twice:
while a commit of ours may still be on its way, another one on the same base excludes it, and one on
a later base is made only after the look.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from gitkv.client.author import Author, require_signer
from gitkv.client.build import Built, build, unchanged
from gitkv.client.cutting import Values
from gitkv.client.draft import Draft
from gitkv.client.follow import adopt, advance, follow
from gitkv.client.freshness import forget_freshness
from gitkv.client.host import pauses
from gitkv.client.judge import objections
from gitkv.client.opening import call
from gitkv.client.push_line import LostAnswerError, Outcome, PushLine
from gitkv.client.replica import Replica
from gitkv.client.trust.memory import read_memory
from gitkv.client.trust.shown import (
    GoneBackError,
    NotVouchedError,
    Shown,
    Source,
    stargate_of,
    watchlog_name,
)
from gitkv.client.values import Written
from gitkv.errors import (
    AccessError,
    ConflictError,
    GitKvError,
    IntegrityError,
    KeyNotFoundError,
    NotLeaderError,
    RejectedError,
    ToolError,
    UnavailableError,
)
from gitkv.git.ancestry import is_ancestor
from gitkv.git.housekeeping import tidy_now_and_then
from gitkv.git.local_pack import PackStoring
from gitkv.git.ssh_pipe import SshPipe
from gitkv.ledger.compose import Tip
from gitkv.model.heads import Heads, heads_among
from gitkv.model.oid import Oid
from gitkv.model.refs import POLICY_REF, Ref, ledger_ref, watchlog_ref
from gitkv.model.verdict import CONFLICT, NOT_LEADER, Verdict, refuse
from gitkv.wire.answer_lines import Receipt

_ATTEMPTS = 10
_PAUSE_FIRST_S, _PAUSE_LONGEST_S = 0.05, 2.0
_STALE = "base.stale"
_REPLAYED = "transaction.replayed"


def write_team(replica: Replica, draft: Draft) -> Written:
    """One transaction through Stargate, rebuilt as often as another writer was faster.

    Raises ConflictError and KeyNotFoundError when the draft expects another state, RejectedError
    with Stargate's reasons, NotLeaderError, UnavailableError when Stargate cannot be reached or its
    answer stays unknown, IntegrityError when its history leaves the one we trust.
    """
    with Values(replica, draft) as values:
        values.cut_early()
        return _write(replica, _TeamWrite(replica, values))


def _write(replica: Replica, write: _TeamWrite) -> Written:
    problem: UnavailableError | None = None
    for _ in pauses(replica.host, _ATTEMPTS, _PAUSE_FIRST_S, _PAUSE_LONGEST_S):
        is_kept = False
        try:
            with write.line() as line:
                is_kept = line.is_kept
                written = write.attempt(line)
        except GoneBackError:
            if write.knew_it_before():
                raise
            # another command of this clone has written since Stargate was asked: what we trust is
            # newer than its greeting
        except AccessError as error:
            if not write.uncertain:
                raise _explained(replica, error) from None
            raise write.given_up(error) from None
        except UnavailableError as error:
            if not write.uncertain and not is_kept:
                raise  # nothing was sent: the caller decides whether to wait
            problem = error
        else:
            if written is not None:
                return written
    raise write.given_up(problem)


def _explained(replica: Replica, error: AccessError) -> AccessError:
    from gitkv.client.log_in import with_reason  # only on the way out

    return with_reason(replica, error)


class _Made(NamedTuple):
    """A transaction (None: nothing would change), or why there is none."""

    built: Built | None
    problem: ConflictError | KeyNotFoundError | None


class _Lost(NamedTuple):
    """A lost race: the tip we built on, and the one that was there instead, "" where the server did
    not say. In hex.
    """

    base: str = ""
    tip: str = ""


class _TeamWrite:
    """One write over all its attempts. `uncertain`: transactions of ours that were sent and whose
    answers were lost.
    """

    def __init__(self, replica: Replica, values: Values) -> None:
        self.source: Source = stargate_of(replica)
        self.uncertain: list[Built] = []
        self._known: Heads | None = (
            # What was trusted before the last connection; None when that began with the command
            None
        )
        self._lost = _Lost()
        self._entry: Oid | None = None  # the newest one that Stargate showed with our base
        self._replica = replica
        self._values = values
        self._author = Author(replica, values.draft.text)

    @contextmanager
    def line(self) -> Iterator[PushLine]:
        """The line of an earlier write, or a new one. It is kept where Stargate takes more on
        it.
        """
        line = self._replica.take_line() or PushLine(self._connect())
        try:
            yield line
        finally:
            if line.is_ready:
                self._replica.keep_line(line)
            else:
                line.close()

    def _connect(self) -> SshPipe:
        """The connection that began with the command, or a new one."""
        pipe = self._replica.take_pipe()
        if pipe is None:
            self._known = self._replica.heads()
            pipe = call(self.source.address, self._replica.host.env, self._replica.config_all)
        return pipe

    def knew_it_before(self) -> bool:
        """Whether what is trusted now was trusted before Stargate was asked the last time."""
        return self._known is not None and self._known == self._replica.heads()

    def attempt(self, line: PushLine) -> Written | None:
        """One connection's worth; None when another writer was faster."""
        require_signer(self._replica, self._author)
        guess = self._replica.tip() if self._replica.heads() is not None else None
        made = _Made(None, None)
        is_early = guess is not None and not line.is_kept and not self._lost.base
        if guess is not None and is_early:
            made = self._make(guess)  # while ssh connects
            from gitkv.client.trust.answered import prepare

            prepare()

        base = self._true_base(line, guess)
        landed = self._landed(base)
        if landed is None and not (is_early and base is guess):
            _discard(made)
            made = self._make(base)
        if landed is None and made.problem is not None:
            raise made.problem
        if landed is not None or made.built is None:
            _discard(made)
            line.leave()
            return landed or unchanged(base)
        self._check_policy(line, made.built)
        return self._push(line, made.built)

    def given_up(self, problem: GitKvError | None) -> UnavailableError | ConflictError:
        """Why no attempt came to an end; a conflict's `expected` is the last base, `actual` the tip
        that was there instead.
        """
        if not self.uncertain:
            text = f"{_ATTEMPTS} times in a row another writer was faster"
            return ConflictError(
                text, expected=self._lost.base, actual=self._lost.tip, hint="try again"
            )
        oid = self.uncertain[-1].tip.ledger.oid.hex()
        hint = f"it is there if this succeeds: git kv wait --oid {oid} --visible-on=stargate"
        return UnavailableError(
            f"whether the transaction {self._author.txn} was accepted is unknown: {problem}",
            hint=hint,
        )

    def _make(self, base: Tip) -> _Made:
        """The transaction on `base`, or what is against it: that counts only if `base` turns out to
        be the true tip.
        """
        try:
            built = build(self._replica, base, self._values, self._author)
            return _Made(built, None)
        except (ConflictError, KeyNotFoundError) as error:
            return _Made(None, error)

    def _check_policy(self, line: PushLine, built: Built) -> None:
        """Raises RejectedError, before anything is sent, for what Stargate's policy forbids. The
        one known here may be old: it is looked at again before that.
        """
        reasons = objections(self._replica, built)
        if reasons:
            follow(self._replica, self.source)
            reasons = objections(self._replica, built)
        if reasons:
            built.pack.close()
            line.leave()
            raise RejectedError(refuse(reasons))

    def _true_base(self, line: PushLine, guess: Tip | None) -> Tip:
        """Stargate's tip: `guess` itself when that is it, else fetched if need be and adopted.

        Raises IntegrityError when it does not lead on from ours.
        """
        refs: Mapping[Ref, Oid] = {} if line.is_kept else line.heads()
        if line.is_kept or self._needs_turn(line, refs, guess):
            refs = self._take_turn(line, guess)
        shown = self._shown(refs)
        self._entry = None
        if guess is not None and shown == guess.heads:
            self._entry = refs.get(watchlog_ref(guess.ns, guess.ledger.attestation.epoch))
            return guess
        if self._replica.has_commit(shown.ledger):
            receipts = refs.get(watchlog_name(self._replica, shown.ledger))
            state = Shown(shown, receipts, refs.get(POLICY_REF))
            needed = [*shown[:2], state.watchlog, state.policy]
            if all(oid is not None and self._replica.has_commit(oid) for oid in needed):
                return adopt(self._replica, state, self.source)
        return follow(self._replica, self.source)

    def _needs_turn(self, line: PushLine, refs: Mapping[Ref, Oid], guess: Tip | None) -> bool:
        """Whether others wait, or were faster than this write, or what is new would be fetched
        anyway: it comes with the turn.
        """
        if not line.offers_turns:
            return False
        if line.is_busy(self._replica.ns) or self._lost.base:
            return True
        return guess is not None and self._shown(refs) != guess.heads

    def _take_turn(self, line: PushLine, guess: Tip | None) -> Mapping[Ref, Oid]:
        """Waits for our turn, and stores what comes with it; where Stargate stands then."""
        memory = read_memory(self._replica, self.source.tracking)
        ours = () if guess is None else (*guess.heads[:2], memory.receipt, memory.policy)
        refs, pack = line.take_turn(self._replica.ns, [oid for oid in ours if oid is not None])
        if pack:
            from gitkv.git.received_pack import store_received  # only when there is something new

            store_received(self._replica.git, pack, self._shown(refs)[:2], self.source.name)
        return refs

    def _shown(self, refs: Mapping[Ref, Oid]) -> Heads:
        ns = self._replica.ns
        heads = heads_among(refs, ns)
        if heads is None:
            raise ToolError(
                f"Stargate has no namespace {ns}",
                hint="ask the operator which namespaces there are",
            )
        return heads

    def _landed(self, tip: Tip) -> Written | None:
        """The one of our uncertain transactions that Stargate did accept, if any."""
        for built in self.uncertain:
            oid = built.tip.ledger.oid
            if (
                built.tip.seq <= tip.seq
                and self._replica.has_commit(oid)
                and is_ancestor(self._replica.git, oid, tip.ledger.oid)
            ):
                return built.written()
        return None

    def _push(self, line: PushLine, built: Built) -> Written | None:
        try:
            line.send(built.transaction.updates, built.pack)
            with PackStoring(self._replica.git, built.pack) as storing:
                outcome = self._answer(line, built)
                if not outcome.verdict.accepted:
                    self._check_refusal(outcome.verdict)
                    self._lost = _lost_race(outcome.verdict, built)
                    return None
                if outcome.receipt is None and line.promises_receipts:
                    raise self._unproved(built, "Stargate's answer has no receipt")
                self._take_over(built, storing, outcome.receipt)
        finally:
            built.pack.close()
        tidy_now_and_then(self._replica.git, built.tip.seq)
        return built.written(outcome.receipt.watchlog.hex() if outcome.receipt else "")

    def _answer(self, line: PushLine, built: Built) -> Outcome:
        try:
            return line.answer()
        except LostAnswerError:
            self.uncertain.append(built)
            raise

    def _check_refusal(self, verdict: Verdict) -> None:
        """Returns when another attempt makes sense. Raises RejectedError or NotLeaderError when
        not.
        """
        codes = {entry.code for entry in verdict.reasons}
        if NOT_LEADER in codes:
            entry = next(entry for entry in verdict.reasons if entry.code == NOT_LEADER)
            raise NotLeaderError(entry.text(), hint=entry.hint)
        replayed = bool(self.uncertain) and any(
            entry.rule == _REPLAYED for entry in verdict.reasons
        )
        if CONFLICT not in codes and not replayed:
            raise RejectedError(verdict)

    def _take_over(self, built: Built, storing: PackStoring, receipt: Receipt | None) -> None:
        """What Stargate accepted, here too. It stands whether or not this clone has room for it, or
        a lock in the way: then we warn. Raises IntegrityError for a receipt that does not verify.
        """
        try:
            if receipt is not None:
                self._require_receipt(receipt, built)
            storing.finish()
            self._advance(built)
        except (ToolError, UnavailableError) as error:
            forget_freshness(self._replica)  # the next read must look, not answer from before it
            self._replica.host.warn(
                f"the transaction was accepted, but this clone does not have it yet: {error}"
            )

    def _require_receipt(self, receipt: Receipt, built: Built) -> None:
        from gitkv.client.trust.answered import require_receipt

        replica, tip = self._replica, built.tip
        try:
            try:
                require_receipt(replica, self.source, receipt, tip, self._entry)
            except NotVouchedError:  # signed under a policy that is newer than ours
                follow(replica, self.source)
                require_receipt(replica, self.source, receipt, tip, self._entry)
        except IntegrityError as error:
            why = f"Stargate's receipt {receipt.watchlog.hex()} does not verify: {error}"
            raise self._unproved(built, why) from None

    def _unproved(self, built: Built, why: str) -> IntegrityError:
        trusted = self._replica.tip()
        return IntegrityError(
            f"that {built.tip.ledger.oid.hex()} was accepted is not proved: {why}",
            hint=f"this clone trusts {trusted.ns}@{trusted.seq} {trusted.ledger.oid.hex()}, as "
            "before; tell the operator",
        )

    def _advance(self, built: Built) -> None:
        """Our transaction is the trusted tip now, unless another process of this clone has seen a
        later one.
        """
        advance(self._replica, built.base.heads, built.tip.heads, self.source)


def _lost_race(verdict: Verdict, built: Built) -> _Lost:
    """What Stargate expected is its tip."""
    tips = [
        entry.expected
        for entry in verdict.reasons
        if entry.rule == _STALE and entry.where == ledger_ref(built.tip.ns).decode()
    ]
    return _Lost(built.base.ledger.oid.hex(), tips[0] if tips else "")


def _discard(made: _Made) -> None:
    if made.built is not None:
        made.built.pack.close()
