"""Whether a transaction that was accepted still stands: where a namespace is audited after the
acknowledgement, the gateway restores the state before a violation, and applies again what was
sound (spec/attestation 2.5, 2.6).
"""

from __future__ import annotations

from collections.abc import Iterator

from gitkv.client.policy import read_policy
from gitkv.client.replica import Replica
from gitkv.errors import PolicyError
from gitkv.ledger.seek import LedgerCommit, read_ledger_commit
from gitkv.model.attestation import parse_message
from gitkv.model.gateway_act import (
    APPLY_AGAIN,
    GATEWAY,
    RESTORE,
    GatewayAct,
    parse_gateway_act,
)
from gitkv.model.oid import Oid, parse_oid
from gitkv.reading.signers import SignerNames


def require_standing(replica: Replica, wanted: Oid, tip: Oid) -> None:
    """Raises PolicyError, with the gateway's reasons, when the ledger commit `wanted` was undone
    between it and `tip`.
    """
    seq = read_ledger_commit(wanted, replica.load).attestation.seq
    undone = ""
    for act, text in _acts(replica, wanted, tip):
        if act.kind == RESTORE and act.seq < seq:
            undone = text
        elif act.kind == APPLY_AGAIN and act.seq == seq:
            undone = ""
    if undone:
        raise PolicyError(
            f"{wanted.hex()} was accepted and then undone. The gateway said: {undone}",
            hint="mend what it names and write again; a suspended writer needs an admin first",
        )


def _acts(replica: Replica, wanted: Oid, tip: Oid) -> Iterator[tuple[GatewayAct, str]]:
    """What the gateway did on its own account after `wanted`, oldest first, with its words."""
    names = SignerNames(lambda: read_policy(replica))
    for commit in _candidates(replica, wanted, tip):
        text, _ = parse_message(commit.commit.message)
        subject, _, body = text.partition(b"\n\n")
        act = parse_gateway_act(subject)
        if act is not None and act.ns == replica.ns and names.of(commit).principal == GATEWAY:
            yield act, " ".join((body or subject).decode().split())


def _candidates(replica: Replica, wanted: Oid, tip: Oid) -> Iterator[LedgerCommit]:
    """Commits whose message has a line like the gateway's; git finds them without reading trees."""
    listed = replica.git.run(
        "rev-list",
        "--reverse",
        "--extended-regexp",
        f"--grep=^(restore|apply) {replica.ns}@[0-9]+",
        "--end-of-options",
        f"{wanted.hex()}..{tip.hex()}",
    ).stdout
    for line in listed.split():
        yield read_ledger_commit(parse_oid(line), replica.load)
