"""Sizes at admission, where the audit comes after the answer: a value over the limit is an honest
mistake, and is better refused than accepted and undone.

Git tells the size of what a pack holds without inflating it. Only where something in the pack is
large at all are the trees compared, to tell a value from a page of the index. What is not in the
pack, such as a value the repository has already, is left to the audit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise

from gitkv.ledger.compose import Tip
from gitkv.ledger.roots import open_ledger
from gitkv.ledger.tree_diff import WorkLimitError, differences
from gitkv.model.key import decode_name
from gitkv.model.oid import Oid
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
    if is_small and sum(sizes.values()) <= rules.total_bytes_max:
        return []
    reasons: list[Reason] = []
    for before, after in pairwise(way):
        reasons += _judge_values(rules, _values(before, after, objects), sizes)
    return reasons[:REASONS_MAX]


def _judge_values(
    rules: NamespacePolicy, values: Iterable[tuple[bytes, Oid]], sizes: Mapping[Oid, int]
) -> list[Reason]:
    reasons: list[Reason] = []
    total = 0
    with suppress(WorkLimitError, FormError):  # a tree that is wrong in itself is for the audit
        for name, value in values:
            size = sizes.get(value, 0)
            total += size
            if size > rules.value_bytes_max and len(reasons) < REASONS_MAX:
                limit = f"at most {rules.value_bytes_max} bytes"
                reasons.append(reason(POLICY, "value.size", _key(name), limit, str(size)))
        if total > rules.total_bytes_max:
            limit = f"at most {rules.total_bytes_max} bytes in all values"
            reasons.append(reason(POLICY, "value.total", "transaction", limit, str(total)))
    return reasons


def _values(before: Tip, after: Tip, objects: ObjectStore) -> Iterable[tuple[bytes, Oid]]:
    attestation = after.ledger.attestation
    old, new = (open_ledger(tip.ledger.commit.tree, objects.read).data for tip in (before, after))
    nodes_max = _NODES_PER_KEY * (attestation.keys_set + attestation.keys_del) + _NODES_SPARE
    for found in differences(old, new, nodes_max=nodes_max):
        if found.new is not None:
            yield found.name, Oid(found.new)


def _key(name: bytes) -> str:
    try:
        return f"key {decode_name(name)}"
    except ValueError:
        return "key " + name.decode("ascii", "backslashreplace")
