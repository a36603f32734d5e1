"""What the gateway signs on its own account, as the subject of a ledger commit tells it: it begins
a ledger, restores an earlier state, and applies a transaction again (spec/attestation 2.4 to 2.6).

One format and one parser, for whoever writes such commits and for whoever judges them later. The
audit has a reader of its own.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gitkv.model.refs import Namespace, parse_namespace

GATEWAY = "stargate"  # who a key of `gateway_keys` stands for, where signers are named

BEGIN = "begin"
RESTORE = "restore"
APPLY_AGAIN = "apply"

SUBJECT_BYTES_MAX = 256  # the longest act is shorter

_SEQ = re.compile(rb"0|[1-9][0-9]{0,14}")
_PRINCIPAL = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")  # spec/policy 4.1


class GatewayAct(NamedTuple):
    """`kind`: BEGIN, RESTORE (the state of `seq`) or APPLY_AGAIN (the transaction `seq`, which
    `principal` signed).
    """

    kind: str
    ns: Namespace
    seq: int = 0
    principal: str = ""

    def subject(self) -> str:
        """The subject line of the commit."""
        if self.kind == BEGIN:
            return f"begin {self.ns}"
        if self.kind == RESTORE:
            return f"restore {self.ns}@{self.seq}"
        return f"apply {self.ns}@{self.seq} of {self.principal} again"


def parse_gateway_act(subject: bytes) -> GatewayAct | None:
    """The act that a subject line tells, None for any other line."""
    if len(subject) > SUBJECT_BYTES_MAX:
        return None
    match subject.split(b" "):
        case [b"begin", ns]:
            return _act(BEGIN, ns, b"0")
        case [b"restore", place]:
            ns, _, seq = place.partition(b"@")
            return _act(RESTORE, ns, seq)
        case [b"apply", place, b"of", principal, b"again"]:
            ns, _, seq = place.partition(b"@")
            return (
                _act(APPLY_AGAIN, ns, seq, principal) if _PRINCIPAL.fullmatch(principal) else None
            )
    return None


def _act(kind: str, ns: bytes, seq: bytes, principal: bytes = b"") -> GatewayAct | None:
    if _SEQ.fullmatch(seq) is None:
        return None
    try:
        return GatewayAct(kind, parse_namespace(ns), int(seq), principal.decode("ascii"))
    except ValueError:
        return None
