"""Builds ledgers the slow and obvious way, straight from `docs/spec`: whole trees from dicts, level
by level, nothing incremental.

A third reading of the specification, for tests to hold against both the writer and the audit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from hashlib import sha256
from typing import NamedTuple

from gitkv.audit.step import Roots, StepFacts
from gitkv.model.oid import BLOB, COMMIT, TREE, Oid, hash_object

Payloads = dict[bytes, bytes]


class Value(NamedTuple):
    body: bytes
    meta: bytes | None = None


State = dict[bytes, Value]


class ObjectsInMemory:
    """Objects by id. Implements the audit's Loader; counts what is read."""

    def __init__(self) -> None:
        self.held: dict[bytes, tuple[bytes, bytes]] = {}
        self.reads = 0

    def put(self, kind: bytes, body: bytes) -> Oid:
        oid = hash_object(kind, body)
        self.held[oid] = (kind, body)
        return oid

    def _get(self, oid: bytes, kind: bytes) -> bytes:
        self.reads += 1
        found = self.held.get(oid)
        if found is None or found[0] != kind:
            raise LookupError(f"no {kind.decode()} {oid.hex()}")
        return found[1]

    def tree(self, oid: Oid) -> bytes:
        return self._get(oid, TREE)

    def sizes(self, oids: Sequence[Oid]) -> Sequence[int]:
        return [len(self._get(oid, BLOB)) for oid in oids]

    def trees(self, oids: Sequence[Oid]) -> Iterator[bytes]:
        return (self._get(oid, TREE) for oid in oids)

    def blobs(self, oids: Sequence[Oid]) -> Iterator[bytes]:
        return (self._get(oid, BLOB) for oid in oids)


@cache
def is_low(level: int, name: bytes) -> bool:
    return int.from_bytes(sha256(bytes([level]) + name).digest()[:2], "big") < 1024


def cut(level: int, items: list[tuple[bytes, bytes]]) -> list[list[tuple[bytes, bytes]]]:
    nodes: list[list[tuple[bytes, bytes]]] = []
    for item in items:
        if not nodes or len(nodes[-1]) == 512 or (len(nodes[-1]) >= 8 and is_low(level, item[0])):
            nodes.append([])
        nodes[-1].append(item)
    return nodes


def tree_body(entries: list[tuple[bytes, bytes, bytes]]) -> bytes:
    return b"".join(mode + b" " + name + b"\0" + oid for mode, name, oid in entries)


def build_map(store: ObjectsInMemory, payloads: Payloads, *, lines: bool) -> Oid | None:
    """The root of an ordered tree of entries (payloads are blob ids) or of lines."""
    items, level = sorted(payloads.items()), 0
    if not items:
        return None
    while True:
        nodes, below = cut(level, items), []
        for node in nodes:
            if level == 0 and lines:
                oid = store.put(BLOB, b"".join(line + b"\n" for _, line in node))
            elif level == 0:
                oid = store.put(TREE, tree_body([(b"100644", name, value) for name, value in node]))
            else:
                mode = b"100644" if lines and level == 1 else b"40000"
                oid = store.put(
                    TREE, tree_body([(mode, name + b"!", child) for name, child in node])
                )
            below.append((node[0][0], bytes(oid)))
        if len(nodes) == 1 and level >= int(lines):
            return Oid(below[0][1])
        items, level = below, level + 1


def build_root(store: ObjectsInMemory, maps: dict[bytes, Oid | None]) -> Oid:
    return store.put(
        TREE,
        tree_body([(b"40000", name, oid) for name, oid in sorted(maps.items()) if oid is not None]),
    )


