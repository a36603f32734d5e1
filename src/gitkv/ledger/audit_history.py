"""Decides a whole ledger again from its raw objects: every commit, its chain, its index, its trees (`spec/attestation` 1–5).

Independent of admission: own commit reader (`audit_commit.py`), own jump rule, own index commit. Trust in signers is the caller's, who
hands in `verify`; the watchlog and the judge's clock (1.3, second half) are left to the caller too, since neither is in the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import zip_longest

from gitkv.ledger.audit import AuditRules, Loader, Roots, StepFacts, audit_step
from gitkv.ledger.audit_commit import Commit, index_commit, is_first_and_empty, parse_commit
from gitkv.model.oid import COMMIT, Oid, hash_object
from gitkv.model.verdict import INTEGRITY, POLICY, REASONS_MAX, Reason, reason

UNLIMITED = AuditRules(ranges=((b"", None),), value_bytes_max=1 << 62, total_bytes_max=1 << 62, keys_max=1 << 62, lfs_forbidden=False)

Verify = Callable[[bytes, bytes], bool]  # (payload, armour) of a commit: is it signed well?

_BACKWARDS_MAX_S = 600


def audit_history(
    commits: Iterable[tuple[Oid, bytes]],
    index_commits: Iterable[tuple[Oid, bytes]],
    load: Loader,
    *,
    rules: AuditRules = UNLIMITED,
    verify: Verify | None = None,
) -> list[Reason]:
    """Every breach found, at most REASONS_MAX; none means the ledger is right.

    `commits`, `index_commits`: ids and bodies from the first commit (sequence number 0) on. `verify` None leaves signatures unchecked.
    Stops at the first commit that cannot be read, or whose trees are wrong: what follows would be judged by a wrong state.
    """
    chain = _Chain(load, rules, verify)
    for ledger, index in zip_longest(commits, index_commits):
        if ledger is None or index is None:
            chain.refuse("chain.length", "one index commit for each ledger commit", "a chain that ends early")
        elif chain.accept(ledger, index):
            continue
        break
    return chain.reasons[:REASONS_MAX]


def jump_after(jumps: list[int]) -> int:
    """3.1: the jump of sequence number len(jumps), given those before it (the first entry stands for none)."""
    seq = len(jumps)
    if seq <= 1:
        return 0
    before = seq - 1
    near = jumps[before]
    far = jumps[near] if near else near
    return far if before - near == near - far else before


class _Chain:
    """What is known of the ledger so far; grows by one commit at a time."""

    def __init__(self, load: Loader, rules: AuditRules, verify: Verify | None) -> None:
        self._load = load
        self._rules = rules
        self._verify = verify
        self._ids: list[Oid] = []
        self._jumps: list[int] = []
        self._txns: set[bytes] = set()
        self._last: Commit | None = None
        self._index: Oid | None = None
        self.reasons: list[Reason] = []

    def refuse(self, rule: str, expected: str | bytes, got: str | bytes, code: int = INTEGRITY) -> None:
        self.reasons.append(reason(code, rule, f"commit {len(self._ids)}", expected, got))

    def accept(self, ledger: tuple[Oid, bytes], index: tuple[Oid, bytes]) -> bool:
        """Judges the next pair of commits; False when nothing sensible can be said of those that follow."""
        oid, body = ledger
        if hash_object(COMMIT, body) != oid:
            self.refuse("object.hash", oid.hex(), hash_object(COMMIT, body).hex())
        try:
            commit = parse_commit(body)
        except ValueError as broken:
            self.refuse("commit.form", "the form of spec/attestation 1 and 2", str(broken))
            return False
        self._judge_place(commit)
        self._judge_signature(commit)
        self._judge_index(oid, commit, index)
        right = self._judge_trees(commit)
        self._ids.append(oid)
        self._txns.add(commit.txn)
        self._last, self._index = commit, index[0]
        return right and len(self.reasons) < REASONS_MAX

    def _judge_place(self, commit: Commit) -> None:
        """2.3, 3.2, 1.3: everything a trailer repeats of the chain."""
        jump = jump_after(self._jumps)
        self._jumps.append(jump)
        parent, last = (self._ids[-1].hex().encode() if self._ids else b"-"), self._last
        facts = [
            ("commit.parent", parent, commit.parent or b"-"),
            ("attestation.base", parent, commit.base),
            ("attestation.base-tree", last.tree if last else b"-", commit.base_tree),
            ("attestation.seq", b"%d" % len(self._ids), b"%d" % commit.seq),
            ("attestation.jump", self._ids[jump].hex().encode() if self._ids else b"-", commit.jump),
            ("attestation.ns", last.ns if last else commit.ns, commit.ns),
            ("attestation.epoch", last.epoch if last else commit.epoch, commit.epoch),
        ]
        for rule, expected, got in facts:
            if expected != got:
                self.refuse(rule, expected, got)
        if commit.txn in self._txns:
            self.refuse("transaction.reused", "a transaction id of its own", commit.txn)
        if last is not None and commit.time_s < last.time_s - _BACKWARDS_MAX_S:
            self.refuse("commit.date", f"at least {last.time_s - _BACKWARDS_MAX_S}", str(commit.time_s), POLICY)

    def _judge_signature(self, commit: Commit) -> None:
        if self._verify is None:
            return
        if commit.armour is None:
            self.refuse("signature.missing", "a signature", "none", POLICY)
        elif not self._verify(commit.payload, commit.armour):
            self.refuse("signature.bad", "a good signature", "one that does not verify", POLICY)

    def _judge_index(self, oid: Oid, commit: Commit, index: tuple[Oid, bytes]) -> None:
        body = index_commit(oid, commit, self._index)
        if index != (hash_object(COMMIT, body), body):
            self.refuse("index.commit", hash_object(COMMIT, body).hex(), index[0].hex())

    def _judge_trees(self, commit: Commit) -> bool:
        if self._last is None:
            if not is_first_and_empty(commit):
                self.refuse("attestation.counts", "an empty first commit", f"tree {commit.tree.decode()}")
                return False
            return True
        facts = StepFacts(len(self._ids), commit.keys_set, commit.keys_del)
        found = audit_step(_roots(self._last), _roots(commit), facts, self._rules, self._load).reasons
        self.reasons += [entry._replace(where=f"commit {len(self._ids)}: {entry.where}") for entry in found]
        return not found


def _roots(commit: Commit) -> Roots:
    return Roots(Oid(bytes.fromhex(commit.tree.decode())), Oid(bytes.fromhex(commit.index_tree.decode())))
