"""Who signed each ledger commit, whether the policy of that time let them, and what they might
change (spec/policy 6 to 8).
"""

from __future__ import annotations

import re

from gitkv.audit.commit import Commit
from gitkv.audit.history import UNLIMITED, Judged
from gitkv.audit.limits import AuditRules
from gitkv.model.gateway_act import APPLY_AGAIN, GATEWAY, RESTORE, GatewayAct, parse_gateway_act
from gitkv.model.oid import Oid
from gitkv.model.policy import Principal
from gitkv.model.refs import Namespace
from gitkv.model.verdict import POLICY, reason
from gitkv.policy.rules import Ranges, allowed_ranges, judge_identity, judge_signature
from gitkv.ports import Verifier
from gitkv.verifying.policies import Version
from gitkv.verifying.validity import Signed, verify_at

UNSIGNED = "unsigned"

_EMAIL = re.compile(rb"\ncommitter [^\n<]*<([^\n>]*)>")


class Signers:
    """Judges the commits of a ledger in order, those after sequence number `trusted_to`. `counts`:
    how many each principal signed.
    """

    def __init__(self, ns: Namespace, verifier: Verifier, trusted_to: int) -> None:
        self.counts: dict[str, int] = {}
        self._ns = ns
        self._verifier = verifier
        self._trusted_to = trusted_to
        self._shared: dict[tuple[Oid, str], tuple[Version, str]] = {}
        self._by_seq: dict[int, tuple[Version, str]] = {}

    def judge(self, seq: int, commit: Commit, version: Version, accepted_s: int) -> Judged:
        """What is against the signer, and what the audit of the trees has to hold them to.

        A key must be valid at the commit's own time and at `accepted_s`, the receipt's, 0 where
        there is none yet (spec/policy 6.3).
        """
        signed = Signed(commit.payload, commit.armour or b"")
        moments = (commit.time_s, accepted_s) if accepted_s else (commit.time_s,)
        signature = verify_at(self._verifier, signed, version.keys, moments)
        if signature.status == "unknown-key" and self.is_gateway(*signed, version):
            return self._judge_gateway(seq, commit, version)
        where = f"commit {seq}"
        principal, found = judge_signature(version.policy, signature, where)
        if not found:
            email = _EMAIL.search(commit.payload)
            found += judge_identity(
                version.policy, principal, email[1].decode("ascii") if email else "", where
            )
        self._note(seq, principal, version, is_good=not found)
        if found:
            return found, UNLIMITED
        ranges = allowed_ranges(version.policy, self._ns, principal.name if principal else None)
        return self._limits(seq, version, ranges)

    def is_gateway(self, payload: bytes, armour: bytes, version: Version) -> bool:
        """Whether a gateway key of the policy signed."""
        return (
            self._verifier.verify(payload, armour, version.policy.gateway_keys, 1).status == "good"
        )

    def _judge_gateway(self, seq: int, commit: Commit, version: Version) -> Judged:
        """The gateway begins, restores, and applies again what a writer signed before and a
        restoration undid; nothing of its own.
        """
        self.counts[GATEWAY] = self.counts.get(GATEWAY, 0) + 1
        if seq == 0:
            return [], UNLIMITED
        act = parse_gateway_act(commit.subject)
        if act is not None and act.kind == RESTORE and commit.keys_set == commit.keys_del == 0:
            return [], UNLIMITED
        original = self._original(act, version)
        if original is None:
            expected = "the signature of a writer, whose transaction this is"
            return [
                reason(POLICY, "signature.gateway", f"commit {seq}", expected, "the gateway's own")
            ], UNLIMITED
        return self._limits(
            seq, original[0], allowed_ranges(original[0].policy, self._ns, original[1])
        )

    def _original(self, act: GatewayAct | None, version: Version) -> tuple[Version, str] | None:
        """Policy and writer of what the gateway says it applies again; as it says, where that lies
        in the trusted part.
        """
        if act is None or act.kind != APPLY_AGAIN or act.ns != self._ns:
            return None
        if act.seq <= self._trusted_to:
            return version, act.principal
        original = self._by_seq.get(act.seq)
        return original if original is not None and original[1] == act.principal else None

    def _limits(self, seq: int, version: Version, ranges: Ranges) -> Judged:
        rules = version.policy.namespace(self._ns)
        if rules is None:
            expected = f"a policy with namespace {self._ns}"
            found = reason(
                POLICY, "namespace.unknown", f"commit {seq}", expected, version.oid.hex()
            )
            return [found], UNLIMITED
        return [], AuditRules(
            ranges,
            rules.value_bytes_max,
            rules.total_bytes_max,
            rules.keys_max,
            rules.lfs_forbidden,
            expiry_required=rules.ttl_default_s > 0,
            chunking=rules.chunking.text.encode(),
        )

    def _note(
        self, seq: int, principal: Principal | None, version: Version, *, is_good: bool
    ) -> None:
        if not is_good:
            return
        name = principal.name if principal else UNSIGNED
        self.counts[name] = self.counts.get(name, 0) + 1
        if principal is not None:
            self._by_seq[seq] = self._shared.setdefault((version.oid, name), (version, name))
