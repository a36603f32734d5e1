"""Finding the ledger commit of a sequence number by jump pointers, in O(log n) commit reads
(spec/attestation 3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gitkv.model.attestation import Attestation, parse_message
from gitkv.model.commit import Commit, parse_commit
from gitkv.model.oid import COMMIT, Oid

Load = Callable[[Oid, bytes], bytes]  # (id, kind) -> body; raises IntegrityError when missing


class LedgerCommit(NamedTuple):
    """A ledger commit with its proved attestation."""

    oid: Oid
    commit: Commit
    text: bytes
    attestation: Attestation

    @property
    def seq(self) -> int:
        """The sequence number of the transaction."""
        return self.attestation.seq


def read_ledger_commit(oid: Oid, load: Load) -> LedgerCommit:
    """Raises FormError when the object is not a canonical ledger commit."""
    commit = parse_commit(load(oid, COMMIT))
    commit.identity()  # its form is part of being canonical
    text, attestation = parse_message(commit.message)
    return LedgerCommit(oid, commit, text, attestation)


def jump_seq(seq: int) -> int | None:
    """The sequence number that `seq` jumps to; None for 0. Walks the skew-binary decomposition of
    `seq`: O(log seq).
    """
    if seq == 0:
        return None
    # Myers' stacks: a commit at depth n sits on complete skew trees of 2^k - 1 commits; its jump
    # leads past the tree it tops.
    rest, size = seq, 1
    while 2 * size + 1 <= rest:
        size = 2 * size + 1
    while rest > size:
        rest -= size
        while size > rest:
            size //= 2
    return seq - size


def jump_target(parent: LedgerCommit, load: Load) -> Oid:
    """The id that KV-Jump must hold in a child of `parent`; reads at most one more commit than
    `parent`'s jump.
    """
    target = jump_seq(parent.seq + 1)
    if target == parent.seq:
        return parent.oid
    jumped = parent.attestation.jump and read_ledger_commit(parent.attestation.jump, load)
    if not jumped or jumped.attestation.jump is None:
        raise ValueError(
            f"ledger commit {parent.oid.hex()} has a jump that spec/attestation 3.1 does not make"
        )
    return jumped.attestation.jump


def seek(tip: LedgerCommit, seq: int, load: Load) -> LedgerCommit:
    """The ancestor of `tip` (or itself) with this sequence number. Raises ValueError when there is
    none.
    """
    if not 0 <= seq <= tip.seq:
        raise ValueError(f"sequence number {seq} is not in the ledger: expected 0 to {tip.seq}")
    at = tip
    while at.seq > seq:
        jump = jump_seq(at.seq)
        leads_too_far = jump is None or jump < seq
        step = at.attestation.base if leads_too_far else at.attestation.jump
        if step is None:
            raise ValueError(
                f"ledger commit {at.oid.hex()} has no way back to sequence number {seq}"
            )
        at = read_ledger_commit(step, load)
    return at
