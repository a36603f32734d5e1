"""Whether the receipt in the answer to a push proves that our transaction was accepted: verified
before this clone goes on from it, by the keys of the policy it trusts (spec/attestation 6).

`proof.py` has the rules; this module says what an answer must be about.
"""

from __future__ import annotations

from gitkv.client.replica import Replica
from gitkv.client.trust.judge import look_of, verifier_of
from gitkv.client.trust.memory import read_memory
from gitkv.client.trust.policies import PolicyProof
from gitkv.client.trust.proof import judge_newest
from gitkv.client.trust.shown import NotVouchedError, Source
from gitkv.errors import IntegrityError
from gitkv.ledger.compose import Tip
from gitkv.model.oid import Oid
from gitkv.model.verdict import FormError, printable
from gitkv.sign.verifier import preload
from gitkv.verifying.receipts import Receipt as Entry
from gitkv.verifying.receipts import parse_receipt
from gitkv.wire.answer_lines import Receipt

_NAMES = ("subject", "namespace", "epoch", "seq", "txn", "ledger", "index", "chunks")


def prepare() -> None:
    """Loads what verifying takes, which is slow; to be called while there is nothing else to do."""
    preload()


def require_receipt(
    replica: Replica, source: Source, receipt: Receipt, tip: Tip, before: Oid | None
) -> None:
    """Raises IntegrityError unless the entry is a trusted gateway's and about `tip`,
    NotVouchedError for one that is signed under a policy that this clone has not seen yet.

    `before`: the entry that must come before it; None when that is not known.
    """
    try:
        entry = parse_receipt(receipt.watchlog, receipt.entry)
    except FormError as error:
        raise IntegrityError(str(error)) from None
    _require_same(receipt, entry, tip, before)
    memory = read_memory(replica, source.tracking)
    if memory.policy is None:
        raise NotVouchedError("no policy is trusted here yet")
    try:
        judge_newest(
            entry, memory, PolicyProof(memory.policy), look_of(replica), verifier_of(replica)
        )
    except FormError as error:
        raise IntegrityError(str(error)) from None


def _require_same(receipt: Receipt, entry: Entry, tip: Tip, before: Oid | None) -> None:
    """What the answer, the entry and our transaction say must be one and the same."""
    said = tip.ledger.attestation
    ledger, index = (oid.hex() for oid in tip.heads[:2])
    chunks = "-" if tip.chunks_oid is None else tip.chunks_oid.hex()
    place = (f"{said.ns}@{said.seq}", said.ns, said.epoch, str(said.seq), said.txn)
    ours = (*place, ledger, index, chunks)
    pairs = [
        (f"the answer's {name}", str(want), got)
        for name, want, got in (
            ("seq", said.seq, str(receipt.seq)),
            ("ledger", ledger, receipt.ledger.hex()),
        )
    ]
    pairs += [
        (f"the entry's {name}", want, printable(got))
        for name, want, got in zip(_NAMES, ours, entry.fields, strict=True)
    ]
    if before is not None:
        got = "none" if entry.before is None else entry.before.hex()
        pairs.append(("the entry before it", before.hex(), got))
    for what, want, got in pairs:
        if want != got:
            raise IntegrityError(f"{what}: expected {want}, got {got}")
