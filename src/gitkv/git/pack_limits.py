"""What one pack from outside may cost, and what of it git is granted as the pack arrives."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

from gitkv.git.pack_scan import PackLimits, PackScan
from gitkv.ports import IntakeLimits

# For an honest pack on a slow machine: processor time for a start, for what is inflated and hashed,
# and for each object; memory for a start, for copies of the largest object, and for each object
_CPU_S, _BYTES_A_CPU_S, _OBJECTS_A_CPU_S = 10, 10 << 20, 5000
MEMORY_BYTES, _COPIES, _OBJECT_BYTES = 256 << 20, 4, 512
# A git that fetches is of some version, works in several threads and has helpers; it makes room
# for as many objects as a pack says it has, and takes it as they come
_FETCH_MEMORY_BYTES, _FETCH_OBJECTS_MAX = 1 << 30, 100_000_000


def object_limits(limits: IntakeLimits) -> PackLimits:
    """The part that is judged object by object."""
    return PackLimits(
        limits.inflated_bytes_max,
        limits.blob_bytes_max,
        limits.other_bytes_max,
        limits.chain_max,
    )


class Grant(NamedTuple):
    """Processor seconds and bytes of memory that git may use for a pack."""

    cpu_s: int
    memory_bytes: int


def grant_for(limits: IntakeLimits, scan: PackScan, count: int) -> Grant:
    """What a pack of `count` objects, as far as it was read, may ask of git: a chain or a bomb that
    would cost more than its size tells ends git.
    """
    cpu_s = _CPU_S + scan.inflated_bytes // _BYTES_A_CPU_S + count // _OBJECTS_A_CPU_S
    memory_bytes = MEMORY_BYTES + _COPIES * scan.held_bytes + _OBJECT_BYTES * count
    return Grant(min(limits.cpu_s_max, cpu_s), min(limits.memory_bytes_max, memory_bytes))


def fetch_grant_for(scans: Iterable[PackScan]) -> Grant:
    """The same for a fetch, which may be of any size: what has come of its packs explains what git
    may use.
    """
    cpu_s, memory_bytes = _CPU_S, _FETCH_MEMORY_BYTES
    threads = os.cpu_count() or 1
    for scan in scans:
        cpu_s += scan.inflated_bytes // _BYTES_A_CPU_S + scan.begun // _OBJECTS_A_CPU_S
        memory_bytes += threads * _COPIES * scan.held_bytes
        memory_bytes += _OBJECT_BYTES * min(scan.count, _FETCH_OBJECTS_MAX)
    return Grant(cpu_s, memory_bytes)