class Ledger:
    """A ledger that grows by whole states. `live` and `gone` hold the index as dicts; `roots` the
    trees of each step.
    """

    def __init__(self) -> None:
        self.store = ObjectsInMemory()
        self.seq = 0
        self.state: State = {}
        self.live: dict[bytes, dict[str, object]] = {}
        self.gone: dict[bytes, int] = {}
        self.roots = self.build()

    def step(self, state: State) -> StepFacts:
        """Moves to `state`; returns the honest facts. `roots` and `seq` are those after."""
        self.seq += 1
        keys_set = [name for name in state if self.state.get(name) != state[name]]
        keys_del = [name for name in self.state if name not in state]
        for name in keys_set:
            self.live[name] = self._line(name, state[name])
            self.gone.pop(name, None)
        for name in keys_del:
            del self.live[name]
            self.gone[name] = self.seq
        self.state = dict(state)
        self.roots = self.build()
        return StepFacts(self.seq, len(keys_set), len(keys_del))

    def _line(self, name: bytes, value: Value) -> dict[str, object]:
        old = self.live.get(name)
        line: dict[str, object] = {} if value.meta is None else json.loads(value.meta)
        line |= {
            "key": name.decode(),
            "oid": hash_object(BLOB, value.body).hex(),
            "size": len(value.body),
            "mod": self.seq,
        }
        line["created"] = self.seq if old is None else old["created"]
        line["versions"] = 1 if old is None else int(str(old["versions"])) + 1
        return line

    def live_lines(self) -> Payloads:
        return {
            name: json.dumps(
                line, sort_keys=True, separators=(",", ":"), ensure_ascii=False
            ).encode()
            for name, line in self.live.items()
        }

    def gone_lines(self) -> Payloads:
        return {
            name: b'{"key":"' + name + b'","mod":' + str(seq).encode() + b"}"
            for name, seq in self.gone.items()
        }

    def data_items(self) -> Payloads:
        return {name: self.store.put(BLOB, value.body) for name, value in self.state.items()}

    def meta_items(self) -> Payloads:
        return {
            name: self.store.put(BLOB, value.meta)
            for name, value in self.state.items()
            if value.meta is not None
        }

    def build(self, **maps: Oid | None) -> Roots:
        """The trees of the current state; a map given by name ("data", "meta", "live", "gone")
        stands in for the right one.
        """
        data = (
            maps["data"]
            if "data" in maps
            else build_map(self.store, self.data_items(), lines=False)
        )
        meta = (
            maps["meta"]
            if "meta" in maps
            else build_map(self.store, self.meta_items(), lines=False)
        )
        live = (
            maps["live"] if "live" in maps else build_map(self.store, self.live_lines(), lines=True)
        )
        gone = (
            maps["gone"] if "gone" in maps else build_map(self.store, self.gone_lines(), lines=True)
        )
        return Roots(
            build_root(self.store, {b"data": data, b"meta": meta}),
            build_root(self.store, {b"live": live, b"gone": gone}),
        )


def reachable(store: ObjectsInMemory, oid: bytes) -> set[bytes]:
    """Every object below and including `oid`."""
    kind, body = store.held[oid]
    found, at = {oid}, 0
    while kind == TREE and at < len(body):
        end = body.index(b"\0", at) + 21
        found |= reachable(store, body[end - 20 : end])
        at = end
    return found


@cache
def jump(seq: int) -> int:
    """spec/attestation 3.1, for seq > 0."""
    if seq == 1:
        return 0
    before = seq - 1
    near = jump(before) if before else 0
    far = jump(near) if near else near
    return far if before - near == near - far else before


class Told(NamedTuple):
    """Commits of a ledger and its index, oldest first."""

    commits: list[tuple[Oid, bytes]]
    index_commits: list[tuple[Oid, bytes]]


_PERSON = b"Ann Example <ann@example.org> %d +0100"


def tell(
    steps: list[tuple[Roots, StepFacts]], *, ns: bytes = b"main", start_s: int = 1_700_000_000
) -> Told:
    """Commit objects for a history; the first step is the empty commit with sequence number 0."""
    told, trees = Told([], []), [roots.ledger_tree for roots, _ in steps]
    for (roots, facts), seq in zip(steps, range(len(steps)), strict=True):
        parent = told.commits[-1][0].hex().encode() if seq else b"-"
        base_tree = trees[seq - 1].hex().encode() if seq else b"-"
        far = told.commits[jump(seq)][0].hex().encode() if seq else b"-"
        fields = [
            b"KV-Version: 1",
            b"KV-NS: " + ns,
            b"KV-Txn: 018f0000-0000-7000-8000-%012x" % seq,
            b"KV-Seq: %d" % seq,
        ]
        fields += [
            b"KV-Base: " + parent,
            b"KV-Base-Tree: " + base_tree,
            b"KV-Jump: " + far,
            b"KV-Index-Tree: " + roots.index_tree.hex().encode(),
        ]
        fields += [
            b"KV-Chunks-Tree: -",
            b"KV-Epoch: e1",
            b"KV-Keys-Set: %d" % facts.keys_set,
            b"KV-Keys-Del: %d" % facts.keys_del,
        ]
        person = _PERSON % (start_s + seq)
        head = (
            b"tree "
            + roots.ledger_tree.hex().encode()
            + b"\n"
            + (b"parent " + parent + b"\n" if seq else b"")
        )
        body = (
            head
            + b"author "
            + person
            + b"\ncommitter "
            + person
            + b"\n\nkv: step\n\n"
            + b"\n".join(fields)
            + b"\n"
        )
        told.commits.append((hash_object(COMMIT, body), body))
        told.index_commits.append(_index_commit(told, roots, (ns, seq, start_s + seq)))
    return told


def _index_commit(told: Told, roots: Roots, at: tuple[bytes, int, int]) -> tuple[Oid, bytes]:
    ns, seq, when_s = at
    person = b"git-kv <index@git-kv.invalid> %d +0000" % when_s
    parent = (
        b"parent " + told.index_commits[-1][0].hex().encode() + b"\n" if told.index_commits else b""
    )
    body = (
        b"tree "
        + roots.index_tree.hex().encode()
        + b"\n"
        + parent
        + b"author "
        + person
        + b"\ncommitter "
        + person
    )
    body += b"\n\nindex of %b@%d\n\nKV-Version: 1\nKV-Ledger: %b\n" % (
        ns,
        seq,
        told.commits[-1][0].hex().encode(),
    )
    return hash_object(COMMIT, body), body
