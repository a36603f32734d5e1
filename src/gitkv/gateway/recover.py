"""Start-up: what a killed gateway left is put right without a hand, and what cannot be is reported,
never guessed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

from gitkv.errors import IntegrityError
from gitkv.gateway.fitness import check_files, read_settings
from gitkv.gateway.own_key import check_own_key
from gitkv.gateway.stargate import Stargate
from gitkv.git.quarantine_folder import sweep
from gitkv.model.heads import head_refs
from gitkv.model.refs import (
    AUDITED,
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
_OTHER_VIEWS = ("shallow", "info/grafts", "objects/info/alternates", "objects/info/http-alternates")


def recover(stargate: Stargate) -> None:
    """To be called once, as the repository's only daemon, before anything is served.

    Raises IntegrityError when the state contradicts itself. Writes are held afterwards, until the
    mirror has been looked at (`Mirror.begin`).
    """
    check_files(stargate.git_dir)
    settings = read_settings(stargate.git)
    unlocked = stargate.refs.recover()
    outcome = stargate.journal.recover(stargate.lease.fence())
    swept = sweep(stargate.git_dir) + _sweep_drafts(stargate.git_dir)
    if unlocked or outcome or swept:
        stargate.report(
            "recovered", {"locks": unlocked, "intent": outcome or "none", "swept": len(swept)}
        )
    stargate.refs.check()
    _check_no_other_view(stargate)
    _check_namespaces(stargate, settings.namespaces)
    check_own_key(stargate)
    stargate.load_transaction_ids()
    stargate.hold_writes("the mirror has not been looked at yet")


def _check_no_other_view(stargate: Stargate) -> None:
    """Nothing in the repository makes git show another history, or other objects, than those the
    refs name.
    """
    found = [path for path in _OTHER_VIEWS if os.path.lexists(os.path.join(stargate.git_dir, path))]
    found += [
        ref.decode("ascii", "backslashreplace") for ref in stargate.refs.read_all(b"refs/replace/")
    ]
    if found:
        raise IntegrityError(
            f"the repository shows more than its own objects: {', '.join(found[:5])}",
            hint="find out who made it, then remove it",
        )


def _check_namespaces(stargate: Stargate, expected: Sequence[Namespace]) -> None:
    """Ledger, index, watchlog and mark of every namespace are there, and stand at the same
    transaction (they move as one). A namespace is one that `config` or any ref names.
    """
    refs = stargate.refs.read_all()
    named = {
        ref.removeprefix(family) for family in _FAMILIES for ref in refs if ref.startswith(family)
    }
    named |= {ref[len(WATCHLOG) :].rpartition(b"@")[0] for ref in refs if ref.startswith(WATCHLOG)}
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
        _check_agreement(stargate, ns)


def _check_agreement(stargate: Stargate, ns: Namespace) -> None:
    try:
        tip = stargate.tip(ns)
        if tip is None:
            raise IntegrityError(f"refs/kv-index/{ns} is missing")
        entry = stargate.entry(stargate.watchlog_tip(tip))
    except FormError as error:
        raise IntegrityError(f"namespace {ns}: {error}") from error
    if entry.heads != tip.heads:
        raise IntegrityError(
            f"namespace {ns}: the newest watchlog entry is not for the tip {tip.ledger.oid.hex()}"
        )


def _sweep_drafts(git_dir: str) -> list[str]:
    """Removes temporary files of killed children from the object store."""
    removed = []
    for folder, _, names in os.walk(os.path.join(git_dir, "objects")):
        for name in names:
            if name.startswith(("tmp_obj_", "tmp_pack_", "tmp_idx_", "tmp_rev_", ".tmp-")):
                with suppress(FileNotFoundError):
                    os.unlink(os.path.join(folder, name))
                removed.append(name)
    return removed
