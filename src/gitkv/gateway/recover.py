"""Start-up: what a killed gateway left is put right without a hand, and what cannot be is reported,
never guessed.
"""

from __future__ import annotations

from collections.abc import Sequence

from gitkv.errors import IntegrityError
from gitkv.gateway.gate import Gate
from gitkv.gateway.own_key import check_own_key
from gitkv.gateway.stargate import Stargate
from gitkv.model.event import DaemonRecovered
from gitkv.model.heads import head_refs
from gitkv.model.refs import (
    AUDITED,
    CHUNKS,
    INDEX,
    LEDGER,
    WATCHLOG,
    WATERMARK,
    Namespace,
    audited_ref,
    parse_namespace,
)
from gitkv.model.verdict import FormError

_FAMILIES = (LEDGER, INDEX, AUDITED, WATERMARK)


def recover(stargate: Stargate) -> None:
    """To be called once, as the repository's only daemon, before anything is served.

    Raises IntegrityError when the state contradicts itself. Writes are held afterwards, until the
    mirror has been looked at (`Mirror.begin`).
    """
    gate, host = stargate.gate, stargate.host
    settings = host.settings()
    unlocked = host.unlock()
    outcome = stargate.journal.recover(stargate.lease.fence())
    swept = host.sweep_quarantine() + host.sweep_drafts()
    if unlocked or outcome or swept:
        stargate.report(DaemonRecovered(unlocked, outcome or "none", len(swept)))
    host.check_view()
    _check_namespaces(gate, settings.namespaces)
    check_own_key(stargate.own_key, gate.policy().policy)
    stargate.known.load(gate.refs, gate.objects, stargate.history)
    stargate.hold.begin("the mirror has not been looked at yet")


def _check_namespaces(gate: Gate, expected: Sequence[Namespace]) -> None:
    """Ledger, index, watchlog and mark of every namespace are there, and stand at the same
    transaction (they move as one). A namespace is one that `config` or any ref names.
    """
    refs = gate.refs.read_all()
    named = {
        ref.removeprefix(family) for family in _FAMILIES for ref in refs if ref.startswith(family)
    }
    named |= {
        ref.removeprefix(family).rpartition(b"@")[0]
        for family in (WATCHLOG, CHUNKS)
        for ref in refs
        if ref.startswith(family)
    }
    try:
        found = {*expected, *(parse_namespace(name) for name in named)}
    except ValueError as error:
        raise IntegrityError(f"packed-refs: {error}") from None
    for ns in sorted(found):
        for ref in (*head_refs(ns), audited_ref(ns)):
            if ref not in refs:
                raise IntegrityError(
                    f"{ref.decode()} is missing: packed-refs is cut short or older than the rest",
                    hint="restore it from a backup or the mirror: docs/operate/backup.md",
                )
        _check_agreement(gate, ns)


def _check_agreement(gate: Gate, ns: Namespace) -> None:
    try:
        tip = gate.tip(ns)
        if tip is None:
            raise IntegrityError(f"refs/kv-index/{ns} is missing")
        entry = gate.entry(gate.watchlog_tip(tip))
    except FormError as error:
        raise IntegrityError(f"namespace {ns}: {error}") from error
    if entry.heads != tip.heads:
        raise IntegrityError(
            f"namespace {ns}: the newest watchlog entry is not for the tip {tip.ledger.oid.hex()}"
        )
