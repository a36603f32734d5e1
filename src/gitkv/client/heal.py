"""Healing a clone whose files are damaged: what is torn is put aside, and everything is fetched
again. What it trusts after that is decided by `repair.py`.
"""

from __future__ import annotations

from gitkv.client.replica import Replica
from gitkv.client.trust.shown import Source
from gitkv.errors import MachineError
from gitkv.git import transport
from gitkv.git.damage import put_damage_aside
from gitkv.git.ref_store import GitRefStore
from gitkv.model.oid import ZERO_OID
from gitkv.model.refs import RefUpdate

_OURS = (b"refs/kv", b"refs/remotes/")


def heal(replica: Replica, source: Source) -> list[str]:
    """What was put aside or forgotten, one line each; nothing in a clone that is whole.

    Raises UnavailableError when the source cannot be reached, MachineError.
    """
    try:
        lines = [f"{path} was damaged" for path in put_damage_aside(replica.git)]
    except OSError as error:
        raise MachineError(f"the clone cannot be read: {error}") from None
    replica.objects.close()
    refs = GitRefStore(replica.git)
    ours = {ref: oid for ref, oid in refs.read_all().items() if ref.startswith(_OURS)}
    kinds = dict(zip(ours, replica.objects.kinds(ours.values()), strict=True))
    lost = [RefUpdate(ref, oid, ZERO_OID) for ref, oid in ours.items() if kinds[ref] is None]
    if lost:
        refs.move(lost)
    lines += [f"{ref.decode()} named {oid.hex()}, which is not here" for ref, oid, _ in lost]
    if lines or not _is_complete(replica, [oid.hex() for oid in ours.values()]):
        _fetch_again(replica, source)
        replica.objects.close()
        lines.append(f"everything was fetched again from {source.name}")
    return lines


def _is_complete(replica: Replica, tips: list[str]) -> bool:
    """Whether all that the tips reach is here."""
    words = "".join(f"{tip}\n" for tip in tips).encode()
    listed = replica.git.run(
        "rev-list", "--objects", "--quiet", "--stdin", stdin=words, check=False
    )
    return listed.code == 0


def _fetch_again(replica: Replica, source: Source) -> None:
    ns, home = replica.ns, f"refs/remotes/{source.tracking}"
    names = [f"kv/{ns}", f"kv-index/{ns}", f"kv-watchlog/{ns}@*"]
    pairs = [f"+refs/{name}:{home}/{name}" for name in names]
    transport.fetch(replica.git, source.address, pairs, refetch=True)
