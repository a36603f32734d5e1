"""What stands between this clone and reading or writing: each thing looked at by itself, each
problem with what mends it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from gitkv.client.author import Author
from gitkv.client.log_in import with_reason
from gitkv.client.policy import read_policy
from gitkv.client.replica import Replica
from gitkv.client.setup import PROBE_TIMEOUT_S, wanted_refspecs
from gitkv.client.trust.memory import read_memory
from gitkv.client.whoami import writable_prefixes
from gitkv.errors import AccessError, GitKvError, ToolError, UnavailableError
from gitkv.git import transport
from gitkv.git.process import GIT_VERSION_MIN
from gitkv.model.identity import Signature
from gitkv.model.oid import COMMIT
from gitkv.model.refs import ledger_ref, watermark_ref
from gitkv.sign.verifier import SignatureVerifier
from gitkv.verifying.receipts import parse_receipt

OK, PROBLEM, SKIPPED = "ok", "problem", "skipped"
_SETUP = "git kv remote setup"
_CLOCK_S = 120  # how far a clock may be behind the newest receipt without being named
_VERSION = re.compile(rb"git version ([0-9]+)\.([0-9]+)")


class Finding(NamedTuple):
    """`check`: what was looked at; `state`: "ok", "problem" or "skipped"; `fix`: what to do, "" for
    nothing.
    """

    check: str
    state: str
    text: str
    fix: str = ""


Look = Callable[[Replica], Finding]


def examine(replica: Replica, *, offline: bool = False) -> Iterator[Finding]:
    """Looks at one thing after the other; `offline`: not at what needs the network. A failing look
    is a finding, too.
    """
    checks: list[tuple[str, Look]] = [
        ("git", _git),
        ("identity", _identity),
        ("store", _store),
        ("policy", _policy),
        ("signing", _signing),
        ("refspecs", _refspecs),
        ("clock", _clock),
    ]
    remote: list[tuple[str, Look]] = [("mirror", _mirror), ("log-in", _log_in)]
    for name, look in checks if offline or not replica.remote else [*checks, *remote]:
        try:
            yield look(replica)
        except GitKvError as error:
            yield Finding(name, PROBLEM, str(error), error.hint or _fix(error))
    if offline and replica.remote:
        yield from (Finding(name, SKIPPED, "needs the network") for name, _ in remote)


def _fix(error: GitKvError) -> str:
    """Advice for an error that brings none."""
    if isinstance(error, UnavailableError):
        return "check the network and the address; if others cannot reach it, tell the operator"
    return ""


def _git(replica: Replica) -> Finding:
    said = replica.git.run("--version").stdout
    found = _VERSION.match(said)
    wanted = tuple(int(part) for part in GIT_VERSION_MIN.split("."))
    text = said.decode(errors="replace").strip()
    if found is None or (int(found[1]), int(found[2])) < wanted:
        return Finding("git", PROBLEM, text, f"install git {GIT_VERSION_MIN} or newer")
    return Finding("git", OK, text)


def _identity(replica: Replica) -> Finding:
    identity = Author(replica, "x").stamp().identity
    return Finding("identity", OK, f"{identity.name} <{identity.email}>")


def _store(replica: Replica) -> Finding:
    tip = replica.tip()
    kind = f"follows {replica.remote}" if replica.remote else "standalone"
    return Finding("store", OK, f"{replica.ns}@{tip.seq} {tip.ledger.oid.hex()[:12]}, {kind}")


def _policy(replica: Replica) -> Finding:
    policy = read_policy(replica)
    if policy is None and replica.remote:
        return Finding("policy", PROBLEM, "this clone has proved no policy", _SETUP)
    if policy is None:
        return Finding("policy", OK, "none: whoever has this repository may write")
    if policy.namespace(replica.ns) is None:
        known = ", ".join(entry.ns for entry in policy.namespaces)
        return Finding("policy", PROBLEM, f"it has no namespace {replica.ns}: {known}", "use --ns")
    if replica.push_url and policy.push_url != replica.push_url:
        shown = f"writes go to {replica.push_url}, the policy says {policy.push_url or 'nowhere'}"
        return Finding("policy", PROBLEM, shown, _SETUP)
    return Finding("policy", OK, f"{len(policy.principals)} principals")


def _signing(replica: Replica) -> Finding:
    """Signs something and has the policy's keys judge it: what Stargate does with a commit."""
    author, policy = Author(replica, "x"), read_policy(replica)
    if not author.signs:
        needed = policy is not None and policy.signatures_required
        fix = (
            _SETUP
            if replica.remote
            else "git config gpg.format ssh; git config user.signingkey FILE"
        )
        return Finding("signing", PROBLEM if needed else OK, "no signing key is set", fix)
    payload = b"git-kv doctor\n"
    armour = author.sign(payload)
    if policy is None:
        return Finding("signing", OK, "a test signature was made; no policy says whose key it is")
    keys = [key for principal in policy.principals for key in principal.keys]
    verifier = SignatureVerifier(os.path.join(replica.directory, "gnupg"), replica.host.env)
    found = verifier.verify(payload, armour, keys, replica.host.now_s())
    principal = policy.principal_of_key(found.fingerprint) if found.fingerprint else None
    if found.status != "good" or principal is None:
        return _refused(found)
    prefixes = writable_prefixes(policy, replica.ns, principal.name)
    if prefixes is None:
        text = f"{principal.name} is no writer of {replica.ns}"
        return Finding("signing", PROBLEM, text, "ask an admin")
    where = "every key" if prefixes == [""] else ", ".join(prefixes)
    return Finding("signing", OK, f"as {principal.name}, who may write {where}")


