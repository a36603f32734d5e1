"""A Stargate's judgement without a disk: real rules, real signatures, stores in memory, and a clock
that a test sets.
"""

from __future__ import annotations

from support.accepted_in_memory import NS, Accepted, Keyed

from gitkv.gateway.gate import Gate
from gitkv.gateway.judge import JudgedPush, Judging, Pushed, judge_transaction
from gitkv.gateway.known import KnownTransactions
from gitkv.gateway.own_key import OwnKey
from gitkv.gateway.policy_push import judge_policy_push
from gitkv.ledger.plan import Changes
from gitkv.model.heads import NOWHERE
from gitkv.model.refs import POLICY_REF, RefUpdate
from gitkv.model.verdict import Verdict
from gitkv.sign.verifier import SignatureVerifier
from gitkv.testing.memory import MemoryRefStore
from gitkv.wire.push_grammar import TransactionPush


class SetClock:
    """A clock that stands where it is put; `ticks` it makes when it is read."""

    def __init__(self, now_s: int, ticks_s: int = 0) -> None:
        self.now, self._ticks_s = now_s, ticks_s

    def now_s(self) -> int:
        self.now += self._ticks_s
        return self.now


class JudgingGate:
    """Judges pushes on top of an accepted history; what it accepts is for the test to add."""

    def __init__(self, team: Accepted, clock: SetClock) -> None:
        self.team, self.clock = team, clock

    def push(self, changes: Changes, by: Keyed, time_s: int) -> JudgedPush:
        """Judges a transaction and, when it is accepted, adds it with its receipt."""
        team = self.team
        base, before = team.tip, team.oids()
        made = team.make(changes, by, time_s)
        sent = tuple(sorted(team.oids() - before))
        judging = self._judging()
        push = TransactionPush(NS, made.before or NOWHERE, made.tip.heads)
        pushed = Pushed(push, team.store, sent)
        judged = judge_transaction(judging, pushed, judging.gate.policy())
        assert team.tip == base
        if judged.verdict.accepted:
            team.now_s = judged.now_s
            team.add_tip(made.tip)
        return judged

    def push_policy(self, text: bytes, by: Keyed, time_s: int) -> Verdict:
        """Judges a policy change; a refused one is taken back."""
        judging, before = self._judging(), self.team.policies[-1]
        oid = self.team.add_policy(text, by, time_s)
        move = RefUpdate(POLICY_REF, before, oid)
        key = OwnKey(self.team.gateway.signer, judging.verifier, self.clock)
        gate = judging.gate
        verdict = judge_policy_push(gate, key, move, self.team.store, gate.policy())
        if not verdict.accepted:
            self.team.policies.pop()
        return verdict

    def _judging(self) -> Judging:
        tip = self.team.tip
        refs = {
            POLICY_REF: self.team.policies[-1],
            **tip.heads.by_ref(NS),
        }
        gate = Gate(self.team.store, MemoryRefStore(refs))
        verifier = SignatureVerifier("/nowhere", {})
        return Judging(gate, KnownTransactions(), verifier, self.clock, lambda name: None)
