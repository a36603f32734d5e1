"""Following others: what they show is fetched, proved by receipts, and adopted when it leads on
from what this clone trusts.

A mirror may lag. It may not go back to before what it has shown, and nobody may show a history
that leaves the one we trust. What proves a state is left to `trust/`.
"""

from __future__ import annotations

import os

from gitkv.client.freshness import mark_fresh
from gitkv.client.host import pauses
from gitkv.client.replica import Replica, TornPairError
from gitkv.client.trust.memory import (
    POLICY_TRUSTED,
    Memory,
    change,
    read_memory,
    shown_ref,
    written_ref,
)
from gitkv.client.trust.receipt import receipt_ref
from gitkv.client.trust.shown import (
    GoneBackError,
    NotVouchedError,
    Shown,
    Source,
    fetch_shown,
)
from gitkv.errors import BusyError, IntegrityError, UnavailableError
from gitkv.git.ancestry import is_ancestor
from gitkv.ledger.compose import Tip
from gitkv.model.heads import Heads
from gitkv.model.oid import COMMIT, Oid
from gitkv.model.refs import RefUpdate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gitkv.client.trust.proof import Proof

REPAIR = "to drop what no receipt proves: git kv remote repair (it keeps it under refs/kv-rescue)"

_MOVES_MAX = 20
_FETCHES_MAX = 8


def follow(replica: Replica, source: Source) -> Tip:
    """Fetches a source's tip and adopts what receipts cover of it, if it leads forward; the trusted
    tip after that.

    Raises IntegrityError for a rewound, forked or unproved history, UnavailableError when the
    source cannot be reached.
    """
    problem: IntegrityError | None = None
    for _ in pauses(replica.host, _FETCHES_MAX, 0.05, 1.0):
        known = _known(replica, source)
        try:
            tip = adopt(replica, fetch_shown(replica, source), source)
        except (
            TornPairError
        ) as error:  # read while the host was moving its refs: only a pair that stays is wrong
            problem = error
        except GoneBackError as error:
            if _known(replica, source) == known:
                raise
            problem = error  # another command of this clone has seen more since we asked
        else:
            mark_fresh(replica)
            return tip
    assert problem is not None
    raise problem


def adopt(replica: Replica, shown: Shown, source: Source) -> Tip:
    """The trusted tip after what `source` showed was taken into account: moved forward, or kept
    when the source lags. What it takes must be here.

    Raises IntegrityError for what receipts do not prove, a history that leaves ours, or an
    authority that lags behind what we trust, UnavailableError when the trusted refs stay locked.
    """
    busy: BusyError | None = None
    for _ in range(_MOVES_MAX):
        memory = read_memory(replica, source.tracking)
        trusted = replica.heads()
        is_shown = trusted is not None and trusted[:2] == shown.heads[:2]
        if trusted is not None and is_shown and _is_settled(replica, shown, memory, source):
            return replica.read_pair(trusted)
        proof = prove_shown(replica, shown, memory, source)
        try:
            if _take_over(replica, source, memory, trusted, proof):
                if proof.gap:
                    raise NotVouchedError(
                        f"{source.name} shows what no receipt covers: {proof.gap}",
                        hint="what receipts cover was adopted, and no more",
                    )
                return replica.tip()
        except BusyError as error:
            busy = error
        replica.host.sleep(0.01)  # another process moves the same refs
    raise busy or UnavailableError(f"the refs of {replica.ns} are busy", hint="try again")


def advance(replica: Replica, before: Heads, ours: Heads, source: Source) -> None:
    """Moves the trusted heads from `before` to a transaction of ours that an authority has accepted
    just now, unless they have passed it. Its receipt is verified; the next refresh brings it.

    Raises IntegrityError when they are elsewhere, UnavailableError when they stay locked.
    """
    trusted: Heads | None = before
    for _ in range(_MOVES_MAX):
        memory = read_memory(replica, source.tracking)
        written = change(written_ref(replica.ns), memory.written, ours.ledger)
        if replica.move(trusted, ours, written):
            return
        trusted = replica.heads()  # another process of this clone has moved them
        may_lag = source._replace(is_authority=False)
        if trusted is not None and not leads_on(replica, trusted, ours, memory, may_lag):
            return
        replica.host.sleep(0.01)
    raise UnavailableError(f"the refs of {replica.ns} are busy", hint="try again")


def prove_shown(replica: Replica, shown: Shown, memory: Memory, source: Source) -> Proof:
    """What receipts prove of it. Raises IntegrityError, naming the source, and PolicyError."""
    from gitkv.client.trust.judge import judge  # only when there is something new

    return judge(replica, shown, memory, source)


def _known(replica: Replica, source: Source) -> tuple[Heads | None, Memory]:
    return replica.heads(), read_memory(replica, source.tracking)


def _is_settled(replica: Replica, shown: Shown, memory: Memory, source: Source) -> bool:
    """Whether the heads that are shown and trusted are covered by the receipt that is, too: then
    there is nothing to prove.
    """
    if source.pin or memory.policy is None or memory.receipt is None:
        return False
    if shown.watchlog != memory.receipt:
        return False
    if shown.policy not in (None, memory.policy):
        return False
    if not source.is_authority and memory.shown != memory.receipt:
        return False
    entry = replica.load(memory.receipt, COMMIT)  # proved when it was adopted
    said = f"\nKV-Ledger: {shown.heads.ledger.hex()}\nKV-Index: {shown.heads.index_oid.hex()}\n"
    return said.encode() in entry


