"""What the policy lets a signer set: sizes, sums, large values and how they are cut, Git LFS
pointers (`spec/policy` 5.4 to 5.7).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gitkv.audit.large import Large
from gitkv.audit.lfs import LFS_POINTER_SIZES, is_lfs_pointer
from gitkv.audit.tree import Loader, read_blobs
from gitkv.model.oid import Oid
from gitkv.model.verdict import POLICY, Reason, reason

EXPIRES_MAX = 253402300799

# How closely the chunk store is looked at: chunks hashed, their trees judged, or not at all
CHUNKS_HASHED, CHUNKS_LISTED, CHUNKS_UNREAD = "hashed", "listed", "unread"


class AuditRules(NamedTuple):
    """What the policy lets the signer do. Sizes in bytes, expiry in seconds since 1970.

    `ranges`: sorted, disjoint, half-open ranges of names, `None` meaning no end. `chunking`: how
    values above `value_bytes_max`, and no others, are cut, as `spec/format` 8.2 spells it; empty
    where any way and size will do. `chunks`: no rule of a policy, but how closely the chunk store
    is looked at, one of CHUNKS_HASHED, CHUNKS_LISTED, CHUNKS_UNREAD.
    """

    ranges: tuple[tuple[bytes, bytes | None], ...]
    value_bytes_max: int
    total_bytes_max: int
    keys_max: int
    lfs_forbidden: bool
    expiry_required: bool = False
    expires_max: int = EXPIRES_MAX
    chunking: bytes = b""
    chunks: str = CHUNKS_HASHED


def judge_inline(
    sizes: Mapping[bytes, int], values: Mapping[bytes, bytes], rules: AuditRules, load: Loader
) -> list[Reason]:
    """The values, by name, that are too large to be set as one blob, or stand for another one."""
    found = []
    if sizes and max(sizes.values()) > rules.value_bytes_max:
        limit = f"at most {rules.value_bytes_max} bytes"
        found = [
            _refused("value.size", name, limit, str(size))
            for name, size in sizes.items()
            if size > rules.value_bytes_max
        ]
    if rules.lfs_forbidden:
        suspects = {
            Oid(values[name]): name for name, size in sizes.items() if size in LFS_POINTER_SIZES
        }
        bodies = read_blobs(load, list(suspects))
        for name, body in zip(suspects.values(), bodies, strict=True):
            if is_lfs_pointer(body):
                found.append(_refused("value.lfs", name, "the value itself", "a Git LFS pointer"))
    return found


def judge_large_limits(large: Mapping[bytes, Large], rules: AuditRules) -> list[Reason]:
    """The large values, by name, that are not large enough, or cut in another way."""
    found = []
    for name, value in large.items():
        if rules.chunking and value.size <= rules.value_bytes_max:
            limit = f"more than {rules.value_bytes_max} bytes, or one blob"
            found.append(_refused("value.inline", name, limit, str(value.size)))
        if rules.chunking not in (b"", value.chunking):
            found.append(_refused("value.chunking", name, rules.chunking, value.chunking))
    return found


def judge_total(sizes: Mapping[bytes, int], rules: AuditRules) -> list[Reason]:
    """Whether all values set are too much together."""
    total = sum(sizes.values())
    if total <= rules.total_bytes_max:
        return []
    limit = f"at most {rules.total_bytes_max} bytes in all values"
    return [reason(POLICY, "value.total", "transaction", limit, str(total))]


def _refused(rule: str, name: bytes, expected: str | bytes, got: str | bytes) -> Reason:
    return reason(POLICY, rule, b"key " + name, expected, got)
