"""The values of a write as they go into a plan: short ones as they are, long ones cut into chunks.

Cutting is done once, however often the transaction is rebuilt on a new tip: the chunks go into a
pack that every attempt begins with. Chunks that the store has already are left out of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from types import TracebackType
from typing import cast

from gitkv.client.chunk_store import require_trees
from gitkv.client.draft import Draft, changes_at
from gitkv.client.policy import open_policy, read_policy
from gitkv.client.replica import Replica
from gitkv.errors import PolicyError, RejectedError
from gitkv.git.pack import Pack, PackWriter
from gitkv.ledger.chunks import cut_value, take_value
from gitkv.ledger.compose import Tip
from gitkv.ledger.ordered_tree import Emit
from gitkv.ledger.plan import Put as PlannedPut
from gitkv.ledger.roots import open_chunks
from gitkv.ledger.seek import Load
from gitkv.model.chunk_tree import parse_group, parse_value_tree
from gitkv.model.content import BytesContent, Content, Put
from gitkv.model.manifest import Manifest
from gitkv.model.oid import BLOB, TREE, Oid
from gitkv.model.policy import NamespacePolicy
from gitkv.model.verdict import FormError, refuse

NewObjects = dict[Oid, tuple[bytes, bytes]]  # id -> kind, body

KNOWN_MAX = 500_000  # chunks that are looked up in the store: 128 GB of the usual size


class Values:
    """The changes of one draft; close it. `first`: the pack with the chunks and their trees, None
    without any; `trees`: those trees.
    """

    def __init__(self, replica: Replica, draft: Draft) -> None:
        self.draft = draft
        self.first: Pack | None = None
        self.trees: NewObjects = {}
        self._replica = replica
        self._planned: Mapping[bytes, PlannedPut | None] | None = None
        self._rules: NamespacePolicy | None = None

    def changes(self, base: Tip, now_s: int) -> Mapping[bytes, PlannedPut | None]:
        """The changes for a plan on `base`. Cuts what is long: now, or again when the policy has
        other sizes by now.

        Raises RejectedError for a value of too many chunks, OSError, and what a content raises.
        """
        if self.draft.only_expired:  # deletions
            changes = changes_at(self.draft, base, self._replica.load, now_s)
            return cast("Mapping[bytes, PlannedPut | None]", changes)
        rules = self._present_rules()
        if self._planned is None or self._rules != rules:
            self._planned, self._rules = self._cut(rules, base), rules
        elif self.first is not None:
            require_trees(self._replica, base)
        return self._planned

    def cut_early(self) -> None:
        """Cuts now what may take long, so that no connection waits for it meanwhile."""
        puts = [put for put in self.draft.changes.values() if put is not None]
        if all(isinstance(put.value, bytes) for put in puts) or self._replica.heads() is None:
            return
        if self._replica.remote:
            from gitkv.client.follow import follow
            from gitkv.client.trust.shown import stargate_of

            follow(self._replica, stargate_of(self._replica))  # chunks that it has are not sent
        self.changes(self._replica.tip(), self._replica.host.now_s())

    def close(self) -> None:
        """Removes the chunks; may be called again."""
        if self.first is not None:
            self.first.close()
            self.first = None

    def __enter__(self) -> Values:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _present_rules(self) -> NamespacePolicy:
        try:
            policy = read_policy(self._replica)
        except PolicyError:  # newer than this program; Stargate decides
            policy = None
        ns = self._replica.ns
        found = None if policy is None else policy.namespace(ns)
        return found or open_policy(ns).namespaces[0]

    def _cut(self, rules: NamespacePolicy, base: Tip) -> Mapping[bytes, PlannedPut | None]:
        changes, limit = self.draft.changes, rules.value_bytes_max
        long = [name for name, put in changes.items() if put is not None and _is_long(put, limit)]
        if not long:  # nearly always; a Put of bytes is what a plan takes
            return cast("Mapping[bytes, PlannedPut | None]", changes)
        self.close()
        self.trees = {}
        require_trees(self._replica, base)
        known = frozenset(islice(known_chunks(base, self._replica.load), KNOWN_MAX))
        writer = PackWriter(self._replica.repository.common_dir, known=known)

        def emit(kind: bytes, body: bytes) -> Oid:
            oid = writer.add(kind, body)
            if kind != BLOB:
                self.trees[oid] = kind, body
            return oid

        try:
            planned: dict[bytes, PlannedPut | None] = {}
            for name, put in changes.items():
                planned[name] = put and PlannedPut(
                    _taken(put.value, rules, emit), put.ctype, put.expires
                )
            self.first = writer.finish()
        except FormError as error:
            raise RejectedError(refuse([error.reason])) from None
        finally:
            writer.close()
        return planned


def known_chunks(base: Tip, load: Load) -> Iterator[Oid]:
    """The chunks in the chunk store of a tip."""
    for _, tree in open_chunks(base.trees.chunks_tree, load).scan():
        for group in parse_value_tree(load(Oid(tree), TREE)):
            for chunk in parse_group(load(group.oid, TREE)):
                yield chunk.oid


def _is_long(put: Put, limit: int) -> bool:
    return not isinstance(put.value, bytes) or len(put.value) > limit


def _taken(value: bytes | Content, rules: NamespacePolicy, emit: Emit) -> bytes | Manifest:
    limit, chunking = rules.value_bytes_max, rules.chunking
    if not isinstance(value, bytes):
        return take_value(value.pieces(), limit, chunking, emit)
    return value if len(value) <= limit else cut_value(BytesContent(value).pieces(), chunking, emit)
