"""Founding a Stargate: keys are made, the repository gets its first state, the mirror shows it."""

from __future__ import annotations

from collections.abc import Mapping

from gitkv.daemon.serve import open_adapters
from gitkv.errors import UnavailableError
from gitkv.gateway.mirror import Mirror
from gitkv.gateway.setup import (
    Keys,
    Order,
    check_mirror,
    create_repository,
    open_stargate,
    write_first_state,
)
from gitkv.git.process import Git
from gitkv.sign.gateway_key import generate


def found(order: Order, env: Mapping[str, str]) -> str:
    """The host key's public line. Nothing is created before the mirror is known to be fit.

    Raises PolicyError, UsageError, UnavailableError.
    """
    check_mirror(order.mirror, env)
    (gateway, gateway_public), (host, host_public) = generate(), generate()
    create_repository(order, Keys(gateway, host), env)
    adapters = open_adapters(order.git_dir, env)
    try:
        stargate = open_stargate(adapters)
        write_first_state(stargate, order, gateway_public)
        git = Git(order.git_dir, env=env)
        outcome = Mirror(stargate, git, order.mirror, interval_s=0).push_once()
    finally:
        adapters.objects.close()
        adapters.refs.close()
    if outcome.state != "pushed":
        hint = "the repository is created; its daemon goes on trying to mirror it"
        raise UnavailableError(
            f"the mirror did not take the first state: {outcome.detail}", hint=hint
        )
    return host_public.decode("ascii").strip()
