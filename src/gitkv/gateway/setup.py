"""The first state of a Stargate: its policy, and the beginning of each namespace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gitkv.errors import PolicyError
from gitkv.gateway.author import Author, deliver, deliver_pack, gateway_stamp
from gitkv.ledger.compose import compose_first
from gitkv.ledger.ordered_tree import Emit
from gitkv.model.commit import commit_payload, sign_payload
from gitkv.model.gateway_act import BEGIN, GatewayAct
from gitkv.model.oid import BLOB, COMMIT, TREE, ZERO_OID, Oid
from gitkv.model.refs import FIRST_EPOCH, LEDGER, POLICY_REF, Namespace, RefUpdate
from gitkv.policy.rules import unsound_keys
from gitkv.policy.template import format_policy
from gitkv.policy.text import parse_policy
from gitkv.ports import Remote

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


def check_mirror(mirror: Remote) -> None:
    """Raises PolicyError when the mirror already holds a store, UnavailableError when it cannot be
    read.
    """
    refs = mirror.refs()
    taken = sorted(ref.decode() for ref in refs if ref.startswith(LEDGER) or ref == POLICY_REF)
    if taken:
        raise PolicyError(
            f"the mirror is not empty: it has {', '.join(taken[:5])}",
            hint="give an empty repository as the mirror",
        )


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


def write_first_state(author: Author, request: CreationRequest, gateway_public: bytes) -> None:
    """The policy commit, and the empty first transaction of every namespace with its watchlog
    entry.
    """
    policy = _first_policy(request, gateway_public)
    spool = author.spool()
    oid = _policy_commit(author, policy, _README.format(mirror=request.mirror).encode(), spool.add)
    with author.durable.lock:
        deliver_pack(author, spool, (), [RefUpdate(POLICY_REF, ZERO_OID, oid)])
        for ns in request.namespaces:
            add_namespace(author, ns)


def add_namespace(author: Author, ns: Namespace) -> None:
    """Begins the ledger of a namespace; to be called with the lock held."""
    spool = author.spool()
    stamp = gateway_stamp(author.clock, GatewayAct(BEGIN, ns).subject())
    transaction = compose_first(ns, FIRST_EPOCH, stamp, author.signer.sign, spool.add)
    deliver(author, transaction, spool, None)


def _policy_commit(author: Author, policy: bytes, readme: bytes, emit: Emit) -> Oid:
    folder = emit(TREE, b"100644 policy.yaml\0" + emit(BLOB, policy))
    tree = emit(TREE, b"40000 .kv\0%b100644 README.md\0%b" % (folder, emit(BLOB, readme)))
    stamp = gateway_stamp(author.clock, "")
    payload = commit_payload(tree, (), stamp.identity.line(), b"policy: first version\n")
    return emit(COMMIT, sign_payload(payload, author.signer.sign(payload)))
