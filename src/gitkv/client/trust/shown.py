"""What a source shows of a namespace, before anything of it is believed."""

from __future__ import annotations

import os
from typing import NamedTuple

from gitkv.client.host import pauses
from gitkv.client.replica import Replica, TornPairError
from gitkv.errors import BusyError, IntegrityError, ToolError, UnavailableError, UsageError
from gitkv.git import transport
from gitkv.ledger.seek import read_ledger_commit
from gitkv.model.heads import Heads, head_refs, heads_among
from gitkv.model.oid import Oid
from gitkv.model.refs import (
    FIRST_EPOCH,
    Namespace,
    Ref,
    tracking_ref,
    watchlog_ref,
)
from gitkv.model.verdict import FormError, printable

ALL_CHUNKS = "kv.allChunks"  # true: the chunks of all large values are kept here

_FETCHES_MAX = 8
_CUT_SHORT = "couldn't find remote ref"


class GoneBackError(IntegrityError):
    """A source shows an older state than before, or an authority an older one than the one trusted
    here, if that was known already when it was asked.
    """


class NotVouchedError(TornPairError):
    """No receipt covers what is shown. Hosts move one ref after the other, so one may a moment
    later.
    """


class Source(NamedTuple):
    """Where tips come from. `address`: what git fetches from; `tracking`: the remote's name in
    tracking refs; `name`: for messages.

    An authority is never behind what we trust; a mirror may be. `pin`: the fingerprint of the
    gateway key that somebody demands, "" for none.
    """

    name: str
    address: str
    tracking: str
    is_authority: bool
    pin: str = ""


class Shown(NamedTuple):
    """`watchlog`: its newest entry of the ledger's epoch; that or `policy` may be missing."""

    heads: Heads
    watchlog: Oid | None
    policy: Oid | None


def mirror_source(remote: str, pin: str = "") -> Source:
    """The mirror of a remote, as a source. `pin`: the gateway's fingerprint, "" for none."""
    return Source(f"the mirror {remote}", remote, remote, False, pin)


def mirror_of(replica: Replica) -> Source:
    """The mirror that a replica reads from. Raises UsageError without such a remote."""
    require_remote(replica)
    return mirror_source(replica.remote)


def require_remote(replica: Replica) -> None:
    """Raises UsageError when the remote that is configured to have a Stargate does not exist."""
    if not replica.config.get(f"remote.{replica.remote}.url"):
        raise UsageError(
            f"kv.remote is {printable(replica.remote)}: there is no such remote",
            hint="name one that git remote lists: git kv remote setup --remote NAME",
        )


def stargate_of(replica: Replica) -> Source:
    """Raises UsageError when no Stargate is set up, PolicyError with what is missing in a clone
    that was set up for reading.
    """
    if not replica.remote:
        raise UsageError("this repository has no Stargate", hint="run: git kv remote setup")
    require_remote(replica)
    if not replica.push_url:
        from gitkv.client.signing_key import explain_reader

        raise explain_reader(replica)
    return Source("Stargate", replica.push_url, f"{replica.remote}-stargate", True)


def fetch_shown(replica: Replica, source: Source) -> Shown:
    """Fetches the namespace's refs, the watchlog and the policy into the source's tracking refs,
    which show what it shows, right or wrong: nothing is judged here.

    Raises UnavailableError when it cannot be reached, IntegrityError when a ref it had is gone.
    """
    ns = replica.ns
    pairs = [
        f"+{name}:refs/remotes/{source.tracking}/{name.removeprefix('refs/')}"
        for name in map(os.fsdecode, head_refs(ns))
    ]
    # Patterns where a source may lack the ref: what is missing is told by its own name.
    pairs += [
        f"+refs/{kind}/{ns}{tail}:refs/remotes/{source.tracking}/{kind}/{ns}{tail}"
        for kind, tail in (("kv-mirror", "*"), ("kv-watchlog", "@*"))
    ]
    if replica.has_all_chunks and not source.is_authority:
        pairs.append(chunks_pair(ns, source))
    pairs.append(_policy_pair(source))
    try:
        _fetch(replica, source, pairs)
    except (ToolError, UnavailableError) as error:
        if _CUT_SHORT in str(error):
            _require_refs(replica, source)
        raise
    return tracked(replica, source)


def chunks_pair(ns: Namespace, source: Source) -> str:
    """The chunk store, with all that it reaches: only for who wants it."""
    return f"+refs/kv-chunks/{ns}@*:refs/remotes/{source.tracking}/kv-chunks/{ns}@*"


def fetch_policy(replica: Replica, source: Source) -> Oid | None:
    """The policy commit that a source shows, None when it has none. Nothing is judged here. Raises
    UnavailableError.
    """
    _fetch(replica, source, [_policy_pair(source)])
    name = _policy_tracked(source)
    return replica.read_refs([name]).get(name)


def tracked(replica: Replica, source: Source) -> Shown:
    """What was fetched last. Raises IntegrityError when there is no ledger among it."""
    refs = {tracking_ref(source.tracking, ref): ref for ref in head_refs(replica.ns)}
    found = replica.read_refs([*refs, _policy_tracked(source)])
    heads = heads_among({refs[ref]: oid for ref, oid in found.items() if ref in refs}, replica.ns)
    if heads is None:
        raise IntegrityError(
            f"{source.name} was fetched, and yet its refs of {replica.ns} are not here"
        )
    log = tracking_ref(source.tracking, watchlog_name(replica, heads.ledger))
    return Shown(heads, replica.read_refs([log]).get(log), found.get(_policy_tracked(source)))


def watchlog_name(replica: Replica, ledger: Oid) -> Ref:
    """The watchlog of the epoch that a ledger commit says it is of; of the first one for a commit
    that is none.
    """
    try:
        epoch = read_ledger_commit(ledger, replica.load).attestation.epoch
    except FormError:
        epoch = FIRST_EPOCH
    return watchlog_ref(replica.ns, epoch)


def _policy_pair(source: Source) -> str:
    """The policy is on main whatever the source's HEAD is."""
    return f"+refs/heads/main*:refs/remotes/{source.tracking}/main*"


def _policy_tracked(source: Source) -> Ref:
    return Ref(b"refs/remotes/%b/main" % source.tracking.encode())


def _fetch(replica: Replica, source: Source, refspecs: list[str]) -> None:
    """Fetches; when another command of this clone fetches the same, once more after it."""
    problem: BusyError | None = None
    for _ in pauses(replica.host, _FETCHES_MAX, 0.05, 1.0):
        try:
            transport.fetch(replica.git, source.address, refspecs)
        except BusyError as error:
            problem = error
        else:
            return
    assert problem is not None
    raise problem


def _require_refs(replica: Replica, source: Source) -> None:
    """Raises IntegrityError when a ref is not there that was trusted, ToolError for a namespace
    that never was.
    """
    refs = head_refs(replica.ns)
    there = transport.ls_remote(replica.git, source.address, [os.fsdecode(ref) for ref in refs])
    missing = [os.fsdecode(ref) for ref in refs if ref not in there]
    if missing and replica.heads() is not None:
        raise IntegrityError(
            f"{source.name} no longer has {missing[0]}", hint="nothing was adopted"
        )
    if missing:
        raise ToolError(
            f"{source.name} has no namespace {replica.ns}: {missing[0]} is not there",
            hint="is it the mirror of a git-kv store? name another namespace with --ns",
        )
