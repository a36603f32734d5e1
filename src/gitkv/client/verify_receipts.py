"""Reads the watchlog beside the ledger: one entry for each commit, in order, signed by the gateway
of that time (spec/attestation 6).

Written from the specification; Stargate has its own reader.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from gitkv.audit.commit import Commit
from gitkv.client.replica import Replica
from gitkv.client.verify_objects import ProvedObjects, line_to
from gitkv.client.verify_policies import Policies, Version, tracked_tip
from gitkv.errors import IntegrityError
from gitkv.git.ancestry import is_ancestor
from gitkv.model.commit import Commit as EntryCommit
from gitkv.model.commit import parse_commit
from gitkv.model.oid import COMMIT, EMPTY_TREE, Oid
from gitkv.model.verdict import INTEGRITY, FormError, Reason, reason
from gitkv.ports import Verifier

_ENTRY = re.compile(
    rb"accept ([^\n]+)\n\nKV-Version: 1\nKV-NS: ([^\n]+)\nKV-Epoch: ([^\n]+)\nKV-Seq: ([0-9]+)\n"
    rb"KV-Txn: ([0-9a-f-]{36})\n"
    rb"KV-Ledger: ([0-9a-f]{40})\nKV-Index: ([0-9a-f]{40})\nKV-Policy: ([0-9a-f]{40})\n"
)
_FIELDS = ("subject", "KV-NS", "KV-Epoch", "KV-Seq", "KV-Txn", "KV-Ledger", "KV-Index")


class Line(NamedTuple):
    """The watchlog's commits, oldest first. Every ledger commit below `needed` must have a receipt:
    a mirror shows both or neither.
    """

    entries: Sequence[Oid]
    needed: int


def receipts_line(replica: Replica, epoch: str, ledger: Sequence[Oid]) -> Line:
    """The watchlog as last fetched. Raises FormError when mirror and Stargate contradict each other
    or the trusted ledger, IntegrityError when it is not whole.
    """
    shown = tracked_tip(replica, f"kv/{replica.ns}")
    tip = tracked_tip(replica, f"kv-watchlog/{replica.ns}@{epoch}")
    needed = 0 if shown is None else _length_up_to(replica, shown, ledger)
    return Line(line_to(replica, tip) if tip is not None else (), needed)


def _length_up_to(replica: Replica, shown: Oid, ledger: Sequence[Oid]) -> int:
    if shown in ledger:
        return ledger.index(shown) + 1
    if is_ancestor(replica.git, ledger[-1], shown):
        return len(ledger)
    where = f"refs/remotes/{replica.remote}/kv/{replica.ns}"
    raise FormError(
        reason(
            INTEGRITY,
            "remote.forked",
            where,
            f"one line of commits with the trusted {ledger[-1].hex()}",
            shown.hex(),
        )
    )


class Receipts:
    """Asked once for each ledger commit, in order. `count`: receipts that are there and right;
    `pending`: not there yet.
    """

    def __init__(
        self, line: Line, policies: Policies, objects: ProvedObjects, verifier: Verifier
    ) -> None:
        self.count = self.pending = 0
        self._line = line
        self._policies = policies
        self._objects = objects
        self._verifier = verifier
        self._place = 0  # of the policy that judged the commit before

    def of(
        self, seq: int, commit: Commit, pair: tuple[Oid, Oid]
    ) -> tuple[Version | None, list[Reason]]:
        """The policy that judged a ledger commit, None where that cannot be known, and what is
        wrong with its receipt.

        `pair`: ids of the ledger and the index commit. A commit whose receipt has not arrived is
        judged by the newest policy.
        """
        where = f"receipt {seq}"
        if seq >= len(self._line.entries):
            return self._without(seq, where)
        entry, found = self._entry(seq, where)
        if entry is None:
            return None, found
        match = _ENTRY.fullmatch(entry.message)
        before = (self._line.entries[seq - 1],) if seq else ()
        if match is None or entry.tree != EMPTY_TREE or entry.parents != before:
            return None, [
                reason(
                    INTEGRITY,
                    "receipt.form",
                    where,
                    "an entry behind the one before it (spec/attestation 6.1)",
                    entry.message,
                )
            ]
        version, found = self._policy_of(Oid(bytes.fromhex(match[8].decode())), where)
        found += _differences(match.groups()[:7], seq, commit, pair)
        if version is not None:
            found += self._judge_signature(entry, version, where)
        self.count += not found
        return version, found

    def _entry(self, seq: int, where: str) -> tuple[EntryCommit | None, list[Reason]]:
        oid = self._line.entries[seq]
        try:
            return parse_commit(self._objects.load(oid, COMMIT)), []
        except FormError as error:
            return None, [error.reason]
        except IntegrityError as error:
            return None, [
                reason(INTEGRITY, "receipt.missing", where, f"entry {oid.hex()}", str(error))
            ]

    def _judge_signature(self, entry: EntryCommit, version: Version, where: str) -> list[Reason]:
        signature = self._verifier.verify(
            entry.payload, entry.armour, version.policy.gateway_keys, entry.identity().seconds
        )
        if signature.status == "good":
            return []
        got = f"{signature.status} {signature.fingerprint}".rstrip()
        return [
            reason(
                INTEGRITY, "receipt.signature", where, "a gateway key of the policy it names", got
            )
        ]

    def _without(self, seq: int, where: str) -> tuple[Version | None, list[Reason]]:
        if seq < self._line.needed:
            hint = "git fetch, and verify again; if it stays so, the watchlog was cut short"
            return None, [
                reason(
                    INTEGRITY,
                    "receipt.missing",
                    where,
                    "a receipt, since the remote shows the transaction",
                    "none",
                    hint,
                )
            ]
        self.pending += 1
        versions = self._policies.versions
        return (versions[-1] if versions else None), []

    def _policy_of(self, oid: Oid, where: str) -> tuple[Version | None, list[Reason]]:
        place = self._policies.place_of(oid)
        if place < 0:
            hint = "git fetch, then verify again, unless the policy itself was found wrong"
            return None, [
                reason(
                    INTEGRITY,
                    "receipt.policy",
                    where,
                    "a policy of this clone that could be verified",
                    oid.hex(),
                    hint,
                )
            ]
        found = []
        if place < self._place:
            found.append(
                reason(
                    INTEGRITY,
                    "receipt.policy",
                    where,
                    "the policy of the entry before, or a later one",
                    oid.hex(),
                )
            )
        self._place = max(place, self._place)
        return self._policies.versions[place], found


def _differences(
    said: tuple[bytes, ...], seq: int, commit: Commit, pair: tuple[Oid, Oid]
) -> list[Reason]:
    ledger, index = (oid.hex().encode() for oid in pair)
    expected = (
        b"%b@%d" % (commit.ns, seq),
        commit.ns,
        commit.epoch,
        b"%d" % seq,
        commit.txn,
        ledger,
        index,
    )
    return [
        reason(INTEGRITY, "receipt.lie", f"receipt {seq}: {name}", wanted, got)
        for name, wanted, got in zip(_FIELDS, expected, said, strict=True)
        if wanted != got
    ]
