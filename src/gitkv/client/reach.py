"""How new an answer must be: at least a sequence number, or looked at within a time. What is older
is refused rather than given.
"""

from __future__ import annotations

from gitkv.client.freshness import age_s
from gitkv.client.refresh import LOCAL, STARGATE
from gitkv.client.replica import Replica
from gitkv.errors import AccessError, GitKvError, MirrorTimeoutError, UnavailableError

_PAUSE_FIRST_S, _PAUSE_LONGEST_S = 0.05, 1.0


def reach(replica: Replica, seq: int, read_from: str, timeout_s: float) -> None:
    """Returns once the trusted tip is at `seq` or after it; looks again and again where `read_from`
    says, "local" only here. Raises MirrorTimeoutError after `timeout_s` seconds, IntegrityError.
    """
    deadline_s = replica.host.monotonic_s() + timeout_s
    pause_s = _PAUSE_FIRST_S
    failed: GitKvError | None = None
    while True:
        at = replica.ledger().seq
        if at >= seq:
            return
        left_s = deadline_s - replica.host.monotonic_s()
        if left_s <= 0:
            why = f": {failed}" if failed is not None else ""
            raise MirrorTimeoutError(
                f"namespace {replica.ns} is at @{at} after {timeout_s:g} s, expected @{seq} or "
                f"later{why}",
                hint="" if read_from == STARGATE else "ask the authority: --read-from=stargate",
            )
        failed = look(replica, read_from)
        if replica.ledger().seq < seq:
            replica.host.sleep(min(pause_s, max(left_s, 0.0)))
            pause_s = min(pause_s * 2, _PAUSE_LONGEST_S)


def require_fresh(replica: Replica, age_max_s: int, read_from: str) -> None:
    """Returns when a remote was looked at within `age_max_s` seconds, or can be now; a standalone
    store is always fresh. Raises MirrorTimeoutError when not, IntegrityError.
    """
    since_s = age_s(replica)
    if not replica.remote or (since_s is not None and since_s <= age_max_s):
        return
    failed = look(replica, read_from)
    if read_from != LOCAL and failed is None:
        return
    old = "of unknown age" if since_s is None else f"{since_s:.0f} s old"
    why = f": {failed}" if failed is not None else ""
    raise MirrorTimeoutError(f"the answer would be {old}, expected at most {age_max_s} s{why}")


def look(replica: Replica, read_from: str) -> GitKvError | None:
    """Follows the remote, whatever kv.maxAge says; why that was not possible just now. Raises
    AccessError for a Stargate that lets us not in: waiting does not help.
    """
    if read_from == LOCAL or not replica.remote:
        return None
    from gitkv.client.follow import follow
    from gitkv.client.trust.shown import mirror_of, stargate_of

    source = stargate_of(replica) if read_from == STARGATE else mirror_of(replica)
    try:
        follow(replica, source)
    except UnavailableError as error:
        return error
    except AccessError as error:
        if read_from != STARGATE:
            return error
        from gitkv.client.log_in import with_reason

        raise with_reason(replica, error) from None
    return None
