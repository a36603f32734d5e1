"""What the receipts prove of what a source shows (spec/attestation 6): pure rules over objects and
a verifier.

A receipt is a watchlog entry. Its gateway's signature covers the entries before it by their ids, so
one signature a refresh suffices, whatever has come since.
"""

from __future__ import annotations

from typing import NamedTuple

from gitkv.client.trust.memory import Memory
from gitkv.client.trust.policies import Look, PolicyProof, prove_policy
from gitkv.client.trust.receipt import heads_of, index_of, seq_of
from gitkv.client.trust.shown import GoneBackError, NotVouchedError, Shown
from gitkv.errors import IntegrityError
from gitkv.ledger.seek import read_ledger_commit
from gitkv.model.commit import parse_commit
from gitkv.model.heads import Heads
from gitkv.model.oid import COMMIT, Oid
from gitkv.model.refs import Namespace
from gitkv.model.verdict import FormError
from gitkv.ports import Verifier
from gitkv.sign.sshsig import signing_key
from gitkv.verifying.policies import Version, read_version
from gitkv.verifying.receipts import Receipt, judge_signer, parse_receipt

_STEPS_MAX = 1000  # entries that a watchlog may be ahead of the ledger it is shown with
_SEQ_NONE = 1 << 62


class Proof(NamedTuple):
    """`heads` are proved by `receipt`; `signer`: fingerprint of the key that signed
    the newest entry, "" when that was known before. `is_news`: the receipt comes after the one
    proved before. `gap`: why not all that is shown is proved.
    """

    policy: PolicyProof
    receipt: Receipt
    heads: Heads
    signer: str
    is_news: bool
    gap: str


def prove(ns: Namespace, shown: Shown, memory: Memory, look: Look, verifier: Verifier) -> Proof:
    """The newest state that receipts cover of what is shown.

    Raises IntegrityError for what no honest source shows, GoneBackError when it shows less than
    before, NotVouchedError for what may be right a moment later, FormError.
    """
    policy = prove_policy(shown.policy, memory.policy, look, verifier)
    if shown.watchlog is None:
        raise IntegrityError("it shows no receipts", hint="nothing was adopted")
    newest = _read(shown.watchlog, ns, look)
    signer = ""
    if not _is_known(shown.watchlog, memory, look):
        signer = judge_newest(newest, memory, policy, look, verifier)
    covering, gap = _covering(newest, shown, ns, look)
    if memory.shown not in (None, covering.oid):
        _require_no_rewind(memory.shown, covering, shown, look)
    index = index_of(covering)
    if not look.has(index):
        raise NotVouchedError(f"its index {index.hex()}, which the receipt names, has not arrived")
    known = None if memory.receipt is None else _read(memory.receipt, ns, look)
    return Proof(
        policy,
        covering,
        heads_of(covering),
        signer,
        is_news=known is None or seq_of(covering) > seq_of(known),  # they are on one line
        gap=gap or _index_gap(shown, index),
    )


def is_genuine(
    oid: Oid, ns: Namespace, policy: PolicyProof, look: Look, verifier: Verifier
) -> bool:
    """Whether a gateway key of a policy in this proved history has signed the entry."""
    try:
        receipt = _read(oid, ns, look)
        version = _policy_of(receipt, policy, look)
    except (IntegrityError, FormError):
        return False
    return not judge_signer(receipt, version, verifier, "receipt")


def receipt_at(oid: Oid, ns: Namespace, look: Look) -> Receipt:
    """Raises IntegrityError, FormError."""
    return _read(oid, ns, look)


def _read(oid: Oid, ns: Namespace, look: Look) -> Receipt:
    receipt = parse_receipt(oid, look.load(oid, COMMIT))
    if receipt.fields[1] != ns.encode():
        got = receipt.fields[1].decode("ascii", "backslashreplace")
        raise IntegrityError(f"its receipt {oid.hex()} is of namespace {got[:80]}, expected {ns}")
    return receipt


