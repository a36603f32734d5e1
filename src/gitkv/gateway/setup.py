"""Creating a Stargate: bare repository, keys, policy, the first state of each namespace, and that
state on the mirror.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gitkv.errors import PolicyError
from gitkv.gateway.author import deliver, deliver_pack, gateway_stamp, spool
from gitkv.gateway.fitness import (
    HIDDEN,
    MIRROR_SETTING,
    NAMESPACE_SETTING,
    REQUIRED_SETTINGS,
)
from gitkv.gateway.stargate import Adapters, Stargate
from gitkv.git import transport
from gitkv.git.process import Git
from gitkv.git.repository import set_config
from gitkv.ledger.compose import compose_first
from gitkv.ledger.ordered_tree import Emit
from gitkv.model.commit import commit_payload, sign_payload
from gitkv.model.gateway_act import BEGIN, GatewayAct
from gitkv.model.oid import BLOB, COMMIT, TREE, ZERO_OID, Oid
from gitkv.model.refs import FIRST_EPOCH, LEDGER, POLICY_REF, Namespace, RefUpdate
from gitkv.policy.rules import unsound_keys
from gitkv.policy.template import format_policy
from gitkv.policy.text import parse_policy

_README = """\
# A git-kv store

This repository is a key-value database, kept by git-kv. Reads come from here, writes go
through Stargate.

    git clone {mirror} store && cd store
    git kv remote setup
    git kv list
    git kv get KEY

Without git-kv: `git fetch origin 'refs/kv/*:refs/kv/*' && git ls-tree -r refs/kv/main`.
Who may write what: `.kv/policy.yaml`.
"""


class CreationRequest(NamedTuple):
    """What to create. `admin` and `writers` are (name, OpenSSH public key line); `mirror` and
    `push_url` are URLs.
    """

    git_dir: str
    mirror: str
    push_url: str
    admin: tuple[str, str]
    writers: Sequence[tuple[str, str]]
    namespaces: Sequence[Namespace]


class Keys(NamedTuple):
    """The gateway's signing key and the SSH host key, as OpenSSH private key files."""

    gateway: bytes
    host: bytes


def check_mirror(url: str, env: Mapping[str, str]) -> None:
    """Raises PolicyError when the mirror already holds a store, UnavailableError when it cannot be
    read.
    """
    refs = transport.ls_remote(Git(env=env), url)
    taken = sorted(ref.decode() for ref in refs if ref.startswith(LEDGER) or ref == POLICY_REF)
    if taken:
        raise PolicyError(
            f"the mirror is not empty: it has {', '.join(taken[:5])}",
            hint="give an empty repository as the mirror",
        )


def create_repository(request: CreationRequest, keys: Keys, env: Mapping[str, str]) -> Git:
    """The bare repository with its settings and key files, still without refs, in a directory that
    was claimed (`site`).
    """
    Git(env=env).run(
        "init",
        "--quiet",
        "--bare",
        "--object-format=sha1",
        "--initial-branch=main",
        "--end-of-options",
        request.git_dir,
    )
    git = Git(request.git_dir, env=env).sealed()
    for key, value in (*REQUIRED_SETTINGS, (MIRROR_SETTING, request.mirror)):
        set_config(git, key, value, add=key == HIDDEN)
    for ns in request.namespaces:
        set_config(git, NAMESPACE_SETTING, ns, add=True)
    os.mkdir(os.path.join(request.git_dir, "kv", "quarantine"), 0o700)
    for name, key_bytes in (("gateway_key", keys.gateway), ("host_key", keys.host)):
        _write_secret(os.path.join(request.git_dir, "kv", name), key_bytes)
    return git


def _first_policy(request: CreationRequest, gateway_public: bytes) -> bytes:
    """The text of the first policy. Raises PolicyTextError when the request makes none, PolicyError
    for a key that protects nothing.
    """
    gateway_line = gateway_public.decode().strip()
    text = format_policy(
        request.push_url, request.admin, request.writers, gateway_line, list(request.namespaces)
    )
    for unsound in unsound_keys(parse_policy(text)):
        raise PolicyError(unsound.text(), hint="give another public key")
    return text


def write_first_state(stargate: Stargate, request: CreationRequest, gateway_public: bytes) -> None:
    """The policy commit, and the empty first transaction of every namespace with its watchlog
    entry.
    """
    policy = _first_policy(request, gateway_public)
    writer = spool(stargate)
    oid = _policy_commit(
        stargate, policy, _README.format(mirror=request.mirror).encode(), writer.add
    )
    with stargate.moving:
        deliver_pack(stargate, writer, (), [RefUpdate(POLICY_REF, ZERO_OID, oid)])
        for ns in request.namespaces:
            add_namespace(stargate, ns)


def add_namespace(stargate: Stargate, ns: Namespace) -> None:
    """Begins the ledger of a namespace; to be called with `stargate.moving` held."""
    writer = spool(stargate)
    stamp = gateway_stamp(stargate, GatewayAct(BEGIN, ns).subject())
    transaction = compose_first(ns, FIRST_EPOCH, stamp, stargate.signer.sign, writer.add)
    deliver(stargate, transaction, writer, None)


def open_stargate(adapters: Adapters) -> Stargate:
    """A Stargate that reports nothing: for set-up."""
    return Stargate(adapters, lambda event, fields: None)


def _policy_commit(stargate: Stargate, policy: bytes, readme: bytes, emit: Emit) -> Oid:
    folder = emit(TREE, b"100644 policy.yaml\0" + emit(BLOB, policy))
    tree = emit(TREE, b"40000 .kv\0%b100644 README.md\0%b" % (folder, emit(BLOB, readme)))
    stamp = gateway_stamp(stargate, "")
    payload = commit_payload(tree, (), stamp.identity.line(), b"policy: first version\n")
    return emit(COMMIT, sign_payload(payload, stargate.signer.sign(payload)))


def _write_secret(path: str, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
