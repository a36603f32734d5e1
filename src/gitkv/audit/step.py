"""The second opinion on one transaction: are ledger and index after it what the specification makes
of them before it?

Written from `docs/spec` alone and sharing no rule code with the writer (`audit/tree.py` reads and
compares trees, `audit/lines.py` reads index lines and metadata). The state before is trusted, the
state after is hostile; cost is O(changed keys · height), and a hostile state costs no more than an
honest one with the same counts. Commits and trailers are not looked at here: admission does that
for a push, `history.py` for a whole ledger.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple, TypeVar

from gitkv.audit.large import Large
from gitkv.audit.ledger_side import LedgerSide, in_both, one_map, value_after
from gitkv.audit.limits import (
    CHUNKS_HASHED,
    CHUNKS_UNREAD,
    AuditRules,
    judge_inline,
    judge_large_limits,
    judge_total,
)
from gitkv.audit.lines import (
    META_BYTES_MAX,
    created_line,
    gone_line,
    has_expiry,
    only_expiry_is_wrong,
    parse_meta,
)
from gitkv.audit.node import MalformedError, Root, malformed
from gitkv.audit.store import judge_store, read_manifests
from gitkv.audit.tree import (
    Loader,
    MapDiff,
    TreeWalk,
    read_blobs,
)
from gitkv.model.oid import EMPTY_TREE, Oid
from gitkv.model.verdict import INTEGRITY, POLICY, REASONS_MAX, Reason, reason

__all__ = ["Loader", "Roots", "StepAudit", "StepFacts", "audit_step"]

_T = TypeVar("_T")

# A changed key alters its node, at times the two beside it, in both trees and on each of 16 levels
# at most.
_NODES_PER_KEY = 64
_NODES_SPARE = 16

_LEDGER_MAPS = ("data", "manifests", "meta")
_INDEX_MAPS = ("gone", "live")


class Roots(NamedTuple):
    """The trees of a ledger commit and of its index commit; EMPTY_TREE when empty. The chunk store
    as the trailer has it; None when empty.
    """

    ledger_tree: Oid
    index_tree: Oid
    chunks_tree: Oid | None = None


class StepFacts(NamedTuple):
    """What the transaction's trailers say: sequence number and counts of keys set and deleted."""

    seq: int
    keys_set: int
    keys_del: int


class StepAudit(NamedTuple):
    """`reasons`: the breaches found, at most REASONS_MAX; none means the step is right. The rest is
    complete only without reasons.

    `changes`: name and value after (None when deleted) of each changed key, sorted by name.
    `objects`: what the new state has and the old one lacks: tree nodes, pages, values, metadata,
    chunks (and the empty tree where a root is empty). `large`: how many large values the chunk
    store got.
    """

    reasons: list[Reason]
    changes: tuple[tuple[bytes, Oid | None], ...]
    objects: set[Oid]
    large: int = 0


def audit_step(
    before: Roots, after: Roots, facts: StepFacts, rules: AuditRules, load: Loader
) -> StepAudit:
    """Judges one transaction (`spec/format` 3–5, `spec/attestation` 2.4). Never raises for what
    `after` holds.
    """
    step = _Step(facts, rules, load)
    changes: tuple[tuple[bytes, Oid | None], ...] = ()
    try:
        step.judge_counts_claimed()
        changes = step.judge(before, after)
    except MalformedError as stop:
        step.reasons.append(stop.reason)
    return StepAudit(step.reasons[:REASONS_MAX], changes, step.objects, step.large)


