"""Start-up: what a killed gateway left is put right without a hand, and what cannot be is reported,
never guessed.
"""

from __future__ import annotations

import os
from contextlib import suppress

from gitkv.errors import IntegrityError
from gitkv.gateway.background_audit import pending_entries
from gitkv.gateway.commit import recover_intent
from gitkv.gateway.own_key import check_own_key
from gitkv.gateway.sent_objects import sweep_sent
from gitkv.gateway.stargate import Stargate
from gitkv.git.quarantine import sweep
from gitkv.model.refs import audited_ref
from gitkv.model.verdict import FormError

_OTHER_VIEWS = ("shallow", "info/grafts", "objects/info/alternates", "objects/info/http-alternates")


def recover(stargate: Stargate) -> None:
    """To be called once, as the repository's only daemon, before anything is served.

    Raises IntegrityError when the state contradicts itself.
    """
    unlocked = stargate.refs.recover()
    outcome = recover_intent(stargate)
    swept = sweep(stargate.git_dir) + _sweep_drafts(stargate.git_dir)
    if unlocked or outcome or swept:
        stargate.report(
            "recovered", {"locks": unlocked, "intent": outcome or "none", "swept": len(swept)}
        )
    stargate.refs.check()
    _check_no_other_view(stargate)
    _check_namespaces(stargate)
    sweep_sent(
        stargate,
        [
            entry.entry_oid
            for ns in stargate.namespaces()
            for entry in pending_entries(stargate, ns)
        ],
    )
    check_own_key(stargate)
    stargate.load_transaction_ids()


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


def _check_namespaces(stargate: Stargate) -> None:
    """Ledger, index and watchlog of every namespace stand at the same transaction (they move as
    one).
    """
    for ns in stargate.namespaces():
        try:
            tip = stargate.tip(ns)
            if tip is None:
                raise IntegrityError(f"refs/kv-index/{ns} is missing")
            entry = stargate.entry(stargate.watchlog_tip(tip))
        except FormError as error:
            raise IntegrityError(f"namespace {ns}: {error}") from error
        if (entry.ledger, entry.index_oid) != (tip.ledger.oid, tip.index_oid):
            raise IntegrityError(
                f"namespace {ns}: the newest watchlog entry is not for the tip "
                f"{tip.ledger.oid.hex()}"
            )
        if stargate.refs.read(audited_ref(ns)) is None:
            raise IntegrityError(f"refs/kv-audited/{ns} is missing")


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
