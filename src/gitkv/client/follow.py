"""Following others: fetching their tips into tracking refs, and trusting them only forward.

A mirror may lag. It may not go back behind what it showed before, and nobody may show a history
that leaves the one we trust.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from gitkv.client.edge import pauses
from gitkv.client.freshness import mark_fresh
from gitkv.client.replica import Heads, Replica, TornPairError
from gitkv.errors import (
    BusyError,
    GitKvError,
    IntegrityError,
    ToolError,
    UnavailableError,
    UsageError,
)
from gitkv.git import transport
from gitkv.git.ancestry import is_ancestor
from gitkv.ledger.compose import Tip
from gitkv.model.oid import Oid
from gitkv.model.refs import Ref, index_ref, ledger_ref, tracking_ref

_MOVES_MAX = 20
_FETCHES_MAX = 8


class GoneBackError(IntegrityError):
    """The authority shows an older state than the one trusted here, if that was trusted already
    when the authority was asked.
    """


class Source(NamedTuple):
    """Where tips come from. `address`: what git fetches from; `tracking`: the remote's name in
    tracking refs; `name`: for messages.

    An authority is never behind what we trust; a mirror may be.

    """

    name: str
    address: str
    tracking: str
    is_authority: bool


def mirror_of(replica: Replica) -> Source:
    return Source(f"the mirror {replica.remote}", replica.remote, replica.remote, False)


def stargate_of(replica: Replica) -> Source:
    """Raises UsageError when no Stargate is set up."""
    if not replica.remote or not replica.push_url:
        raise UsageError("this repository has no Stargate", hint="run: git kv remote setup")
    return Source("Stargate", replica.push_url, f"{replica.remote}-stargate", True)


def follow(replica: Replica, source: Source) -> Tip:
    """Fetches a source's tip and adopts it if it leads forward; the trusted tip after that.

    Raises IntegrityError for a rewound or forked history, UnavailableError when the source cannot
    be reached.
    """
    problem: IntegrityError | None = None
    for _ in pauses(replica.edge, _FETCHES_MAX, 0.05, 1.0):
        known = replica.heads()
        try:
            tip = adopt(replica, fetch_heads(replica, source), source)
        except (
            TornPairError
        ) as error:  # read while the host was moving its refs: only a pair that stays is wrong
            problem = error
        except GoneBackError as error:
            if replica.heads() == known:
                raise
            problem = error  # another command of this clone has written since we asked
        else:
            mark_fresh(replica)
            return tip
    assert problem is not None
    raise problem


def fetch_heads(replica: Replica, source: Source) -> Heads:
    """Fetches the namespace's refs into the source's tracking refs; the heads among them. Raises
    UnavailableError, IntegrityError.
    """
    refs = [ledger_ref(replica.ns), index_ref(replica.ns)]
    ours = [tracking_ref(source.tracking, ref) for ref in refs]
    refspecs = [
        f"{os.fsdecode(ref)}:{os.fsdecode(own)}" for ref, own in zip(refs, ours, strict=True)
    ]
    for kind, tail in (
        ("kv-mirror", "*"),
        ("kv-watchlog", "@*"),
    ):  # patterns: an ordinary mirror may lack them
        refspecs.append(
            f"refs/{kind}/{replica.ns}{tail}:refs/remotes/{source.tracking}/{kind}/{replica.ns}{tail}"
        )
    refspecs.append(
        f"+refs/heads/main*:refs/remotes/{source.tracking}/main*"
    )  # receipts name the policy they were judged by
    before = _whole(replica, ours)
    try:
        _fetch(replica, source, refspecs)
    except (ToolError, UnavailableError) as error:
        _explain(replica, source, before, error)
        raise
    heads = replica.read_heads(ours[0], ours[1])
    if heads is None:
        raise IntegrityError(
            f"{source.name} was fetched, and yet {os.fsdecode(ours[0])} is not there"
        )
    return heads


def _whole(replica: Replica, refs: list[Ref]) -> Heads | None:
    """The heads in tracking refs; None also for a half: a fetch that was killed between two refs is
    simply done again.
    """
    try:
        return replica.read_heads(refs[0], refs[1])
    except IntegrityError:
        return None


def _fetch(replica: Replica, source: Source, refspecs: list[str]) -> None:
    """Fetches; when another command of this clone fetches the same, once more after it."""
    problem: BusyError | None = None
    for _ in pauses(replica.edge, _FETCHES_MAX, 0.05, 1.0):
        try:
            transport.fetch(replica.git, source.address, refspecs)
        except BusyError as error:
            problem = error
        else:
            return
    assert problem is not None
    raise problem


def adopt(replica: Replica, heads: Heads, source: Source) -> Tip:
    """The trusted tip after what `source` showed was taken into account: moved forward, or kept
    when the source lags.

    Raises IntegrityError when its history leaves ours, or an authority is behind us,
    UnavailableError when the trusted refs stay locked.
    """
    busy: BusyError | None = None
    for _ in range(_MOVES_MAX):
        trusted = replica.heads()
        if trusted == heads:
            return replica.read_pair(heads)
        if trusted is not None and not leads_on(replica, trusted[0], heads[0], source):
            return replica.tip()
        tip = replica.read_pair(heads)
        if trusted is not None and not is_ancestor(replica.git, trusted[1], heads[1]):
            raise _forked(replica, source, "index", trusted[1], heads[1])
        try:
            if replica.move(trusted, heads):
                return tip
        except BusyError as error:
            busy = error
        replica.edge.sleep(0.01)  # another process moves the same refs
    raise busy or UnavailableError(f"the refs of {replica.ns} are busy", hint="try again")


def leads_on(replica: Replica, trusted: Oid, shown: Oid, source: Source) -> bool:
    """Whether `shown` comes after `trusted`; False when a mirror lags. Raises IntegrityError for
    anything else.
    """
    if is_ancestor(replica.git, trusted, shown):
        return True
    if not is_ancestor(replica.git, shown, trusted):
        raise _forked(replica, source, "ledger", trusted, shown)
    if source.is_authority:
        raise GoneBackError(
            f"{source.name} has gone back: it shows {shown.hex()}, expected {trusted.hex()} or a "
            "commit after it",
            hint="tell the operator: an old backup may have been restored; nothing was adopted",
        )
    return False


def _explain(replica: Replica, source: Source, before: Heads | None, error: GitKvError) -> None:
    """git refuses to move a tracking ref back and says so in no stable words: what the source shows
    now tells.

    Raises IntegrityError when it left its own history; returns when the failure was another one.

    """
    if before is None:
        return
    refs = [os.fsdecode(ledger_ref(replica.ns)), os.fsdecode(index_ref(replica.ns))]
    shown = transport.ls_remote(replica.git, source.address, refs)
    for ref, was in zip(refs, before, strict=True):
        if ref.encode() not in shown:
            raise IntegrityError(
                f"{source.name} no longer has {ref}, which was {was.hex()}"
            ) from error
    transport.fetch(replica.git, source.address, refs)  # objects only, no tracking ref
    for what, old, new in zip(
        ("ledger", "index"), before, [shown.get(Ref(ref.encode())) for ref in refs], strict=True
    ):
        if new is None or not replica.has_commit(new) or is_ancestor(replica.git, old, new):
            continue
        how = (
            "was rewound"
            if is_ancestor(replica.git, new, old)
            else "has another history than before"
        )
        raise IntegrityError(
            f"{source.name} {how}: its {what} was {old.hex()}, now it shows {new.hex()}",
            hint=_advice(replica, source),
        ) from error


def _advice(replica: Replica, source: Source) -> str:
    """What to do about a history that does not lead on from ours. Where a clone was cut short, the
    missing link may just not be here.
    """
    if os.path.exists(os.path.join(replica.repository.common_dir, "shallow")):
        return (
            "nothing was adopted; this clone is shallow, so first: git fetch --unshallow "
            f"{source.address}"
        )
    return "nothing was adopted; compare with Stargate: git kv get --read-from=stargate"


def _forked(
    replica: Replica, source: Source, what: str, trusted: Oid, shown: Oid
) -> IntegrityError:
    return IntegrityError(
        f"{source.name} shows another history: its {what} {shown.hex()} does not descend from the "
        f"trusted {trusted.hex()}",
        hint=_advice(replica, source),
    )
