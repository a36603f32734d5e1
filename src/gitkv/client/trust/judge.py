"""Brings a clone's objects, git and keys to the rules of `proof.py`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from gitkv.client.replica import Replica
from gitkv.client.trust.memory import PIN, Memory, read_memory
from gitkv.client.trust.policies import Look, policy_line, prove_policy, version_of
from gitkv.client.trust.proof import Proof, prove
from gitkv.client.trust.shown import Shown, Source
from gitkv.errors import IntegrityError, PolicyError
from gitkv.git.ancestry import is_ancestor
from gitkv.model.commit import parse_commit
from gitkv.model.oid import COMMIT, Oid
from gitkv.model.policy import Policy
from gitkv.model.verdict import FormError
from gitkv.sign.sshsig import signing_key
from gitkv.sign.verifier import SignatureVerifier

_HINT = "nothing was adopted; tell the operator"


def look_of(replica: Replica) -> Look:
    """What was asked once is remembered: each answer is a git process."""
    answers: dict[tuple[Oid, Oid], bool] = {}

    def descends(older: Oid, newer: Oid) -> bool:
        pair = older, newer
        if pair not in answers:
            answers[pair] = is_ancestor(replica.git, older, newer)
        return answers[pair]

    return Look(replica.load, replica.objects.has, descends)


def verifier_of(replica: Replica) -> SignatureVerifier:
    """A verifier that keeps its OpenPGP keys below the replica's own directory."""
    return SignatureVerifier(os.path.join(replica.directory, "gnupg"), replica.host.env)


def judge(replica: Replica, shown: Shown, memory: Memory, source: Source) -> Proof:
    """What receipts prove. Where trust begins, it begins with the gateway key that the source's pin
    or `kv.gatewayKey` names, if one does.

    Raises IntegrityError or PolicyError, naming the source.
    """
    look, verifier = look_of(replica), verifier_of(replica)
    with _naming(source):
        proof = prove(replica.ns, shown, memory, look, verifier)
        if source.pin and memory.policy is not None:
            anew = memory._replace(policy=None, receipt=None)
            require_pin(prove(replica.ns, shown, anew, look, verifier), source.pin)
        elif memory.policy is None:
            require_pin(proof, source.pin or replica.config.get(PIN, ""))
    return proof


def judge_policy(replica: Replica, shown: Oid | None, source: Source) -> Policy:
    """The newest policy that is shown or trusted. Raises IntegrityError or PolicyError, naming the
    source.
    """
    look = look_of(replica)
    with _naming(source):
        trusted = read_memory(replica, source.tracking).policy
        found = prove_policy(shown, trusted, look, verifier_of(replica))
        return (found.versions[-1] if found.versions else version_of(found.oid, look)).policy


def gateway_of(replica: Replica, memory: Memory) -> str:
    """The fingerprint of the gateway key that trust began with: the first policy's, or, where a
    clone was cut short of that, the one that signed the newest receipt. "" before anything is
    trusted.
    """
    if memory.policy is None or memory.receipt is None:
        return ""
    look = look_of(replica)
    body = policy_line(memory.policy, None, look)[0][1]
    first = parse_commit(body)
    if first.parents:
        first = parse_commit(look.load(memory.receipt, COMMIT))
    return signing_key(first.armour)


def require_pin(proof: Proof, pin: str) -> None:
    """Raises IntegrityError unless the key of this fingerprint ("": any) signed the first policy or
    the newest receipt: that it is listed proves nothing.
    """
    signers = list(dict.fromkeys(name for name in (proof.policy.gateway, proof.signer) if name))
    if pin and pin not in signers:
        raise IntegrityError(
            f"its gateway's key is {' or '.join(signers)}, expected {pin}",
            hint="ask the operator for the fingerprint; nothing was adopted",
        )


@contextmanager
def _naming(source: Source) -> Iterator[None]:
    """What is wrong is wrong with what this source shows."""
    try:
        yield
    except FormError as error:
        raise IntegrityError(f"{source.name}: {error}", hint=_HINT) from None
    except (IntegrityError, PolicyError) as error:
        error.args = (f"{source.name} cannot be trusted: {error}",)
        error.hint = error.hint or _HINT
        raise