class _Step:
    """One run of the audit: collects reasons, and stops by MalformedError where reading on makes no
    sense.
    """

    def __init__(self, facts: StepFacts, rules: AuditRules, load: Loader) -> None:
        self._facts = facts
        self._rules = rules
        self._load = load
        keys = min(facts.keys_set + facts.keys_del, rules.keys_max)
        self._walk = TreeWalk(load, _NODES_PER_KEY * (keys + _NODES_SPARE))
        self.reasons: list[Reason] = []
        self.objects: set[Oid] = set()
        self.large = 0

    def judge_counts_claimed(self) -> None:
        claimed = self._facts.keys_set + self._facts.keys_del
        if claimed > self._rules.keys_max:
            raise malformed(
                POLICY,
                "transaction.keys",
                "transaction",
                f"at most {self._rules.keys_max} keys",
                str(claimed),
            )
        if claimed == 0 and self._facts.seq > 0:
            raise malformed(
                POLICY, "transaction.empty", "transaction", "at least one changed key", "none"
            )

    def judge(self, before: Roots, after: Roots) -> tuple[tuple[bytes, Oid | None], ...]:
        """The ledger first; the index only when the ledger is right, since the one is judged by the
        other.
        """
        ledger = self._judge_ledger(before.ledger_tree, after.ledger_tree)
        if ledger is None or self.reasons:
            return ()
        old_gone, old_live = self._walk.roots(before.index_tree, _INDEX_MAPS)
        new_gone, new_live = self._new_roots(before.index_tree, after.index_tree, _INDEX_MAPS)
        live, gone = self._diff(old_live, new_live), self._diff(old_gone, new_gone)
        if live is None or gone is None:
            return ()
        values = ledger.values
        changed = sorted(values.changed | ledger.meta.changed)
        self._judge_live([name for name in changed if name not in ledger.deleted], ledger, live)
        self._judge_gone(ledger.deleted, live, gone)
        self._judge_silence(values.changed | ledger.meta.changed, live, gone)
        self._judge_not_gone(
            [name for name in values.changed if name not in values.old], old_gone, gone
        )
        if not self.reasons and self._rules.chunks != CHUNKS_UNREAD:
            self._judge_chunks(before.chunks_tree, after.chunks_tree, ledger.large)
        return tuple((name, value_after(name, values, live)) for name in changed)

    def _judge_chunks(
        self, before: Oid | None, after: Oid | None, set_: dict[bytes, Large]
    ) -> None:
        stores = Root("chunks", before), Root("chunks", after)
        found = judge_store(
            self._walk, stores, set_, self._load, contents=self._rules.chunks == CHUNKS_HASHED
        )
        self.objects |= found.objects
        self.large = found.added

    def _judge_ledger(self, before: Oid, after: Oid) -> LedgerSide | None:
        old_data, old_manifests, old_meta = self._walk.roots(before, _LEDGER_MAPS)
        new_data, new_manifests, new_meta = self._new_roots(before, after, _LEDGER_MAPS)
        data, meta = self._diff(old_data, new_data), self._diff(old_meta, new_meta)
        manifests = self._diff(old_manifests, new_manifests)
        if data is None or manifests is None or meta is None:
            return None
        doubled = in_both(self._walk, (data, manifests), (old_data, old_manifests))
        for name in sorted(doubled):
            expected = "a value or a manifest"
            self._refuse(INTEGRITY, "manifest.doubled", name, expected, "both")
        if doubled:
            return None
        values = one_map(data, manifests)
        deleted = {name for name in values.changed if name not in values.new}
        changed = sorted(values.changed | meta.changed)
        self._judge_counts(len(changed) - len(deleted), len(deleted))
        self._judge_owned(changed)
        metas = sorted(name for name in meta.changed if name in meta.new)
        self.objects.update(Oid(values.new[name]) for name in values.changed - deleted)
        self.objects.update(Oid(meta.new[name]) for name in metas)
        sizes, large = self._judge_values(values, manifests)
        ledger = LedgerSide(values, meta, deleted, sizes, large, self._judge_metas(metas, meta))
        self._judge_meta_keys(ledger, (old_data, old_manifests), old_meta)
        return ledger

    def _new_roots(self, old: Oid, new: Oid, map_names: tuple[str, ...]) -> list[Root]:
        if new != old or new == EMPTY_TREE:
            self.objects.add(new)
        return self._walk.roots(new, map_names)

    def _diff(self, before: Root, after: Root) -> MapDiff | None:
        try:
            found = self._walk.diff(before, after)
        except MalformedError as stop:
            self._add(stop.reason)
            return None
        self.objects |= found.fresh
        return found

    def _add(self, found: Reason) -> None:
        if len(self.reasons) >= REASONS_MAX - 1:
            raise MalformedError(found)
        self.reasons.append(found)

    def _refuse(
        self, code: int, rule: str, name: bytes, expected: str | bytes, got: str | bytes
    ) -> None:
        self._add(reason(code, rule, b"key " + name, expected, got))

    def _ask(self, read: Callable[[Sequence[Oid]], Iterable[_T]], oids: Sequence[Oid]) -> list[_T]:
        try:
            return list(read(oids)) if oids else []
        except LookupError as lost:
            raise malformed(
                INTEGRITY,
                "object.missing",
                "blobs the transaction adds",
                "to be there",
                str(lost) or "nothing",
            ) from None

    def _judge_counts(self, keys_set: int, keys_del: int) -> None:
        claimed = (self._facts.keys_set, self._facts.keys_del)
        if (keys_set, keys_del) == claimed:
            return
        found = malformed(
            INTEGRITY,
            "attestation.counts",
            "trailers",
            f"{keys_set} set, {keys_del} deleted",
            f"{claimed[0]} set, {claimed[1]} deleted",
        )
        if keys_set + keys_del > sum(claimed):
            raise found  # a small claim must not buy the reading of many values
        self._add(found.reason)

    def _judge_owned(self, changed: Iterable[bytes]) -> None:
        ranges = self._rules.ranges
        if ranges == ((b"", None),):
            return
        starts = [low for low, _ in ranges]
        for name in changed:
            at = bisect_right(starts, name) - 1
            high = ranges[at][1] if at >= 0 else b""
            if high is not None and name >= high:
                self._refuse(
                    POLICY,
                    "prefix.not-owned",
                    name,
                    "a key the signer may change",
                    "one outside its prefixes",
                )

    def _judge_values(
        self, values: MapDiff, manifests: MapDiff
    ) -> tuple[dict[bytes, int], dict[bytes, Large]]:
        """Sizes by name of the values set, and the large ones; limits are judged on the way."""
        names = sorted(name for name in values.changed if name in values.new)
        inline = [name for name in names if name not in manifests.new]
        oids = [Oid(values.new[name]) for name in inline]
        sizes = dict(zip(inline, self._ask(self._load.sizes, oids), strict=True))
        large = read_manifests(
            {name: Oid(values.new[name]) for name in names if name in manifests.new}, self._load
        )
        found = judge_inline(sizes, values.new, self._rules, self._load)
        found += judge_large_limits(large, self._rules)
        sizes |= {name: one.size for name, one in large.items()}
        for entry in found + judge_total(sizes, self._rules):
            self._add(entry)
        return sizes, large

    def _judge_metas(self, names: Sequence[bytes], meta: MapDiff) -> dict[bytes, bytes]:
        """The members a live line repeats, by name."""
        uses = {Oid(meta.new[name]): name for name in reversed(names)}
        oids = list(uses)
        for oid, size in zip(oids, self._ask(self._load.sizes, oids), strict=True):
            if size > META_BYTES_MAX:
                raise malformed(
                    INTEGRITY,
                    "meta.form",
                    "key " + uses[oid].decode(),
                    f"metadata of at most {META_BYTES_MAX} bytes",
                    str(size),
                )
        members: dict[Oid, bytes] = {}
        for oid, body in zip(oids, read_blobs(self._load, oids), strict=True):
            parsed = parse_meta(body)
            if (parsed is None and only_expiry_is_wrong(body)) or (
                parsed is not None and parsed[1] > self._rules.expires_max
            ):
                self._refuse(
                    POLICY, "meta.expires", uses[oid], f"1 to {self._rules.expires_max}", body
                )
            elif parsed is None:
                self._refuse(
                    INTEGRITY, "meta.form", uses[oid], "canonical metadata (spec/format 4.3)", body
                )
            else:
                members[oid] = parsed[0]
        return {name: members.get(Oid(meta.new[name]), b"") for name in names}

    def _judge_meta_keys(
        self, ledger: LedgerSide, old_values: tuple[Root, Root], old_meta: Root
    ) -> None:
        """4.3: only names that have a value have metadata. Asks the old trees about names that one
        diff shows and the other does not.
        """
        values, meta = ledger.values, ledger.meta
        unsure = [name for name in meta.changed if name in meta.new and name not in values.changed]
        known = {name for root in old_values for name in self._walk.find(root, unsure)}
        stray = {name for name in unsure if name not in known}
        stray |= {name for name in ledger.deleted if name in meta.new}
        stray |= self._walk.find(
            old_meta, [name for name in ledger.deleted if name not in meta.changed]
        ).keys()
        for name in sorted(stray):
            self._refuse(
                INTEGRITY,
                "meta.form",
                name,
                "metadata only for keys that exist",
                "metadata without a value",
            )

    def _judge_live(self, kept: Iterable[bytes], ledger: LedgerSide, live: MapDiff) -> None:
        seq, new, old = self._facts.seq, ledger.values.new, ledger.values.old
        sizes, metas, large = ledger.sizes, ledger.metas, ledger.large
        for name in kept:
            got = live.new.get(name)
            if (
                name in sizes and name not in old and name not in metas and name not in large
            ):  # a plain new key: nearly all of a bulk load
                expected: bytes | None = created_line(name, seq, new[name], sizes[name])
            else:
                expected = ledger.live_line(name, seq, live.old.get(name))
            if expected is None or got != expected:
                self._refuse(
                    INTEGRITY,
                    "index.mismatch",
                    name,
                    expected or "a changed live line",
                    got or "no change",
                )
            elif self._rules.expiry_required and not has_expiry(got):
                self._refuse(POLICY, "expiry.missing", name, "a moment of expiry", "none")

    def _judge_gone(self, deleted: Iterable[bytes], live: MapDiff, gone: MapDiff) -> None:
        for name in sorted(deleted):
            if name in live.new or name not in live.old:
                self._refuse(
                    INTEGRITY, "index.mismatch", name, "no live line of a deleted key", "one"
                )
            expected, got = gone_line(name, self._facts.seq), gone.new.get(name)
            if got != expected:
                self._refuse(INTEGRITY, "index.mismatch", name, expected, got or "no gone line")

    def _judge_silence(self, changed: Collection[bytes], live: MapDiff, gone: MapDiff) -> None:
        for name in sorted((live.changed | gone.changed).difference(changed)):
            got = live.new.get(name) or gone.new.get(name)
            self._refuse(
                INTEGRITY,
                "index.mismatch",
                name,
                "an unchanged index line, since the key did not change",
                got or "no line",
            )

    def _judge_not_gone(self, created: Collection[bytes], old_gone: Root, gone: MapDiff) -> None:
        left = {name for name in created if name in gone.new}
        left |= self._walk.find(
            old_gone, [name for name in created if name not in gone.changed]
        ).keys()
        for name in sorted(left):
            self._refuse(INTEGRITY, "index.mismatch", name, "no gone line of a live key", "one")