def _take_over(
    replica: Replica, source: Source, memory: Memory, trusted: Heads | None, proof: Proof
) -> bool:
    """Moves what is trusted as far as the proof and the heads allow; False when another process has
    moved it meanwhile.
    """
    _adopt_policy(replica, memory, proof)
    heads = proof.heads
    leads = trusted is None or leads_on(replica, trusted, heads, memory, source)
    updates = _memory_updates(replica, source, memory, proof)
    if trusted is not None and not leads:
        _require_reason(replica, trusted.ledger, memory)
    if not leads or trusted == heads:
        return replica.move_refs(updates)
    replica.read_pair(heads)
    return replica.move(trusted, heads, updates)


def _memory_updates(
    replica: Replica, source: Source, memory: Memory, proof: Proof
) -> list[RefUpdate]:
    newest = proof.receipt.oid
    updates = []
    if proof.is_news:
        updates += change(receipt_ref(replica.ns), memory.receipt, newest)
    if not source.is_authority:
        updates += change(shown_ref(replica.ns, source.tracking), memory.shown, newest)
    return updates


def _require_reason(replica: Replica, trusted: Oid, memory: Memory) -> None:
    """Raises IntegrityError when neither a receipt nor a write of ours explains what is trusted: so
    it came in by no way that this program has.
    """
    if not is_explained(replica, trusted, memory):
        raise IntegrityError(
            f"this clone trusts {trusted.hex()}, which no receipt proves and which it has not "
            "written",
            hint=REPAIR,
        )


def _adopt_policy(replica: Replica, memory: Memory, proof: Proof) -> None:
    """A proved policy stands whatever becomes of the rest."""
    found = proof.policy
    if not replica.move_refs(change(POLICY_TRUSTED, memory.policy, found.oid)):
        return  # another process has moved it: the next refresh looks again
    if memory.policy is None or not found.versions:
        return
    before, now = (found.versions[at].policy.push_url for at in (0, -1))
    if before != now and now != replica.push_url:
        replica.host.warn(
            f"an admin has changed where writes go, from {before or 'nowhere'} to "
            f"{now or 'nowhere'}; to follow, run: git kv remote setup --remote {replica.remote}"
        )


def leads_on(
    replica: Replica, trusted: Heads, shown: Heads, memory: Memory, source: Source
) -> bool:
    """Whether `shown` is or comes after `trusted`; False when a mirror lags. Raises IntegrityError
    for anything else.
    """
    for what, ours, theirs in zip(("ledger", "index"), trusted[:2], shown[:2], strict=True):
        if is_ancestor(replica.git, ours, theirs):
            continue
        if not is_ancestor(replica.git, theirs, ours):
            raise _forked(replica, source, memory, (what, ours, theirs))
        if source.is_authority:
            raise GoneBackError(
                f"{source.name} has gone back: it shows {theirs.hex()}, expected {ours.hex()} or "
                "a commit after it",
                hint=_advice(replica, source, memory, trusted[0])
                or "tell the operator: an old backup may have been restored; nothing was adopted",
            )
        return False
    return True


def _forked(
    replica: Replica, source: Source, memory: Memory, differing: tuple[str, Oid, Oid]
) -> IntegrityError:
    what, trusted, shown = differing
    return IntegrityError(
        f"{source.name} shows another history: its {what} {shown.hex()} does not descend from the "
        f"trusted {trusted.hex()}",
        hint=_advice(replica, source, memory, trusted)
        or "nothing was adopted; compare with Stargate: git kv get --read-from=stargate",
    )


def _advice(replica: Replica, source: Source, memory: Memory, trusted: Oid) -> str:
    """What to do about a history that does not lead on from ours, where the reason may be here: a
    clone that was cut short lacks the missing link, and one that trusts more than receipts prove
    may have followed a lie.
    """
    if os.path.exists(os.path.join(replica.repository.common_dir, "shallow")):
        return (
            "nothing was adopted; this clone is shallow, so first: git fetch --unshallow "
            f"{source.address}"
        )
    return "" if is_explained(replica, trusted, memory) else REPAIR


def shown_ledger(replica: Replica, source: Source) -> Oid:
    """The ledger commit up to which a mirror that was just followed has shown what receipts
    prove.
    """
    from gitkv.verifying.receipts import parse_receipt

    shown = read_memory(replica, source.tracking).shown
    if shown is None:
        raise IntegrityError(f"{source.name} has shown nothing that is proved")
    return parse_receipt(shown, replica.load(shown, COMMIT)).ledger


def is_explained(replica: Replica, ledger: Oid, memory: Memory) -> bool:
    """Whether the newest proved receipt covers this trusted ledger commit, or Stargate has accepted
    it from us.
    """
    if memory.written is not None and is_ancestor(replica.git, ledger, memory.written):
        return True
    if memory.receipt is None:
        return False
    from gitkv.verifying.receipts import parse_receipt

    proved = parse_receipt(memory.receipt, replica.load(memory.receipt, COMMIT)).ledger
    return replica.has_commit(proved) and is_ancestor(replica.git, ledger, proved)
