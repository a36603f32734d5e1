"""`git kv verify`: finds what this clone has of a namespace, and has it re-verified, offline.

What is right is `verifying/`'s and the second opinion's to say.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from gitkv.client.replica import Replica
from gitkv.client.state import trusted_state
from gitkv.client.verify_refs import seen_refs
from gitkv.errors import IntegrityError, ToolError, UsageError
from gitkv.git.object_store import GitObjectStore
from gitkv.git.process import DAMAGED
from gitkv.model.heads import Heads
from gitkv.model.verdict import Reason
from gitkv.reading.revisions import resolve_revision
from gitkv.sign.verifier import SignatureVerifier
from gitkv.verifying.anchors import parse_anchor
from gitkv.verifying.history import Request, Seen, Verified, verify_ledger

# What is missing in a partial clone stays missing: to verify asks no network.
_OFFLINE = {"GIT_NO_LAZY_FETCH": "1"}


def verify(
    replica: Replica,
    since: str,
    to: str,
    anchors: Sequence[str] = (),
    *,
    with_chunks: bool = True,
) -> Verified:
    """Raises UsageError for a revision that is not in the ledger or for an invalid anchor,
    ToolError without a ledger or its index.
    """
    try:
        pinned = tuple(parse_anchor(text) for text in anchors)
    except ValueError as error:
        raise UsageError(str(error)) from None
    seen = seen_refs(replica, _heads(replica))
    first, last = _range(replica, seen, since, to)
    verifier = SignatureVerifier(os.path.join(replica.directory, "gnupg"), replica.host.env)
    with GitObjectStore(replica.git.with_extra(_OFFLINE)) as objects:
        with_chunks = with_chunks and replica.has_all_chunks
        request = Request(first, last, pinned, with_chunks=with_chunks)
        found = verify_ledger(seen, request, objects, verifier)
    return found._replace(reasons=tuple(_advised(entry) for entry in found.reasons))


def _advised(found: Reason) -> Reason:
    """What is missing here need not be missing elsewhere."""
    return found._replace(hint=DAMAGED) if found.rule == "object.missing" else found


def _heads(replica: Replica) -> Heads:
    try:
        heads = replica.heads()
    except IntegrityError as error:
        if replica.trouble() is not None:
            raise
        hint = "git fetch REMOTE '+refs/kv*:refs/kv*', or: git kv remote setup"
        raise ToolError(
            f"namespace {replica.ns} is not here as a whole: {error}", hint=hint
        ) from None
    if heads is None:
        raise replica.no_ledger()
    return heads


def _range(replica: Replica, seen: Seen, since: str, to: str) -> tuple[int, int | None]:
    try:
        first = resolve_revision(trusted_state(replica), since).seq if since else -1
        last = resolve_revision(trusted_state(replica), to).seq if to else None
    except IntegrityError as error:
        if seen.gaps:
            raise ToolError(
                f"{seen.gaps[0].what} {error}", hint=f"run: {seen.gaps[0].hint}"
            ) from None
        raise
    if last is not None and first > last:
        raise UsageError(f"--from {since} comes after --to {to}")
    return first, last