def _is_known(watchlog: Oid, memory: Memory, look: Look) -> bool:
    """Whether the entry was proved before. Raises IntegrityError for a line that leaves the proved
    one.
    """
    trusted = memory.receipt
    if trusted is None or watchlog == trusted:
        return trusted is not None
    if look.descends(trusted, watchlog):
        return False
    if look.descends(watchlog, trusted):
        return True
    raise IntegrityError(
        f"it shows other receipts: {watchlog.hex()} does not descend from the trusted "
        f"{trusted.hex()}"
    )


def judge_newest(
    newest: Receipt, memory: Memory, policy: PolicyProof, look: Look, verifier: Verifier
) -> str:
    """Raises IntegrityError unless a gateway key of a proved policy signed the entry,
    NotVouchedError for a policy that is not proved; the key's fingerprint.
    """
    version = _policy_of(newest, policy, look)
    if memory.receipt is not None:
        before = parse_receipt(memory.receipt, look.load(memory.receipt, COMMIT)).policy
        if before != newest.policy and not look.descends(before, newest.policy):
            raise IntegrityError(
                f"its receipt {newest.oid.hex()} names the policy {newest.policy.hex()}, expected "
                f"{before.hex()}, as the receipts before it, or a later one"
            )
    where = f"receipt {seq_of(newest)}"
    reasons = judge_signer(newest, version, verifier, where)
    if reasons:
        raise IntegrityError(
            f"its receipt {newest.oid.hex()} cannot be verified: {reasons[0].text()}"
        )
    return signing_key(newest.signed.armour)


def _policy_of(newest: Receipt, policy: PolicyProof, look: Look) -> Version:
    for version in policy.versions:
        if version.oid == newest.policy:
            return version
    if not look.has(newest.policy) or not look.descends(newest.policy, policy.oid):
        raise NotVouchedError(
            f"its receipt {newest.oid.hex()} names the policy {newest.policy.hex()}, which is not "
            f"in the proved history of {policy.oid.hex()}"
        )
    return read_version(newest.policy, parse_commit(look.load(newest.policy, COMMIT)), look.load)


def _covering(newest: Receipt, shown: Shown, ns: Namespace, look: Look) -> tuple[Receipt, str]:
    """The newest entry whose ledger is the shown one or before it, and what is not covered."""
    seq = _shown_seq(shown, look)
    at = newest
    for _ in range(_STEPS_MAX):
        if seq_of(at) <= seq:
            break
        if at.before is None:
            break
        at = _read(at.before, ns, look)
    else:
        raise NotVouchedError(f"its receipts are {_STEPS_MAX} transactions ahead of its ledger")
    if at.ledger == shown.heads.ledger:
        return at, ""
    ledger = shown.heads.ledger
    if seq_of(at) >= seq or not (look.has(at.ledger) and look.descends(at.ledger, ledger)):
        raise IntegrityError(
            f"it shows another history than its receipts: ledger {ledger.hex()}, expected "
            f"{at.ledger.hex()}, as receipt {at.oid.hex()} says, or a commit after it"
        )
    return at, f"ledger {shown.heads.ledger.hex()} has no receipt: they end with {ns}@{seq_of(at)}"


def _shown_seq(shown: Shown, look: Look) -> int:
    """What the ledger commit says; one that is none has no place that a receipt could reach."""
    try:
        return read_ledger_commit(shown.heads.ledger, look.load).seq
    except FormError:
        return _SEQ_NONE


def _require_no_rewind(before: Oid | None, covering: Receipt, shown: Shown, look: Look) -> None:
    if before is None or look.descends(before, covering.oid):
        return
    was = parse_receipt(before, look.load(before, COMMIT)).ledger
    if look.descends(covering.oid, before):
        raise GoneBackError(
            f"it was rewound: its ledger was {was.hex()}, now it shows {shown.heads.ledger.hex()}"
        )
    raise IntegrityError(
        f"it has another history than before: its ledger was {was.hex()}, now it shows "
        f"{shown.heads.ledger.hex()}"
    )


def _index_gap(shown: Shown, index: Oid) -> str:
    if shown.heads.index_oid == index:
        return ""
    return f"index {shown.heads.index_oid.hex()} has no receipt: the ledger's is {index.hex()}"
