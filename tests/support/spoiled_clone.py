"""A served history and copies of its clones, for tests to spoil and to verify."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from support.forge import Forge, Forged, Objects, emitter

from gitkv.model.commit import commit_payload, parse_commit, sign_payload
from gitkv.model.oid import COMMIT, EMPTY_TREE
from gitkv.sign.gateway_key import Ed25519Signer
from gitkv.testing.world import Done, Person, World, run

LEDGER, INDEX = "refs/kv/main", "refs/kv-index/main"
STARGATES_LOG = "refs/remotes/origin-stargate/kv-watchlog/main@e1"
LOG = "refs/remotes/origin/kv-watchlog/main@e1"
REMEMBERED = ("refs/kv-trust/policy", "refs/kv-trust/receipt/main")


class Layout(NamedTuple):
    """Where a kind of clone keeps what a mirror shows, and what else says so."""

    log: str
    main: str
    ledger: str
    index: str
    others: tuple[str, ...] = ()


SET_UP = Layout(
    LOG,
    "refs/remotes/origin/main",
    "refs/remotes/origin/kv/main",
    "refs/remotes/origin/kv-index/main",
    (
        *REMEMBERED,
        *(
            f"refs/remotes/origin-stargate/{name}"
            for name in ("kv-watchlog/main@e1", "main", "kv/main", "kv-index/main")
        ),
    ),
)
MIRROR = Layout("refs/kv-watchlog/main@e1", "refs/heads/main", LEDGER, INDEX)


class Clone:
    """A copy of a good clone, for one test to spoil. `forge` builds transactions that follow the
    clone's tip.
    """

    def __init__(
        self, world: World, forge: Forge, person: Person, path: Path, layout: Layout = SET_UP
    ) -> None:
        self.world, self.forge, self.person, self.path = world, forge, person, path
        self.layout = layout

    def show(self, **tips: str) -> None:
        """As if this mirror had shown these tips (`log`, `main`, `ledger`, `index`) from the start,
        and Stargate none; the clone trusts the ledger. "" for a ref that is not there.
        """
        for ref in self.layout.others:
            self.git("update-ref", "-d", ref)
        for name, tip in tips.items():
            self._set(getattr(self.layout, name), tip)
        if "ledger" in tips:
            self._set(LEDGER, tips["ledger"])
            self._set(INDEX, tips["index"])

    def _set(self, ref: str, tip: str) -> None:
        self.git("update-ref", *((ref, tip) if tip else ("-d", ref)))

    def verify(self, *args: str) -> Done:
        """Without a network: nobody answers at any address."""
        self.git("config", "remote.origin.url", "/nowhere")
        return self.person.kv("verify", *args, cwd=self.path, check=False)

    def failure(self) -> str:
        done = self.verify()
        assert done.code == 8 and not done.out, done
        return done.err

    def git(self, *args: str, stdin: bytes = b"") -> str:
        return self.person.git(*args, cwd=self.path, stdin=stdin).out.decode().strip()

    def line(self, ref: str) -> list[str]:
        return self.git("rev-list", "--reverse", ref).split("\n")

    def add(self, objects: Objects) -> None:
        for kind, body in objects.values():
            self.git("hash-object", "-w", "--literally", "-t", kind.decode(), "--stdin", stdin=body)

    def adopt(self, forged: Forged) -> None:
        """As if it had come from the mirror or been written here: the trusted refs move to it."""
        self.add(forged.objects)
        self.git("update-ref", LEDGER, forged.ledger.hex())
        self.git("update-ref", INDEX, forged.index.hex())

    def body(self, oid: str) -> bytes:
        return self.person.git("cat-file", "commit", oid, cwd=self.path).out

    def rewrite_log(
        self,
        *,
        left_out: int = -1,
        key: bytes = b"",
        but: tuple[int, bytes, bytes] = (-1, b"", b""),
    ) -> None:
        """Builds the watchlog anew and signs it: with an entry left out, by another key, or with
        other words in an entry.
        """
        signer = Ed25519Signer(key or (self.world.gate / "kv" / "gateway_key").read_bytes())
        objects: Objects = {}
        emit, parent = emitter(objects), None
        for seq, oid in enumerate(self.line(LOG)):
            if seq == left_out:
                continue
            entry = parse_commit(self.body(oid))
            message = entry.message.replace(but[1], but[2]) if seq == but[0] else entry.message
            payload = commit_payload(
                EMPTY_TREE, () if parent is None else (parent,), entry.committer, message
            )
            parent = emit(COMMIT, sign_payload(payload, signer.sign(payload)))
        assert parent is not None
        self.add(objects)
        self.show_log(parent.hex())

    def show_log(self, oid: str) -> None:
        """As if the mirror had shown this watchlog from the start, and Stargate none."""
        self.git("update-ref", LOG, oid)
        self.forget(STARGATES_LOG)

    def forget(self, *refs: str) -> None:
        """Of these refs, and of what the clone has proved before."""
        for ref in (*refs, *REMEMBERED):
            self.git("update-ref", "-d", ref)


@contextmanager
def served_world(root: Path) -> Iterator[World]:
    """Alice and bob have written in turns, alice has changed the policy between, and the daemon has
    ended.
    """
    world = World(root).create().start()
    try:
        alice, bob = (world.person(name).clone() for name in ("alice", "bob"))
        for number in range(4):
            (alice, bob)[number % 2].kv("set", f"cfg:{number}", f"value {number}")
        policy = run(
            ["git", "cat-file", "blob", "refs/heads/main:.kv/policy.yaml"],
            world.base_env(),
            world.gate,
        ).out
        with Forge(world, alice) as forge:
            assert forge.push(
                forge.policy_change(policy.replace(b"bob: {}", b'bob: {prefixes: ["cfg:"]}'))
            ).accepted
        bob.kv("set", "cfg:4", "under the second policy")
        bob.kv("del", "cfg:0")
        world.wait_for_mirror()
        bob.git("config", "kv.maxAge", "0")
        bob.kv("list")
        assert world.stop() == 0
        yield world
    finally:
        world.close()
