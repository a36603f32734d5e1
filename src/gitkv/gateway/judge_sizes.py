"""Sizes at admission, where the audit comes after the answer: a value over the limit is an honest
mistake, and is better refused than accepted and undone.

Git tells the size of what a pack holds without inflating it. Only where something in the pack is
large at all, or stands for something large, are the trees compared, to tell a value from a page of
the index. What is not in the pack, such as a value the repository has already, is left to the
audit; so is whether a manifest is true.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise

from gitkv.ledger.compose import Tip
from gitkv.ledger.ordered_tree import OrderedTree
from gitkv.ledger.roots import open_ledger
from gitkv.ledger.tree_diff import WorkLimitError, differences
from gitkv.model.key import decode_name
from gitkv.model.manifest import Manifest, parse_manifest
from gitkv.model.oid import BLOB, Oid
from gitkv.model.policy import NamespacePolicy
from gitkv.model.verdict import POLICY, REASONS_MAX, FormError, Reason, reason
from gitkv.ports import ObjectStore

_NODES_PER_KEY = 64
_NODES_SPARE = 1024


def judge_sizes(
    rules: NamespacePolicy, way: Sequence[Tip], sent: Sequence[Oid], objects: ObjectStore
) -> list[Reason]:
    """Every value that is too large, of the transactions that lead along `way`, and sums that are.

    `sent`: what the pack holds.
    """
    sizes = dict(zip(sent, objects.sizes(sent), strict=True))
    is_small = max(sizes.values(), default=0) <= rules.value_bytes_max
    has_large = any(after.trees.chunks_tree is not None for after in way[1:])
    if is_small and not has_large and sum(sizes.values()) <= rules.total_bytes_max:
        return []
    reasons: list[Reason] = []
    for before, after in pairwise(way):
        reasons += _judge_step(rules, before, after, sizes, objects)
    return reasons[:REASONS_MAX]


def _judge_step(
    rules: NamespacePolicy,
    before: Tip,
    after: Tip,
    sizes: Mapping[Oid, int],
    objects: ObjectStore,
) -> list[Reason]:
    reasons: list[Reason] = []
    total = 0
    old, new = (open_ledger(tip.ledger.commit.tree, objects.read) for tip in (before, after))
    attestation = after.ledger.attestation
    nodes_max = _NODES_PER_KEY * (attestation.keys_set + attestation.keys_del) + _NODES_SPARE
    with suppress(WorkLimitError, FormError):  # a tree that is wrong in itself is for the audit
        for name, value in _set(old.data, new.data, nodes_max):
            size = sizes.get(value, 0)
            total += size
            if size > rules.value_bytes_max and len(reasons) < REASONS_MAX:
                limit = f"at most {rules.value_bytes_max} bytes"
                reasons.append(reason(POLICY, "value.size", _key(name), limit, str(size)))
        for name, oid in _set(old.manifests, new.manifests, nodes_max):
            manifest = parse_manifest(objects.read(oid, BLOB))
            total += manifest.size
            if len(reasons) < REASONS_MAX:
                reasons += _judge_large(rules, name, manifest)
        if total > rules.total_bytes_max:
            limit = f"at most {rules.total_bytes_max} bytes in all values"
            reasons.append(reason(POLICY, "value.total", "transaction", limit, str(total)))
    return reasons


def _judge_large(rules: NamespacePolicy, name: bytes, manifest: Manifest) -> list[Reason]:
    reasons = []
    if manifest.size <= rules.value_bytes_max:
        limit, got = f"more than {rules.value_bytes_max} bytes, or one blob", str(manifest.size)
        reasons.append(reason(POLICY, "value.inline", _key(name), limit, got))
    if manifest.chunking != rules.chunking:
        expected, got = rules.chunking.text, manifest.chunking.text
        reasons.append(reason(POLICY, "value.chunking", _key(name), expected, got))
    return reasons


def _set(old: OrderedTree, new: OrderedTree, nodes_max: int) -> Iterator[tuple[bytes, Oid]]:
    """What a map has now and had not."""
    for found in differences(old, new, nodes_max=nodes_max):
        if found.new is not None:
            yield found.name, Oid(found.new)


def _key(name: bytes) -> str:
    try:
        return f"key {decode_name(name)}"
    except ValueError:
        return "key " + name.decode("ascii", "backslashreplace")
