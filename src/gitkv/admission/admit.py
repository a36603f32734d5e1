"""Admission: may this ledger commit follow that tip? Constant time in the number of keys (O(height)
where prefixes are limited).

Everything a signature covers is compared with what was pushed: position, roots, epoch, derived
index commit. Whether the trees hold what the rules allow is the deep audit's question (`audit`),
except for prefixes: equal ids outside the writer's ranges prove those.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gitkv.ledger.compose import Tip, chunks_after, index_facts
from gitkv.ledger.ordered_tree import OrderedTree
from gitkv.ledger.roots import open_ledger
from gitkv.ledger.seek import LedgerCommit, Load, jump_target
from gitkv.ledger.tree_diff import Difference, Span, WorkLimitError, differences
from gitkv.model.commit import CLOCK_SKEW_MAX_S, Commit, index_commit
from gitkv.model.identity import Signature
from gitkv.model.key import decode_name
from gitkv.model.oid import Oid
from gitkv.model.policy import Policy, Principal
from gitkv.model.refs import Namespace, index_ref, ledger_ref
from gitkv.model.verdict import BROKEN, CONFLICT, INTEGRITY, POLICY, FormError, Reason, reason
from gitkv.policy.rules import allowed_ranges, judge_identity, judge_signature

_NODES_PER_EDGE = (
    96  # nodes opened at one end of a range: height times the few that a shifted cut rewrites
)
_VIOLATIONS_SHOWN = 3


class Candidate(NamedTuple):
    """A pushed ledger commit with what the adapters found out about it. `index_oid` is the index
    commit pushed beside it, `chunks_oid` the chunk commit that stands there then, None for none.
    """

    ledger: LedgerCommit
    index_oid: Oid
    signature: Signature
    chunks_oid: Oid | None = None


class Situation(NamedTuple):
    """What a candidate is judged by. `txn_known` tells whether a transaction id was accepted
    before; `now_s`: the judge's clock; `past_s` tells a moment that is over for certain, 0 when
    none is known.
    """

    ns: Namespace
    tip: Tip
    policy: Policy
    now_s: int
    txn_known: Callable[[str], bool]
    past_s: Callable[[], int] = lambda: 0


class Admission(NamedTuple):
    """Every reason against a candidate; none means admitted, in the name of `principal` (None where
    signatures are optional).
    """

    reasons: list[Reason]
    principal: Principal | None


def admit(candidate: Candidate, situation: Situation, load: Load) -> Admission:
    """Judges one ledger commit against the tip it claims to follow."""
    ns, tip, policy = situation.ns, situation.tip, situation.policy
    ledger = candidate.ledger
    principal, reasons = judge_signature(policy, candidate.signature, _where(ns, ledger.oid))
    now_s, past_s = situation.now_s, situation.past_s
    reasons += judge_commit(ledger.commit, tip.ledger.commit, now_s, past_s)
    reasons += judge_identity(policy, principal, ledger.commit.identity().email)
    reasons += _judge_position(ledger, tip, ns)
    if situation.txn_known(ledger.attestation.txn):
        reasons.append(
            reason(
                INTEGRITY,
                "transaction.replayed",
                _where(ns, ledger.oid),
                "a transaction id not used before",
                ledger.attestation.txn,
            )
        )
    if reasons:
        return Admission(reasons, principal)
    reasons += _judge_attestation(candidate, tip, load)
    if not reasons:
        reasons += _judge_reach(candidate, situation, principal, load)
    return Admission(reasons, principal)


def judge_commit(
    commit: Commit, parent: Commit, now_s: int, past_s: Callable[[], int] = lambda: 0
) -> list[Reason]:
    """One parent, one identity, a believable time (spec/attestation 1.1 to 1.3)."""
    reasons = []
    if len(commit.parents) != 1:
        reasons.append(
            reason(
                POLICY, "commit.parents", "ledger", "exactly one parent", f"{len(commit.parents)}"
            )
        )
    if commit.author != commit.committer:
        reasons.append(
            reason(
                POLICY,
                "commit.identity",
                "author",
                commit.committer,
                commit.author,
                "author and committer must be the same line",
            )
        )
    try:
        seconds, parent_seconds = commit.identity().seconds, parent.identity().seconds
        reasons += judge_time(seconds, parent_seconds, now_s, past_s=past_s)
    except FormError as error:
        return [*reasons, error.reason]
    return reasons


def judge_time(
    seconds: int,
    parent_seconds: int,
    now_s: int,
    where: str = "committer",
    past_s: Callable[[], int] = lambda: 0,
) -> list[Reason]:
    """Whether a commit's time is near its parent's or after it, and not ahead of the judge's clock
    (spec/attestation 1.3). All in seconds since 1970; `past_s` as in Situation.

    A clock that has not reached what is past cannot say that a commit is ahead.
    """
    earliest, latest = parent_seconds - CLOCK_SKEW_MAX_S, now_s + CLOCK_SKEW_MAX_S
    past = earliest - CLOCK_SKEW_MAX_S
    if seconds > latest:
        past = max(past, past_s())
    if now_s < past:
        hint = "the commit is not at fault: set the clock of the machine that judges, Stargate's"
        expected = f"a clock at {past} or later (seconds since 1970)"
        return [reason(BROKEN, "clock.behind", "the judge's clock", expected, str(now_s), hint)]
    if not earliest <= seconds <= latest:
        expected = f"between {earliest} and {latest} (seconds since 1970; it is {now_s} here)"
        hint = "check the clock of the machine that committed, and Stargate's"
        return [reason(POLICY, "commit.time", where, expected, str(seconds), hint)]
    return []


def _judge_position(ledger: LedgerCommit, tip: Tip, ns: Namespace) -> list[Reason]:
    said, where = ledger.attestation, _where(ns, ledger.oid)
    if said.ns != ns:
        return [reason(INTEGRITY, "attestation.namespace", where, ns, said.ns)]
    parents = ledger.commit.parents
    if len(parents) == 1 and said.base != parents[0]:
        return [reason(INTEGRITY, "attestation.base", where, parents[0].hex(), _hex(said.base))]
    if parents and parents[0] != tip.ledger.oid:
        hint = "fetch, rebuild the transaction on the new tip, and push again"
        return [
            reason(
                CONFLICT, "base.stale", ledger_ref(ns), tip.ledger.oid.hex(), parents[0].hex(), hint
            )
        ]
    return []


def _judge_attestation(candidate: Candidate, tip: Tip, load: Load) -> list[Reason]:
    ledger, before = candidate.ledger, tip.ledger
    said = ledger.attestation
    derived, _ = index_commit(index_facts(ledger, tip.index_oid))
    made = chunks_after(ledger, tip)
    chunks = tip.chunks_oid if made is None else made[0]
    checks = (
        ("attestation.base-tree", before.commit.tree.hex(), _hex(said.base_tree)),
        ("attestation.seq", str(tip.seq + 1), str(said.seq)),
        ("attestation.jump", jump_target(before, load).hex(), _hex(said.jump)),
        ("attestation.epoch", before.attestation.epoch, said.epoch),
        ("index.commit", derived.hex(), candidate.index_oid.hex()),
        ("chunks.commit", _hex(chunks), _hex(candidate.chunks_oid)),
    )
    where = _where(tip.ns, ledger.oid)
    reasons = [
        reason(INTEGRITY, rule, where, expected, got)
        for rule, expected, got in checks
        if expected != got
    ]
    if said.keys_set + said.keys_del == 0:
        reasons.append(
            reason(POLICY, "transaction.empty", where, "at least one key set or deleted", "none")
        )
    return reasons


def _judge_reach(
    candidate: Candidate, situation: Situation, principal: Principal | None, load: Load
) -> list[Reason]:
    """Nothing outside the writer's ranges differs: compared along the edges of the ranges only."""
    tip, ledger = situation.tip, candidate.ledger
    rules = situation.policy.namespace(situation.ns)
    keys = ledger.attestation.keys_set + ledger.attestation.keys_del
    if rules is not None and keys > rules.keys_max:
        return [
            reason(
                POLICY,
                "transaction.keys",
                _where(tip.ns, ledger.oid),
                f"at most {rules.keys_max} keys",
                str(keys),
            )
        ]
    spans = allowed_ranges(situation.policy, situation.ns, principal.name if principal else None)
    if not spans:
        who = principal.name if principal else "an unsigned commit"
        return [
            reason(
                POLICY,
                "writer.unknown",
                index_ref(tip.ns),
                "a writer of this namespace",
                who,
                "ask an admin to add you to .kv/policy.yaml",
            )
        ]
    if spans == ((b"", None),):
        return []
    try:
        before, after = (
            open_ledger(tip.ledger.commit.tree, load),
            open_ledger(ledger.commit.tree, load),
        )
        pairs = zip(before, after, strict=True)
        return [entry for old, new in pairs for entry in _outside(old, new, spans)]
    except FormError as error:
        return [error.reason]


def _outside(before: OrderedTree, after: OrderedTree, spans: tuple[Span, ...]) -> list[Reason]:
    found: list[Difference] = []
    try:
        for difference in differences(
            before, after, left_out=spans, nodes_max=_NODES_PER_EDGE * (len(spans) + 1)
        ):
            found.append(difference)
            if len(found) == _VIOLATIONS_SHOWN:
                break
    except WorkLimitError:
        return [
            reason(
                INTEGRITY,
                "tree.shape",
                "ordered tree",
                "the same nodes outside the writer's prefixes",
                "too many other ones",
            )
        ]
    owned = ", ".join(span[0].decode("ascii") for span in spans[:8])
    return [
        reason(
            POLICY,
            "prefix.not-owned",
            _key(found_one.name),
            f"a key that starts with one of: {owned}",
            _key(found_one.name),
        )
        for found_one in found
    ]


def _key(name: bytes) -> str:
    try:
        return decode_name(name)
    except ValueError:
        return name.decode("ascii", "backslashreplace")


def _where(ns: Namespace, oid: Oid) -> str:
    return f"refs/kv/{ns} commit {oid.hex()[:12]}"


def _hex(oid: Oid | None) -> str:
    return "-" if oid is None else oid.hex()
