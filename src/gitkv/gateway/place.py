"""Whether this place has everything that the mirror has confirmed since it served here last
(docs/adr/0014). Where it has, a mirror that cannot be reached need not stop the writers.
"""

from __future__ import annotations

from gitkv.gateway.gate import Gate
from gitkv.model.oid import Oid
from gitkv.ports import History, Host


def is_known_place(host: Host, gate: Gate, history: History) -> bool:
    """Whether this place served here last, and has all that the mirror had confirmed."""
    confirmed = host.remembered()
    if confirmed is None:
        return False
    return all(holds(gate, history, gate.refs.read(ref), oid) for ref, oid in confirmed.items())


def holds(gate: Gate, history: History, ours: Oid | None, other: Oid) -> bool:
    """Whether our ref stands at the other commit, or after it."""
    if ours is None or ours == other:
        return ours == other
    return gate.objects.has(other) and history.is_ancestor(other, ours)
