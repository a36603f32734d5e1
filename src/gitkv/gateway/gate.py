"""What the gate's state is: the policy in force, the namespaces, and where each of them stands.
Read from refs and objects at every question, and kept nowhere else.
"""

from __future__ import annotations

from typing import NamedTuple

from gitkv.errors import IntegrityError
from gitkv.gateway.watchlog import Entry, parse_entry
from gitkv.ledger.compose import Tip, read_tip
from gitkv.model.heads import Heads, MissingHeadError, heads_among
from gitkv.model.identity import PublicKey
from gitkv.model.oid import COMMIT, Oid
from gitkv.model.policy import Policy
from gitkv.model.refs import (
    LEDGER,
    POLICY_REF,
    Namespace,
    audited_ref,
    parse_namespace,
    watchlog_ref,
)
from gitkv.policy.text import parse_policy
from gitkv.policy.tree import policy_text
from gitkv.ports import ObjectStore, RefStore


class JudgedPolicy(NamedTuple):
    """A policy and the commit it comes from."""

    commit: Oid
    policy: Policy

    @property
    def keys(self) -> list[PublicKey]:
        """Every principal's keys."""
        return [key for principal in self.policy.principals for key in principal.keys]


class Gate:
    """The state that `refs` and `objects` tell; reading needs no lock."""

    def __init__(self, objects: ObjectStore, refs: RefStore) -> None:
        self.objects, self.refs = objects, refs
        self._policy: JudgedPolicy | None = None  # as last asked for

    def policy(self) -> JudgedPolicy:
        """The policy in force. Raises IntegrityError when there is none, PolicyTextError when it
        does not parse.
        """
        commit = self.refs.read(POLICY_REF)
        if commit is None:
            raise IntegrityError("this Stargate has no policy: refs/heads/main is missing")
        known = self._policy
        if known is None or known.commit != commit:
            known = self._policy = self.policy_at(commit)
        return known

    def policy_at(self, commit: Oid) -> JudgedPolicy:
        """The policy as of a policy commit."""
        return JudgedPolicy(commit, parse_policy(policy_text(commit, self.objects.read)))

    def namespaces(self) -> list[Namespace]:
        """Namespaces that have a ledger."""
        return [
            parse_namespace(ref.removeprefix(LEDGER)) for ref in sorted(self.refs.read_all(LEDGER))
        ]

    def heads(self, ns: Namespace) -> Heads | None:
        """Where the refs of a namespace stand, from one state of them; None when it has no ledger.
        Raises IntegrityError.
        """
        try:
            return heads_among(self.refs.read_all(), ns)
        except MissingHeadError as error:
            raise IntegrityError(str(error)) from None

    def tip(self, ns: Namespace) -> Tip | None:
        """The tip of a namespace, None when it has no ledger. Raises IntegrityError."""
        heads = self.heads(ns)
        return None if heads is None else read_tip(heads, self.objects.read)

    def watchlog_and_mark(self, ns: Namespace) -> tuple[Oid | None, Oid | None]:
        """The newest watchlog entry of a namespace and the one up to which it is audited, from one
        state of the refs; None for what is missing. Raises IntegrityError.
        """
        refs = self.refs.read_all()
        try:
            heads = heads_among(refs, ns)
        except MissingHeadError as error:
            raise IntegrityError(str(error)) from None
        if heads is None:
            return None, None
        epoch = read_tip(heads, self.objects.read).ledger.attestation.epoch
        return refs.get(watchlog_ref(ns, epoch)), refs.get(audited_ref(ns))

    def watchlog_tip(self, tip: Tip) -> Oid:
        """The newest watchlog entry of the tip's epoch. Raises IntegrityError when there is
        none.
        """
        ref = watchlog_ref(tip.ns, tip.ledger.attestation.epoch)
        oid = self.refs.read(ref)
        if oid is None:
            raise IntegrityError(f"{ref.decode()} is missing")
        return oid

    def entry(self, oid: Oid) -> Entry:
        """A watchlog entry. Raises FormError when the commit is not one."""
        return parse_entry(self.objects.read(oid, COMMIT))
