"""Healing a clone whose files are damaged: what is torn is put aside, and everything is fetched
again, the person's own branches too where a remote has them. What the clone trusts after that is
decided by `repair.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from gitkv.client.replica import Replica
from gitkv.client.trust.shown import Source
from gitkv.errors import GitKvError, MachineError
from gitkv.git import lost_refs, transport
from gitkv.git.damage import put_damage_aside
from gitkv.git.fetch_bounds import ANY
from gitkv.git.ref_store import GitRefStore
from gitkv.model.oid import Oid
from gitkv.model.refs import Ref
from gitkv.model.verdict import printable

_OURS = (b"refs/kv", b"refs/remotes/")


def heal(replica: Replica, source: Source) -> Iterator[str]:
    """What was put aside, what came back and what did not, a line each, while it happens; nothing
    in a clone that is whole.

    Raises UnavailableError when the source cannot be reached, MachineError. The next call goes on.
    """
    try:
        yield from _heal(replica, source)
    except OSError as error:
        raise MachineError(f"the clone cannot be read or written: {error}") from None


def _heal(replica: Replica, source: Source) -> Iterator[str]:
    git = replica.git
    for path in put_damage_aside(git):
        lost_refs.begin(git)
        yield f"{path} was damaged"
    replica.objects.close()
    for ref, oid in lost_refs.put_lost_refs_aside(git, replica.objects).items():
        yield f"{printable(ref)} named {oid.hex()}, which is not here"
    if not lost_refs.is_unfinished(git) and lost_refs.is_complete(git, _refs(replica, ours=True)):
        return
    lost_refs.begin(git)
    yield from _fetch_again(replica, source)
    replica.objects.close()
    yield from _report(replica)


def _refs(replica: Replica, *, ours: bool) -> dict[Ref, Oid]:
    refs = GitRefStore(replica.git).read_all()
    return {ref: oid for ref, oid in refs.items() if ref.startswith(_OURS) == ours}


def _fetch_again(replica: Replica, source: Source) -> Iterator[str]:
    ns, home = replica.ns, f"refs/remotes/{source.tracking}"
    names = [f"kv/{ns}", f"kv-index/{ns}", f"kv-watchlog/{ns}@*"]
    pairs = [f"+refs/{name}:{home}/{name}" for name in names]
    transport.fetch(replica.git, source.address, pairs, refetch=True)
    yield f"everything was fetched again from {source.name}"
    replica.objects.close()
    theirs = {**lost_refs.aside(replica.git), **_refs(replica, ours=False)}
    theirs = {ref: oid for ref, oid in theirs.items() if not ref.startswith(_OURS)}
    if lost_refs.is_complete(replica.git, theirs):
        return
    for name in _remotes(replica):
        pairs = [f"+refs/heads/*:refs/remotes/{name}/*"]
        try:
            transport.fetch(replica.git, name, pairs, refetch=True, limits=ANY)
        except GitKvError as error:
            yield f"the branches of remote {printable(name)} could not be fetched again: {error}"


def _remotes(replica: Replica) -> list[str]:
    """Where the person's own branches may be."""
    return [
        name.removeprefix("remote.").removesuffix(".url")
        for name in replica.config
        if name.startswith("remote.") and name.endswith(".url")
    ]


def _report(replica: Replica) -> Iterator[str]:
    """The refs that are whole again, and what could not be healed."""
    git = replica.git
    _, lost = lost_refs.put_back(git, replica.objects)
    record = lost_refs.finish(git)
    for ref, oid in lost.items():
        if not ref.startswith(_OURS):
            yield (
                f"{printable(ref)} is not healed: {oid.hex()} is nowhere to be had; the ref was "
                f"put aside to {record}; with a copy of the commit: {_way_back(ref, oid)}"
            )
    for ref, oid in _refs(replica, ours=False).items():
        if not lost_refs.is_complete(git, {ref: oid}):
            yield (
                f"{printable(ref)} is not healed: objects that it needs are nowhere to be had; "
                "git fsck lists them, and a copy of the branch has them"
            )


def _way_back(ref: Ref, oid: Oid) -> str:
    if not ref.startswith(b"refs/"):
        return f"git checkout --detach {oid.hex()}"
    return f"git update-ref {printable(ref)} {oid.hex()}"
