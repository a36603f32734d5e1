"""What a clone reads from: the state it trusts, brought up to date first where asked for."""

from __future__ import annotations

from gitkv.client.refresh import LOCAL, refresh
from gitkv.client.replica import Replica
from gitkv.reading.state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gitkv.model.oid import Oid
    from gitkv.model.policy import Policy
    from gitkv.reading.state import Chunks


def fresh_state(
    replica: Replica, read_from: str, *, at: str = "", allow_expired: bool = False
) -> State:
    """The trusted state after `refresh`, or an earlier one, `at` a revision. Raises what `refresh`
    and `Replica.ledger` raise, UsageError for an unknown revision.
    """
    refresh(replica, read_from)
    state = trusted_state(replica, may_fetch=read_from != LOCAL)
    if at:
        from gitkv.reading.revisions import resolve_revision

        state = state._replace(tip=resolve_revision(state, at))
    return state.with_expired() if allow_expired else state


def trusted_state(replica: Replica, *, may_fetch: bool = True) -> State:
    """The trusted state as it is; chunks that are not here are fetched if that may be. Raises what
    `Replica.ledger` raises.
    """

    def policy() -> Policy | None:
        from gitkv.client.policy import read_policy  # only where a signer is shown

        return read_policy(replica)

    def until(moment_s: int) -> Oid | None:
        from gitkv.client.accepted import accepted_until  # only where a moment is asked for

        return accepted_until(replica, moment_s)

    def chunks() -> Chunks:
        from gitkv.client.chunk_store import chunks_of  # only for large values

        return chunks_of(replica, may_fetch=may_fetch)

    now_s = replica.host.now_s()
    return State(replica.ns, replica.ledger(), replica.objects, now_s, policy, until, chunks)