def _refused(found: Signature) -> Finding:
    text = f"a test signature is not accepted: {found.status} {found.fingerprint}".strip()
    fix = "git kv remote setup; or ask an admin to add your public key to .kv/policy.yaml"
    return Finding("signing", PROBLEM, text, fix)


def _refspecs(replica: Replica) -> Finding:
    if not replica.remote:
        return Finding("refspecs", OK, "a standalone store needs none")
    have = replica.config_all.get(f"remote.{replica.remote}.fetch", ())
    missing = [spec for spec in wanted_refspecs(replica.remote) if spec not in have]
    if missing:
        return Finding("refspecs", PROBLEM, f"git fetch leaves out {missing[0]}", _SETUP)
    return Finding("refspecs", OK, f"git fetch {replica.remote} brings the store")


def _clock(replica: Replica) -> Finding:
    """Only a clock that is behind can be told from here: a receipt's time is the gateway's."""
    receipt = read_memory(replica, replica.remote).receipt
    if receipt is None:
        newest = replica.tip().ledger.commit.identity().seconds
    else:
        newest = parse_receipt(receipt, replica.load(receipt, COMMIT)).time_s
    behind_s = newest - replica.host.now_s()
    if behind_s > _CLOCK_S:
        text = f"{behind_s} s behind the newest transaction"
        return Finding("clock", PROBLEM, text, "set this machine's clock")
    return Finding("clock", OK, "not behind the newest transaction")


def _mirror(replica: Replica) -> Finding:
    refs = [os.fsdecode(ref) for ref in (ledger_ref(replica.ns), watermark_ref(replica.ns))]
    there = transport.ls_remote(replica.git, replica.remote, refs, timeout_s=PROBE_TIMEOUT_S)
    tip = there.get(ledger_ref(replica.ns))
    if tip is None:
        raise ToolError(f"the mirror {replica.remote} has no {refs[0]}", hint="is it the mirror?")
    known = "known here" if replica.has_commit(tip) else "newer than what is here"
    return Finding("mirror", OK, f"{replica.remote} answers; it is at {tip.hex()[:12]}, {known}")


def _log_in(replica: Replica) -> Finding:
    if not replica.push_url:
        return Finding("log-in", PROBLEM, "this clone was set up for reading", _SETUP)
    refs = [os.fsdecode(ledger_ref(replica.ns))]
    try:
        transport.ls_remote(replica.git, replica.push_url, refs, timeout_s=PROBE_TIMEOUT_S)
    except (
        AccessError
    ) as error:  # a log-in that is refused, or a host key that is not the known one
        raise with_reason(replica, error) from None
    return Finding("log-in", OK, f"{replica.push_url} lets you in, its host key is known")
