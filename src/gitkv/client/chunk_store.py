"""The chunk store as a clone has it: none of it until it is needed, then the trees for a write, or
the chunks of one value for a read. A repository that is the store itself has all.
"""

from __future__ import annotations

from collections.abc import Sequence

from gitkv.client.replica import Replica
from gitkv.errors import AccessError, GitKvError, IntegrityError, UnavailableError
from gitkv.git.partial import ByIdError, fetch_objects
from gitkv.ledger.compose import Tip
from gitkv.model.oid import Oid
from gitkv.reading.state import Chunks

_NO_FILTER = (
    "{source} does not leave chunks out where it is asked to: those that are not needed have come, "
    "too"
)


def require_trees(replica: Replica, tip: Tip) -> None:
    """Brings the trees of the tip's chunk store, without chunks, unless they are here. Raises
    UnavailableError, IntegrityError.
    """
    root = tip.trees.chunks_tree
    if root is not None and not replica.objects.has(root):
        bring(replica, [root])


def bring(replica: Replica, oids: Sequence[Oid]) -> None:
    """Fetches chunks, and trees with all that they reach but chunks, in one request; from the
    mirror, or from Stargate when it has not got them. A store has nowhere to fetch from.

    Raises UnavailableError, AccessError, IntegrityError.
    """
    from gitkv.client.trust.shown import mirror_of, stargate_of

    if not replica.remote:
        return
    sources = [mirror_of(replica), *([stargate_of(replica)] if replica.push_url else [])]
    problem: GitKvError | None = None
    for source in sources:
        try:
            if not fetch_objects(replica.git, source.address, oids):
                replica.host.warn(_NO_FILTER.format(source=source.name))
        except (UnavailableError, AccessError, IntegrityError) as error:
            problem = error
        except ByIdError:
            hint = "bring all chunks: git kv fetch --all-chunks"
            problem = UnavailableError(f"{source.name} gives no objects by their ids", hint=hint)
        else:
            return
    assert problem is not None
    raise problem


def chunks_of(replica: Replica, *, may_fetch: bool) -> Chunks:
    """Where a reader finds chunks. git fetches none for itself, one by one."""

    def fetch(oids: Sequence[Oid]) -> None:
        if replica.remote and not may_fetch:
            raise UnavailableError(
                f"{len(oids)} objects of large values are not in this clone, and nothing is to be "
                "fetched",
                hint="bring them first: git kv fetch --prefix P",
            )
        bring(replica, oids)

    return Chunks(replica.chunk_objects(), fetch)
