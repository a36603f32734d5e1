"""One Stargate repository as its use cases see it: adapters, current policy, tips, known
transactions.

Holds what several use cases share and nothing they decide. One lock guards every move of refs;
reading needs none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from gitkv.errors import IntegrityError, UnavailableError
from gitkv.gateway.push_room import PushRoom
from gitkv.gateway.turns import Turns
from gitkv.gateway.watchlog import Entry, entries_back, parse_entry
from gitkv.git.object_store import GitObjectStore
from gitkv.git.process import Git
from gitkv.git.ref_store import PackedRefStore
from gitkv.ledger.compose import Tip, read_tip
from gitkv.model.heads import Heads, MissingHeadError, heads_among
from gitkv.model.identity import PublicKey
from gitkv.model.oid import COMMIT, Oid
from gitkv.model.policy import Policy
from gitkv.model.refs import (
    LEDGER,
    POLICY_REF,
    WATCHLOG,
    Namespace,
    parse_namespace,
    watchlog_ref,
)
from gitkv.policy.text import parse_policy
from gitkv.policy.tree import policy_text
from gitkv.ports import Clock, Journal, Lease, Signer, Verifier

Report = Callable[[str, Mapping[str, object]], None]  # (event, fields): to log and metrics
Step = Callable[[str], None]  # reached a named step of the pipeline


class Adapters(NamedTuple):
    """The world as Stargate uses it. `git` runs in the bare repository."""

    git: Git
    objects: GitObjectStore
    refs: PackedRefStore
    signer: Signer
    verifier: Verifier
    clock: Clock
    lease: Lease
    journal: Journal


class JudgedPolicy(NamedTuple):
    """A policy and the commit it comes from."""

    commit: Oid
    policy: Policy

    @property
    def keys(self) -> list[PublicKey]:
        """Every principal's keys."""
        return [key for principal in self.policy.principals for key in principal.keys]


class Stargate:
    """Shared state of the use cases of one repository. `moving` is held while refs move."""

    def __init__(self, adapters: Adapters, report: Report, step: Step = lambda name: None) -> None:
        self.git, self.objects, self.refs, self.signer, self.verifier, self.clock = adapters[:6]
        self.lease, self.journal = adapters.lease, adapters.journal
        self._report = report
        self.step = step
        self.moving = threading.RLock()
        self.room = PushRoom()
        self.turns = Turns()  # used by the daemon's loop alone
        self._on_move: list[Callable[[], None]] = []
        self._policy: JudgedPolicy | None = None
        self._txns: set[bytes] = set()
        self.held_because = ""  # why no write is let in now, if so

    @property
    def git_dir(self) -> str:
        return self.git.git_dir

    def report(self, event: str, fields: Mapping[str, object]) -> None:
        """To log and metrics. A log that cannot be written stops no transaction."""
        with suppress(OSError, ValueError):  # ValueError: the stream is closed
            self._report(event, fields)

    def hold_writes(self, why: str) -> bool:
        """Lets no write in until `release_writes`; whether that is a new reason."""
        is_new, self.held_because = why != self.held_because, why
        return is_new

    def release_writes(self) -> None:
        """Ends what `hold_writes` began."""
        self.held_because = ""
        self.announce_move()

    def check_writable(self) -> None:
        """Raises UnavailableError while writes are held."""
        why = self.held_because
        if why:
            raise UnavailableError(
                f"writes are held: {why}", hint="tell the operator: docs/operate/backup.md"
            )

    def on_move(self, wake: Callable[[], None]) -> None:
        """From now on `wake` is called after each move of refs, in the thread that moved them."""
        self._on_move.append(wake)

    def announce_move(self) -> None:
        """Wakes who waits for moved refs."""
        for wake in self._on_move:
            wake()

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

    def load_transaction_ids(self) -> None:
        """Learns the ids of all accepted transactions from the watchlogs: once, at start. Raises
        IntegrityError when an entry is missing, or an id stands in two.
        """
        for ref, newest in self.refs.read_all(WATCHLOG).items():
            known, entries = len(self._txns), 0
            for entry in entries_back(self.git, self.objects, newest):
                self.learn_transaction(entry.txn)
                entries += 1
            if len(self._txns) != known + entries:
                raise IntegrityError(
                    f"{ref.decode()}: expected {entries} different transaction ids, got "
                    f"{len(self._txns) - known}"
                )

    def knows_transaction(self, txn: str) -> bool:
        return bytes.fromhex(txn.replace("-", "")) in self._txns

    def learn_transaction(self, txn: str) -> None:
        self._txns.add(bytes.fromhex(txn.replace("-", "")))

    def forget_transactions(self, txns: Sequence[str]) -> None:
        """These were learnt, and came to nothing."""
        for txn in txns:
            self._txns.discard(bytes.fromhex(txn.replace("-", "")))
