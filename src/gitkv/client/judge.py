"""A standalone store judges its own transactions by the code that Stargate judges a push by: only
the transport is missing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from gitkv.admission.admit import Candidate, Situation, admit
from gitkv.admission.deep_audit import audit_under
from gitkv.client.build import Built
from gitkv.client.policy import open_policy, read_policy
from gitkv.client.replica import Replica
from gitkv.errors import IntegrityError, PolicyError, RejectedError
from gitkv.git.object_store import GitObjectStore
from gitkv.ledger.seek import Load
from gitkv.model.identity import Signature
from gitkv.model.oid import BLOB, TREE, Oid
from gitkv.model.policy import Policy
from gitkv.model.verdict import POLICY, Reason, refuse
from gitkv.reading.signers import SignerNames
from gitkv.verifying.validity import Signed, verify_at


class _WithNewObjects:
    """The repository and, above it, objects that are not stored yet. The Loader of the audit and
    the Load of the rules.
    """

    def __init__(self, objects: GitObjectStore, built: Built) -> None:
        self._objects = objects
        self._new = built.new_objects

    def load(self, oid: Oid, kind: bytes) -> bytes:
        new = self._new.get(oid)
        return self._objects.read(oid, kind) if new is None or new[0] != kind else new[1]

    def tree(self, oid: Oid) -> bytes:
        return self._found(oid, TREE)

    def sizes(self, oids: Sequence[Oid]) -> Sequence[int]:
        stored = iter(self._objects.sizes([oid for oid in oids if oid not in self._new]))
        try:
            return [len(self._new[oid][1]) if oid in self._new else next(stored) for oid in oids]
        except IntegrityError as error:
            raise LookupError(str(error)) from None

    def trees(self, oids: Sequence[Oid]) -> Iterator[bytes]:
        return (self._found(oid, TREE) for oid in oids)

    def blobs(self, oids: Sequence[Oid]) -> Iterator[bytes]:
        return (self._found(oid, BLOB) for oid in oids)

    def _found(self, oid: Oid, kind: bytes) -> bytes:
        try:
            return self.load(oid, kind)
        except IntegrityError as error:
            raise LookupError(str(error)) from None


def load_of(replica: Replica, built: Built) -> Load:
    """Reads objects of the repository, and those of a transaction that are not stored yet."""
    return _WithNewObjects(replica.objects, built).load


def judge(replica: Replica, built: Built) -> None:
    """Raises RejectedError with every reason when the policy, or the format, does not let this
    transaction follow its base.
    """
    written = read_policy(replica)
    policy = written or open_policy(replica.ns)
    signature = Signature("unsigned") if written is None else _verified(replica, built, policy)
    if reasons := _reasons(replica, built, policy, signature):
        raise RejectedError(refuse(reasons))


def objections(replica: Replica, built: Built) -> list[Reason]:
    """What Stargate would say against a transaction of ours, by the policy that this clone has
    proved: an honest mistake need not leave the machine. Who may write at all is Stargate's matter.
    """
    try:
        policy = read_policy(replica)
    except PolicyError:  # newer than this program
        return []
    if policy is None or policy.namespace(replica.ns) is None:
        return []
    maker = SignerNames(lambda: policy).of(built.tip.ledger)
    signature = Signature("unsigned")
    if maker.signer or policy.signatures_required:
        principal = policy.principal(maker.principal)
        if principal is None:
            return []
        known = policy.principal_of_key(maker.signer) is not None  # else an OpenPGP subkey's
        signature = Signature("good", maker.signer if known else principal.keys[0].fingerprint)
    reasons = _reasons(replica, built, policy, signature)
    return [entry for entry in reasons if entry.code == POLICY]


def foreseen(replica: Replica, built: Built, fingerprint: str, principal: str) -> list[Reason]:
    """What would be said against a transaction that is not signed yet, if the key `fingerprint`
    ("" for none) of `principal` ("" for somebody the policy does not know) signed it.
    """
    policy = read_policy(replica)
    if policy is None:
        return _reasons(replica, built, open_policy(replica.ns), Signature("unsigned"))
    signature = Signature("unknown-key" if fingerprint else "unsigned", fingerprint)
    owner = policy.principal(principal) if principal else None
    if owner is not None:
        known = policy.principal_of_key(fingerprint) is not None  # else an OpenPGP subkey's
        signature = Signature("good", fingerprint if known else owner.keys[0].fingerprint)
    return _reasons(replica, built, policy, signature)


def _reasons(replica: Replica, built: Built, policy: Policy, signature: Signature) -> list[Reason]:
    objects = _WithNewObjects(replica.objects, built)
    candidate = Candidate(built.tip.ledger, built.tip.index_oid, signature, built.tip.chunks_oid)
    situation = Situation(replica.ns, built.base, policy, replica.host.now_s(), _never_seen)
    admission = admit(candidate, situation, objects.load)
    return list(
        admission.reasons
        or audit_under(
            policy,
            (built.base, built.tip),
            admission.principal,
            objects,
            chunk_contents=False,
        ).reasons
    )


def _verified(replica: Replica, built: Built, policy: Policy) -> Signature:
    from gitkv.sign.verifier import SignatureVerifier

    commit = built.tip.ledger.commit
    keys = [key for principal in policy.principals for key in principal.keys]
    verifier = SignatureVerifier(os.path.join(replica.directory, "gnupg"), replica.host.env)
    moments = (commit.identity().seconds, replica.host.now_s())
    return verify_at(verifier, Signed(commit.payload, commit.armour), keys, moments)


def _never_seen(txn: str) -> bool:
    return False  # its id was drawn a moment ago
