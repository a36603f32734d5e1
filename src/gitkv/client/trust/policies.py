"""Whether the policy a source shows follows from the one trusted (spec/policy 9): commit by commit,
each signed by an admin of the one before it. Only what is new is read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gitkv.errors import IntegrityError, PolicyError
from gitkv.ledger.seek import Load
from gitkv.model.commit import parse_commit
from gitkv.model.oid import COMMIT, Oid
from gitkv.model.refs import POLICY_PATH, POLICY_REF
from gitkv.model.verdict import FormError
from gitkv.policy.text import PolicyTextError
from gitkv.ports import Verifier
from gitkv.verifying.policies import Policies, Version, judge_policies, read_version


class Look(NamedTuple):
    """How the rules see objects. `descends(older, newer)`: by parents, of commits that are here."""

    load: Load
    has: Callable[[Oid], bool]
    descends: Callable[[Oid, Oid], bool]


class PolicyProof(NamedTuple):
    """`oid`: the newest proved policy commit. `versions`: those that were read for it, the trusted
    one first; none when it was trusted before. `gateway`: fingerprint of the key that signed the
    first policy, when that was read; "" also where a clone was cut short of it.
    """

    oid: Oid
    versions: tuple[Version, ...] = ()
    gateway: str = ""


def prove_policy(
    shown: Oid | None, trusted: Oid | None, look: Look, verifier: Verifier
) -> PolicyProof:
    """The newest policy that is shown or trusted. Raises PolicyError when there is none,
    IntegrityError for one that no admin brought in, or that leads elsewhere.
    """
    if trusted is None:
        if shown is None:
            raise PolicyError(
                f"it has no policy: {POLICY_PATH} is not in {POLICY_REF.decode()}",
                hint="an admin starts a store with: git kv stargate init",
            )
        return _prove_from_first(shown, look, verifier)
    if shown in (None, trusted) or look.descends(shown, trusted):
        return PolicyProof(trusted)  # it may lag
    if not look.descends(trusted, shown):
        raise IntegrityError(
            f"it shows another policy history: {shown.hex()} does not descend from the trusted "
            f"{trusted.hex()}"
        )
    known = Policies((version_of(trusted, look),))
    return _judged(shown, policy_line(shown, trusted, look), known, look, verifier)


def _prove_from_first(shown: Oid, look: Look, verifier: Verifier) -> PolicyProof:
    """Trust begins: with the first policy, or, where a shallow clone has cut it off, the oldest
    that is here.
    """
    line = policy_line(shown, None, look)
    oldest, body = line[0]
    if parse_commit(body).parents:
        known = Policies((version_of(oldest, look),))
        return _judged(shown, line[1:], known, look, verifier)
    return _judged(shown, line, None, look, verifier)


def _judged(
    shown: Oid,
    line: list[tuple[Oid, bytes]],
    known: Policies | None,
    look: Look,
    verifier: Verifier,
) -> PolicyProof:
    policies, reasons = judge_policies(line, look.load, verifier, known)
    if reasons:
        texts = "; ".join(entry.text() for entry in reasons)
        if reasons[0].rule == "policy.missing":
            raise PolicyError(f"it has no policy: {texts}", hint=reasons[0].hint)
        raise IntegrityError(f"its policy cannot be trusted: {texts}")
    return PolicyProof(shown, policies.versions, policies.gateway)


def version_of(oid: Oid, look: Look) -> Version:
    """Raises IntegrityError."""
    try:
        return read_version(oid, parse_commit(look.load(oid, COMMIT)), look.load)
    except PolicyTextError as error:
        raise IntegrityError(f"the policy {oid.hex()} is not valid: {error}") from None


def policy_line(newest: Oid, stop: Oid | None, look: Look) -> list[tuple[Oid, bytes]]:
    """Ids and bodies from the oldest after `stop` on; without it from the first that is here."""
    line: list[tuple[Oid, bytes]] = []
    at: Oid | None = newest
    while at is not None and at != stop and (not line or look.has(at)):
        body = look.load(at, COMMIT)
        line.append((at, body))
        try:
            parents = parse_commit(body).parents
        except FormError as error:
            raise IntegrityError(f"its policy {at.hex()} is malformed: {error}") from None
        at = parents[0] if parents else None
    return line[::-1]
