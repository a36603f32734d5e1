"""Which pushes exist at all: a transaction of one namespace, or a change of the policy. Everything
else is refused, with every reason.

Judges names and shapes only, before a pack is read; signatures, tips, unknown namespaces and
content are left to the ledger's rules and the gateway. An allow-list over bytes: a name is what it
is, so case, Unicode and percent spellings are simply other names.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from gitkv.model.heads import Heads, MissingHeadError, heads_among
from gitkv.model.oid import ZERO_OID
from gitkv.model.refs import (
    CHUNKS,
    INDEX,
    LEDGER,
    POLICY_REF,
    PRIVATE,
    WATCHLOG,
    WATERMARK,
    Namespace,
    Ref,
    RefUpdate,
    parse_epoch,
    parse_namespace,
)
from gitkv.model.verdict import BROKEN, POLICY, Reason, Verdict, reason, refuse
from gitkv.wire.receive_pack import ATOMIC, COMMANDS_MAX, Command, ProposedCommands

_GATEWAY_ONLY = (
    WATCHLOG,
    WATERMARK,
    *PRIVATE,
    b"refs/kv-archive/",
    b"refs/kv-epoch/",
    b"refs/kv-epochs/",
)
_ALLOWED = (
    "refs/kv/<namespace> with refs/kv-index/<namespace>, perhaps with "
    "refs/kv-chunks/<namespace>@<epoch>, or refs/heads/main"
)


class TransactionPush(NamedTuple):
    """The heads of a namespace moving together (spec/format 2.3), from where the client says they
    stand. Zero ids in `old` start a namespace, or its chunk store; whether they may, the gateway
    says. Both are without `chunks` where the chunk store does not move.
    """

    ns: Namespace
    old: Heads
    new: Heads


class PolicyPush(NamedTuple):
    """A move of `refs/heads/main`, alone."""

    policy_move: RefUpdate


def classify(proposed: ProposedCommands) -> TransactionPush | PolicyPush | Verdict:
    """The push as a proved value, or a Verdict with all reasons against it (never an accepting
    one).
    """
    reasons = _judge_envelope(proposed)
    if proposed.command_count > COMMANDS_MAX:
        return refuse(reasons)  # the commands themselves were not all kept
    for command in proposed.commands:
        reasons += _judge_command(command)
    reasons += _judge_repeats(proposed.commands)
    if reasons:
        return refuse(reasons)
    return _judge_tuple(
        {
            command.ref: RefUpdate(Ref(command.ref), command.old, command.new)
            for command in proposed.commands
        }
    )


def _judge_envelope(proposed: ProposedCommands) -> list[Reason]:
    reasons = []
    if proposed.shallow:
        reasons.append(
            reason(
                BROKEN,
                "push.shallow",
                "push",
                "a complete history",
                "a push from a shallow clone",
                "git fetch --unshallow",
            )
        )
    if not proposed.command_count:
        reasons.append(reason(POLICY, "push.empty", "push", _ALLOWED, "no command"))
    if proposed.command_count > COMMANDS_MAX:
        reasons.append(
            reason(
                POLICY,
                "push.too-many-refs",
                "push",
                f"at most {COMMANDS_MAX} refs",
                str(proposed.command_count),
            )
        )
    if proposed.command_count > 1 and ATOMIC not in proposed.capabilities:
        reasons.append(
            reason(
                POLICY,
                "push.not-atomic",
                "push",
                "an atomic push of several refs",
                "a plain one",
                "git push --atomic",
            )
        )
    return reasons


def _judge_command(command: Command) -> list[Reason]:
    reasons = _judge_ref(command.ref)
    if command.new == ZERO_OID:
        reasons.append(
            reason(POLICY, "push.deletion", command.ref, "a ref that moves forward", "a deletion")
        )
    elif command.new == command.old:
        reasons.append(
            reason(
                POLICY,
                "push.no-op",
                command.ref,
                "a new value",
                f"the old one, {command.old.hex()}",
            )
        )
    return reasons


def _judge_ref(ref: bytes) -> list[Reason]:
    if ref == POLICY_REF:
        return []
    if ref.startswith(_GATEWAY_ONLY):
        return [
            reason(
                POLICY,
                "push.gateway-ref",
                ref,
                "a ref that clients write",
                "one written by the gateway only",
            )
        ]
    for prefix in (LEDGER, INDEX):
        if ref.startswith(prefix):
            return _judge_namespace(ref, ref.removeprefix(prefix))
    if ref.startswith(CHUNKS):
        ns, _, epoch = ref.removeprefix(CHUNKS).rpartition(b"@")
        return _judge_namespace(ref, ns) + _judge_epoch(ref, epoch)
    return [reason(POLICY, "push.ref", ref, _ALLOWED, "a ref outside of the allow-list")]


def _judge_namespace(ref: bytes, name: bytes) -> list[Reason]:
    try:
        parse_namespace(name)
    except ValueError:
        expected = "a namespace [a-z0-9][a-z0-9._-]{0,62} without '..', final '.' or '.lock'"
        return [reason(POLICY, "push.namespace", ref, expected, name or "nothing")]
    return []


def _judge_epoch(ref: bytes, label: bytes) -> list[Reason]:
    try:
        parse_epoch(label)
    except ValueError:
        expected = "a namespace, @ and an epoch label [A-Za-z0-9][A-Za-z0-9_-]{0,62}"
        return [reason(POLICY, "push.epoch", ref, expected, label or "nothing")]
    return []


def _judge_repeats(commands: tuple[Command, ...]) -> list[Reason]:
    counts = Counter(command.ref for command in commands)
    return [
        reason(POLICY, "push.ref-twice", ref, "each ref once", f"{count} times")
        for ref, count in counts.items()
        if count > 1
    ]


def _judge_tuple(updates: dict[bytes, RefUpdate]) -> TransactionPush | PolicyPush | Verdict:
    policy = updates.get(POLICY_REF)
    if policy is not None:
        return (
            PolicyPush(policy)
            if len(updates) == 1
            else _refuse_tuple("policy-alone", POLICY_REF, "a policy change on its own", updates)
        )
    namespaces = sorted({_namespace_of(ref) for ref in updates})
    if len(namespaces) > 1:
        return _refuse_tuple("one-namespace", "push", "the refs of one namespace", updates)
    ns = namespaces[0]
    try:
        old = heads_among({Ref(ref): move.old for ref, move in updates.items()}, ns)
        new = heads_among({Ref(ref): move.new for ref, move in updates.items()}, ns)
    except MissingHeadError:
        old = new = None
    if old is None or new is None or len(new.by_ref(ns)) != len(updates):
        together = f"refs/kv/{ns} and refs/kv-index/{ns}, and one chunk ref at most, together"
        return _refuse_tuple("incomplete", "push", together, updates)
    return TransactionPush(ns, old, new)


def _namespace_of(ref: bytes) -> Namespace:
    name = ref.rpartition(b"/")[2]
    return parse_namespace(name.rpartition(b"@")[0] if ref.startswith(CHUNKS) else name)


def _refuse_tuple(
    rule: str, where: str | bytes, expected: str, updates: dict[bytes, RefUpdate]
) -> Verdict:
    return refuse([reason(POLICY, f"push.{rule}", where, expected, b" ".join(sorted(updates)))])
