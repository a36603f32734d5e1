"""What a receipt says of the state it was given for, and where a clone keeps the newest that it has
proved.

The chunk head of what a clone trusts is told from there, without a chunk ref: a ref would say that
all it reaches is here, and a clone fetches chunks only when it needs them.
"""

from __future__ import annotations

from gitkv.errors import IntegrityError
from gitkv.ledger.compose import chunks_at
from gitkv.ledger.seek import LedgerCommit, Load, read_ledger_commit, seek
from gitkv.model.heads import ChunkHead, Heads
from gitkv.model.oid import COMMIT, Oid
from gitkv.model.refs import Namespace, Ref, parse_epoch
from gitkv.model.verdict import FormError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gitkv.verifying.receipts import Receipt

_RECEIPT = b"refs/kv-trust/receipt/"
_NO_CHUNKS = b"\nKV-Chunks: -\n"


def receipt_ref(ns: Namespace) -> Ref:
    """The ref of the newest watchlog entry that this clone has proved."""
    return Ref(_RECEIPT + ns.encode())


def seq_of(receipt: Receipt) -> int:
    """The sequence number of the transaction that a receipt is about."""
    return int(receipt.fields[3])


def index_of(receipt: Receipt) -> Oid:
    """The index commit that a receipt is about."""
    return Oid(bytes.fromhex(receipt.fields[6].decode("ascii")))


def heads_of(receipt: Receipt) -> Heads:
    """The commits that a receipt is about; whether the chunk commit is here is not said."""
    said, epoch = receipt.fields[7], parse_epoch(receipt.fields[2])
    chunks = None if said == b"-" else ChunkHead(epoch, Oid(bytes.fromhex(said.decode("ascii"))))
    return Heads(receipt.ledger, index_of(receipt), chunks)


def chunk_head(heads: Heads, receipt: Oid | None, load: Load) -> ChunkHead | None:
    """The chunk head of a trusted ledger commit: what the newest proved receipt names, and what
    follows from there for transactions of our own that came after; None where the epoch has had no
    large value. Raises IntegrityError when it cannot be told.
    """
    try:
        ledger = read_ledger_commit(heads.ledger, load)
        if ledger.attestation.chunks_tree is None and (
            receipt is None or _NO_CHUNKS in load(receipt, COMMIT)
        ):  # nearly always, and cheap to know
            return None
        return chunks_at(ledger, _known(receipt, ledger, load), load)
    except (FormError, ValueError) as error:
        raise IntegrityError(f"the chunk store cannot be told: {error}") from None


def _known(receipt: Oid | None, ledger: LedgerCommit, load: Load) -> Heads:
    """The heads that a receipt proves, of the ledger commit or of the nearest before it."""
    from gitkv.verifying.receipts import parse_receipt

    at = receipt
    while at is not None:
        found = parse_receipt(at, load(at, COMMIT))
        if seq_of(found) <= ledger.seq:
            return heads_of(found)
        at = found.before
    first = seek(ledger, 0, load)
    return Heads(first.oid, first.oid)
