"""The policy as proved values: `policy/text.py` reads the YAML of `.kv/policy.yaml`,
`policy/rules.py` applies it.
"""

from __future__ import annotations

from typing import NamedTuple

from gitkv.model.chunking import DEFAULT_CHUNKING, Chunking
from gitkv.model.identity import PublicKey
from gitkv.model.refs import Namespace

VERIFY_BEFORE_ACK = "before-ack"
VERIFY_BEFORE_PUBLISH = "before-publish"


class Principal(NamedTuple):
    """Someone who signs. `emails`: if any, the committer's email of their commits must be one of
    them (lower-case compare).
    """

    name: str
    keys: tuple[PublicKey, ...]
    admin: bool = False
    emails: tuple[str, ...] = ()


class Writer(NamedTuple):
    """A principal's right to write in a namespace; `prefixes` are encoded prefixes, empty meaning
    every key.
    """

    principal: str
    prefixes: tuple[bytes, ...] = ()


class NamespacePolicy(NamedTuple):
    """The rules of one namespace. Sizes in bytes. A larger value than `value_bytes_max` is cut into
    chunks, by `chunking`; no smaller one is.
    """

    ns: Namespace
    writers: tuple[Writer, ...]
    allowed_prefixes: tuple[bytes, ...] = ()  # encoded; empty: every key
    value_bytes_max: int = 1 << 20  # max_value_inline
    total_bytes_max: int = 1 << 30  # max_value_total: all values set by one transaction
    keys_max: int = 200_000  # max_keys_per_transaction
    lfs_forbidden: bool = True
    verify: str = VERIFY_BEFORE_ACK
    chunking: Chunking = DEFAULT_CHUNKING
    ttl_default_s: int = 0  # retention.ttl_default; 0: a value may live for ever


class Policy(NamedTuple):
    principals: tuple[Principal, ...]
    namespaces: tuple[NamespacePolicy, ...]
    gateway_keys: tuple[PublicKey, ...] = ()
    push_url: str = ""
    signatures_required: bool = True

    def namespace(self, ns: Namespace) -> NamespacePolicy | None:
        """The rules of a namespace; None when the policy does not list it."""
        return next((entry for entry in self.namespaces if entry.ns == ns), None)

    def principal(self, name: str) -> Principal | None:
        """The principal of this name; None when the policy does not list it."""
        return next((entry for entry in self.principals if entry.name == name), None)

    def principal_of_key(self, fingerprint: str) -> Principal | None:
        """Whose key this is; a key belongs to one principal at most (checked when the policy is
        parsed).
        """
        return next(
            (
                entry
                for entry in self.principals
                if any(key.fingerprint == fingerprint for key in entry.keys)
            ),
            None,
        )
