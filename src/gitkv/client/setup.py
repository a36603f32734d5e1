"""Setting up a clone to write through its Stargate: what to push to and how to sign, learnt from
the policy that came with the clone.

Writes git configuration of this repository only, and nothing before everything was found. The
user's own choices stay where they work.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from gitkv.client.edge import Edge
from gitkv.client.follow import follow, mirror_of
from gitkv.client.policy import policy_text
from gitkv.client.replica import Replica, open_replica
from gitkv.client.signing_key import SigningKey, find_signing_key
from gitkv.client.store import edge_for, namespace_of
from gitkv.errors import PolicyError, ToolError, UsageError
from gitkv.git.repository import set_config
from gitkv.git.ssh_pipe import parse_ssh_url
from gitkv.model.policy import Policy
from gitkv.model.refs import POLICY_PATH
from gitkv.policy.text import parse_policy

_KINDS = ("kv", "kv-index", "kv-mirror", "kv-watchlog")


class SetupReport(NamedTuple):
    """`signing`: "ssh" or "openpgp"; `principal`: whose key signs; `steps`: what was done, a line
    each.
    """

    push_url: str
    signing: str
    principal: str
    steps: list[str]


def setup_remote(
    path: str | os.PathLike[str] = ".",
    remote: str = "origin",
    ns: str = "main",
    env: Mapping[str, str] | None = None,
) -> SetupReport:
    """Makes the clone around `path` write through the Stargate that its policy names, and fetches
    the namespace.

    Raises UsageError without such a remote, PolicyError when there is no policy, no push_url or no
    usable key, UnavailableError when the mirror cannot be read.
    """
    edge = edge_for(env)
    replica = open_replica(os.fspath(path), namespace_of(ns), edge)
    try:
        policy = _policy(replica, remote)
        key = find_signing_key(replica, policy)
        steps = _configure(replica, remote, policy.push_url, key)
    finally:
        replica.close()
    steps.append(_first_fetch(os.fspath(path), replica, edge))
    return SetupReport(policy.push_url, key.format, key.principal, steps)


def _policy(replica: Replica, remote: str) -> Policy:
    if not replica.config.get(f"remote.{remote}.url"):
        raise UsageError(
            f"there is no remote {remote}",
            hint="clone the mirror, or name another one with --remote",
        )
    text = policy_text(replica, remote)
    if text is None:
        hint = f"git fetch {remote}; an admin starts a store with: git kv stargate init"
        raise PolicyError(
            f"the remote {remote} has no policy: "
            f"{POLICY_PATH} is not in refs/remotes/{remote}/main",
            hint=hint,
        )
    policy = parse_policy(text)
    if not policy.push_url:
        raise PolicyError(
            f"{POLICY_PATH} has no stargate.push_url",
            hint="ask an admin to add the address of the Stargate",
        )
    parse_ssh_url(policy.push_url)
    if policy.namespace(replica.ns) is None:
        known = ", ".join(entry.ns for entry in policy.namespaces)
        raise PolicyError(
            f"{POLICY_PATH} has no namespace {replica.ns}: it has {known}",
            hint="name one of these with --ns",
        )
    return policy


def _configure(replica: Replica, remote: str, push_url: str, key: SigningKey) -> list[str]:
    wanted = {f"remote.{remote}.pushurl": push_url, "kv.remote": remote, **key.settings}
    steps = []
    for name, value in wanted.items():
        if replica.config_all.get(name) != (value,):
            set_config(replica.git, name, value)
            steps.append(f"git config {name} {value}")
    have = replica.config_all.get(f"remote.{remote}.fetch", ())
    for kind in _KINDS:  # no '+': git itself then refuses a mirror that went back
        refspec = f"refs/{kind}/*:refs/remotes/{remote}/{kind}/*"
        if refspec not in have:
            set_config(replica.git, f"remote.{remote}.fetch", refspec, add=True)
            steps.append(f"git config --add remote.{remote}.fetch {refspec}")
    return steps


def _first_fetch(path: str, before: Replica, edge: Edge) -> str:
    replica = open_replica(path, before.ns, edge)
    try:
        tip = follow(replica, mirror_of(replica))
    except ToolError as error:
        raise ToolError(
            f"the settings are made, but namespace {before.ns} could not be fetched: {error}",
            hint=error.hint,
        ) from None
    finally:
        replica.close()
    return f"fetched {before.ns}@{tip.seq} ({tip.ledger.oid.hex()[:12]})"
