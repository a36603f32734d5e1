"""What one pack from outside may cost, and what of it git is granted as the pack arrives."""

from __future__ import annotations

from typing import NamedTuple

from gitkv.git.pack_scan import PackLimits, PackScan

# git's own default is 50 (`pack.depth`); whoever raises it may go as far as this
CHAIN_MAX = 250

# For an honest pack on a slow machine: processor time for a start, for what is inflated and hashed,
# and for each object; memory for a start, for copies of the largest object, and for each object
_CPU_S, _BYTES_A_CPU_S, _OBJECTS_A_CPU_S = 10, 10 << 20, 5000
MEMORY_BYTES, _COPIES, _OBJECT_BYTES = 256 << 20, 4, 512


class Limits(NamedTuple):
    """What one pack may cost. A blob may be as large as the largest value (spec/policy 5.4); trees
    and commits are far smaller. `inflated_bytes_max`: of all its objects together; `chain_max`:
    deltas between an object and the whole one that it is made from.
    """

    pack_bytes_max: int = 2 << 30
    objects_max: int = 999_999
    blob_bytes_max: int = 100 << 20
    other_bytes_max: int = 16 << 20
    inflated_bytes_max: int = 4 << 30
    chain_max: int = CHAIN_MAX
    memory_bytes_max: int = 1 << 30
    cpu_s_max: int = 300
    wall_s_max: float = 600.0

    @property
    def objects(self) -> PackLimits:
        """The part that is judged object by object."""
        return PackLimits(
            self.inflated_bytes_max, self.blob_bytes_max, self.other_bytes_max, self.chain_max
        )


class Grant(NamedTuple):
    """Processor seconds and bytes of memory that git may use for a pack."""

    cpu_s: int
    memory_bytes: int


def grant_for(limits: Limits, scan: PackScan, count: int) -> Grant:
    """What a pack of `count` objects, as far as it was read, may ask of git: a chain or a bomb that
    would cost more than its size tells ends git.
    """
    cpu_s = _CPU_S + scan.inflated_bytes // _BYTES_A_CPU_S + count // _OBJECTS_A_CPU_S
    memory_bytes = MEMORY_BYTES + _COPIES * scan.held_bytes + _OBJECT_BYTES * count
    return Grant(min(limits.cpu_s_max, cpu_s), min(limits.memory_bytes_max, memory_bytes))
