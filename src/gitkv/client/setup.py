"""Setting up a clone: for reading always, and for writing through its Stargate where the policy
names one and knows a key of this person.

Trust begins here: with the policy that the remote shows, and the gateway key that signed it. Writes
git configuration of this repository only, and nothing before everything was proved. The user's own
choices stay where they work.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from gitkv.client.follow import follow
from gitkv.client.log_in import with_reason
from gitkv.client.replica import Replica, open_replica
from gitkv.client.signing_key import (
    NO_PUSH_URL,
    NO_PUSH_URL_HINT,
    SigningKey,
    find_signing_key,
)
from gitkv.client.store import host_for, namespace_of
from gitkv.client.trust.judge import gateway_of, judge_policy
from gitkv.client.trust.memory import PIN, parse_pin, read_memory
from gitkv.client.trust.shown import (
    ALL_CHUNKS,
    Source,
    chunks_pair,
    fetch_policy,
    mirror_source,
)
from gitkv.errors import AccessError, PolicyError, UnavailableError, UsageError
from gitkv.git import transport
from gitkv.git.repository import local_config, set_config
from gitkv.git.ssh_address import parse_ssh_url
from gitkv.model.policy import Policy
from gitkv.model.refs import POLICY_PATH, ledger_ref

PROBE_TIMEOUT_S = 20.0  # for a host that takes a connection and says nothing
_KINDS = ("kv", "kv-index", "kv-mirror", "kv-watchlog")


class SetupReport(NamedTuple):
    """`push_url`, `signing` ("ssh" or "openpgp") and `principal` (whose key signs) are "" in a
    clone that can only read; `missing` says what it lacks for writing, a line each. `gateway`:
    fingerprint of the gateway key that trust began with; `steps`: what was done, a line each.
    """

    push_url: str
    signing: str
    principal: str
    gateway: str
    steps: list[str]
    missing: list[str]


class _Writing(NamedTuple):
    """`key` is None in a clone that can only read, and `missing` says why."""

    key: SigningKey | None
    missing: list[str]


def setup_remote(
    path: str | os.PathLike[str] = ".",
    remote: str = "origin",
    ns: str = "main",
    env: Mapping[str, str] | None = None,
    gateway_key: str = "",
    *,
    all_chunks: bool = False,
) -> SetupReport:
    """Makes the clone around `path` follow the remote, which is a mirror, and write through the
    Stargate that its policy names. `gateway_key`: the fingerprint that its gateway must have;
    `all_chunks`: keeps the chunks of all large values here, from now on.

    Raises UsageError without such a remote, PolicyError without a policy, IntegrityError for what
    cannot be trusted, UnavailableError when the mirror cannot be read.
    """
    host = host_for(env)
    source = mirror_source(remote, parse_pin(gateway_key))
    replica = open_replica(os.fspath(path), namespace_of(ns), host)
    replica.is_to_follow = True
    try:
        policy = _policy(replica, source)
        writing = _writing(replica, policy)
        tip = follow(replica, source)
        gateway = gateway_of(replica, read_memory(replica, source.tracking))
        steps = _configure(replica, source, _wanted(replica, source, policy, writing, gateway))
        if all_chunks:
            steps += _keep_all_chunks(replica, source)
        refused = _refused(replica, policy, writing.key) if writing.key is not None else []
    finally:
        replica.close()
    steps.append(f"fetched {replica.ns}@{tip.seq} ({tip.ledger.oid.hex()[:12]})")
    if writing.key is None:
        return SetupReport("", "", "", gateway, steps, writing.missing)
    signing, principal = writing.key.format, writing.key.principal
    return SetupReport(policy.push_url, signing, principal, gateway, steps, refused)


def _refused(replica: Replica, policy: Policy, key: SigningKey) -> list[str]:
    """Why Stargate does not let this person's ssh in, a line each; empty when it does, or cannot be
    asked now.
    """
    refs = [os.fsdecode(ledger_ref(replica.ns))]
    try:
        transport.ls_remote(replica.git, policy.push_url, refs, timeout_s=PROBE_TIMEOUT_S)
    except AccessError as error:
        told = with_reason(replica, error, key.settings.get("user.signingkey", ""))
        return [f"Stargate does not let you in: {told}", told.hint]
    except UnavailableError as error:
        return [f"whether Stargate lets you in could not be asked: {error}"]
    return []


def _policy(replica: Replica, source: Source) -> Policy:
    if not replica.config.get(f"remote.{source.tracking}.url"):
        raise UsageError(
            f"there is no remote {source.tracking}",
            hint="clone the mirror, or name another one with --remote",
        )
    policy = judge_policy(replica, fetch_policy(replica, source), source)
    if policy.namespace(replica.ns) is None:
        known = ", ".join(entry.ns for entry in policy.namespaces)
        raise PolicyError(
            f"{POLICY_PATH} has no namespace {replica.ns}: it has {known}",
            hint="name one of these with --ns",
        )
    return policy


def _writing(replica: Replica, policy: Policy) -> _Writing:
    if not policy.push_url:
        return _Writing(None, [NO_PUSH_URL, NO_PUSH_URL_HINT])
    parse_ssh_url(policy.push_url)
    try:
        return _Writing(find_signing_key(replica, policy), [])
    except PolicyError as error:
        return _Writing(None, [str(error), error.hint])


def _wanted(
    replica: Replica, source: Source, policy: Policy, writing: _Writing, gateway: str
) -> dict[str, str]:
    """The settings that must hold."""
    wanted = {"kv.remote": source.tracking}
    if source.pin or not replica.config.get(PIN):
        wanted["kv.gatewayKey"] = source.pin or gateway
    if writing.key is not None:
        wanted[f"remote.{source.tracking}.pushurl"] = policy.push_url
        wanted |= writing.key.settings
    return wanted


def _configure(replica: Replica, source: Source, wanted: Mapping[str, str]) -> list[str]:
    steps, own = [], local_config(replica.git)
    for name, value in wanted.items():
        if own.get(_stored(name)) != (value,):
            set_config(replica.git, name, value)
            steps.append(f"git config {name} {value}")
    remote = source.tracking
    have = replica.config_all.get(f"remote.{remote}.fetch", ())
    # With '+', as for branches: tracking refs show what the remote shows, and block nothing after
    # it was repaired. What is trusted lies elsewhere, and moves forward only.
    for refspec in wanted_refspecs(remote):
        if refspec not in have:
            set_config(replica.git, f"remote.{remote}.fetch", refspec, add=True)
            steps.append(f"git config --add remote.{remote}.fetch {refspec}")
    return steps


def wanted_refspecs(remote: str) -> list[str]:
    """What `git fetch` brings of a store, beside branches."""
    return [f"+refs/{kind}/*:refs/remotes/{remote}/{kind}/*" for kind in _KINDS]


def _keep_all_chunks(replica: Replica, source: Source) -> list[str]:
    set_config(replica.git, ALL_CHUNKS, "true")
    transport.fetch(replica.git, source.address, [chunks_pair(replica.ns, source)])
    return [f"git config {ALL_CHUNKS} true", "fetched the chunks of all large values"]


def _stored(name: str) -> str:
    """As git lists it: section and name in lower case."""
    section, _, rest = name.partition(".")
    middle, dot, last = rest.rpartition(".")
    return f"{section.lower()}.{middle}{dot}{last.lower()}"
