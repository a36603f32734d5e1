"""Namespaces and the refs git-kv owns (`docs/spec/format.md`, section Refs). Everything here is
over bytes, with full matches.
"""

from __future__ import annotations

import re
from typing import NamedTuple, NewType

from gitkv.model.oid import Oid

Ref = NewType("Ref", bytes)
Namespace = NewType("Namespace", str)
EpochLabel = NewType("EpochLabel", str)

_NAMESPACE = re.compile(rb"[a-z0-9][a-z0-9._-]{0,62}")
_EPOCH = re.compile(rb"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")

FIRST_EPOCH = EpochLabel("e1")  # of a new ledger
POLICY_REF = Ref(b"refs/heads/main")
POLICY_PATH = ".kv/policy.yaml"
LEDGER = b"refs/kv/"
INDEX = b"refs/kv-index/"
CHUNKS = b"refs/kv-chunks/"
WATCHLOG = b"refs/kv-watchlog/"
WATERMARK = b"refs/kv-mirror/"
STAGING = b"refs/kv-staging/"  # on a mirror: chunks that have come before their ledger
AUDITED = b"refs/kv-audited/"  # how far the deep audit has come
SUSPENDED = b"refs/kv-suspended/"  # who may write nothing, and under which policy commit
UNAUDITED = b"refs/kv-unaudited/"  # what the pack of a push held that is not audited yet
# Stargate's own: never shown to clients, taken from them, or brought to the mirror
PRIVATE = (AUDITED, SUSPENDED, UNAUDITED)


def parse_namespace(text: bytes) -> Namespace:
    """Raises ValueError unless the whole of `text` is a namespace, and one that git can keep as a
    ref.
    """
    if _NAMESPACE.fullmatch(text) is None or b".." in text or text.endswith((b".", b".lock")):
        raise ValueError(
            f"namespace {_show(text)} is not valid: expected [a-z0-9][a-z0-9._-]{{0,62}}, no '..', "
            "no final '.' or '.lock'"
        )
    return Namespace(text.decode("ascii"))


def parse_epoch(text: bytes) -> EpochLabel:
    """Raises ValueError unless the whole of `text` is an epoch label: 1 to 63 of [A-Za-z0-9_-]."""
    if _EPOCH.fullmatch(text) is None:
        raise ValueError(
            f"epoch label {_show(text)} is not valid: expected [A-Za-z0-9][A-Za-z0-9_-]{{0,62}}"
        )
    return EpochLabel(text.decode("ascii"))


def _show(text: bytes) -> str:
    return repr(text[:80].decode("utf-8", "backslashreplace"))


def ledger_ref(ns: Namespace) -> Ref:
    """The ref of a namespace's ledger."""
    return Ref(LEDGER + ns.encode())


def index_ref(ns: Namespace) -> Ref:
    """The ref of a namespace's index."""
    return Ref(INDEX + ns.encode())


def chunks_ref(ns: Namespace, epoch: EpochLabel) -> Ref:
    """The ref of a namespace's chunk store in one epoch."""
    return Ref(b"%b%b@%b" % (CHUNKS, ns.encode(), epoch.encode()))


def watchlog_ref(ns: Namespace, epoch: EpochLabel) -> Ref:
    """The ref of a namespace's watchlog in one epoch."""
    return Ref(b"%b%b@%b" % (WATCHLOG, ns.encode(), epoch.encode()))


def watermark_ref(ns: Namespace) -> Ref:
    """The ref that tells how far the mirror has a namespace."""
    return Ref(WATERMARK + ns.encode())


def audited_ref(ns: Namespace) -> Ref:
    """The ref that tells how far a namespace has been audited."""
    return Ref(AUDITED + ns.encode())


def suspended_ref(principal: str) -> Ref:
    """The ref that names the policy commit under which a principal was suspended; the name is in
    hex, for git keeps not every name.
    """
    return Ref(SUSPENDED + principal.encode().hex().encode())


def unaudited_ref(ns: Namespace, entry: Oid) -> Ref:
    """The ref of the record of what a push held; `entry`: its last watchlog entry."""
    return Ref(b"%b%b/%b" % (UNAUDITED, ns.encode(), entry.hex().encode()))


def tracking_ref(remote: str, ref: Ref) -> Ref:
    """Where a clone keeps what it fetched of `ref`, before it trusts it: refs/kv/main ->
    refs/remotes/origin/kv/main.
    """
    return Ref(b"refs/remotes/%b/%b" % (remote.encode(), ref.removeprefix(b"refs/")))


class RefUpdate(NamedTuple):
    """One ref's move; ZERO_OID as `old` means it must not exist yet, as `new` means deletion."""

    ref: Ref
    old: Oid
    new: Oid
