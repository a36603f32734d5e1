"""What a clone reads from: the state it trusts, brought up to date first where asked for."""

from __future__ import annotations

from gitkv.client.refresh import refresh
from gitkv.client.replica import Replica
from gitkv.reading.state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gitkv.model.policy import Policy


def fresh_state(replica: Replica, read_from: str, *, allow_expired: bool = False) -> State:
    """The trusted state after `refresh`. Raises what `refresh` and `Replica.ledger` raise."""
    refresh(replica, read_from)
    state = trusted_state(replica)
    return state.with_expired() if allow_expired else state


def trusted_state(replica: Replica) -> State:
    """The trusted state as it is. Raises what `Replica.ledger` raises."""

    def policy() -> Policy | None:
        from gitkv.client.policy import read_policy  # only where a signer is shown

        return read_policy(replica)

    return State(replica.ns, replica.ledger(), replica.objects, replica.host.now_s(), policy)
