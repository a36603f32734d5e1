"""What the mirror is to show, in parts that travel by themselves: the policy, and each namespace as
far as it is audited.
"""

from __future__ import annotations

from typing import NamedTuple

from gitkv.errors import GitKvError, IntegrityError
from gitkv.gateway.followers.follower import cause_of
from gitkv.gateway.gate import Gate
from gitkv.model.oid import Oid
from gitkv.model.refs import (
    CHUNKS,
    INDEX,
    LEDGER,
    POLICY_REF,
    WATCHLOG,
    Namespace,
    Ref,
    audited_ref,
    watchlog_ref,
    watermark_ref,
)

POLICY = ""  # the part that is no namespace
_OF_NAMESPACES = (INDEX, LEDGER, CHUNKS, WATCHLOG)


class Part(NamedTuple):
    """The refs that move there all or none, and where they are to stand. `judged_by`: the policy
    commit without which a reader can judge nothing of it, None for the policy itself.
    """

    refs: dict[Ref, Oid]
    judged_by: Oid | None = None


class Published(NamedTuple):
    """The parts by name, the policy first, and why some of them could not be read."""

    parts: dict[str, Part]
    unreadable: dict[str, str]

    @property
    def refs(self) -> dict[Ref, Oid]:
        """All refs of all parts."""
        return {ref: oid for part in self.parts.values() for ref, oid in part.refs.items()}


def published(gate: Gate) -> Published:
    """Raises GitKvError when the refs themselves cannot be read."""
    refs, found = gate.refs.read_all(), Published({}, {})
    if POLICY_REF in refs:
        found.parts[POLICY] = Part({POLICY_REF: refs[POLICY_REF]})
    for ns in gate.namespaces():
        mark = refs.get(audited_ref(ns))
        if mark is None:
            continue
        try:
            found.parts[ns] = _part(gate, ns, mark)
        except (GitKvError, ValueError, OSError) as error:
            found.unreadable[ns] = cause_of(error)
    return found


def published_refs(gate: Gate) -> dict[Ref, Oid]:
    """The refs of all parts. Raises IntegrityError when one cannot be read."""
    found = published(gate)
    for ns, why in found.unreadable.items():
        raise IntegrityError(f"{ns}: {why}")
    return found.refs


def part_of(ref: Ref) -> str | None:
    """The part that a ref of a mirror belongs to, whether we have it or not; None for a ref that is
    not one of ours, or that only says what was confirmed.
    """
    if ref == POLICY_REF:
        return POLICY
    for prefix in _OF_NAMESPACES:
        if ref.startswith(prefix):
            ns = ref.removeprefix(prefix)
            if prefix in (CHUNKS, WATCHLOG):
                ns = ns.rpartition(b"@")[0] or ns
            return ns.decode("utf-8", "backslashreplace")
    return None


def _part(gate: Gate, ns: Namespace, mark: Oid) -> Part:
    entry = gate.entry(mark)
    refs = {
        **entry.heads.by_ref(ns),
        watchlog_ref(ns, entry.epoch): mark,
        watermark_ref(ns): entry.heads.ledger,
    }
    return Part(refs, entry.policy)
