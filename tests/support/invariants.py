"""What must hold of a Stargate's repository after every fault, decided from its raw objects alone.

I1 what was acknowledged is there · I2 what was refused is not · I3 ledger, index and watchlog agree
· I4 one line of commits · I5 each transaction once · I6 one signed watchlog entry a ledger commit,
without a gap · I8 `git fsck` has nothing to say and nothing lies about · I10 the mirror is a prefix
· I11 no temporary file. I12 (the next push works) is the caller's last act: see `Forge.push_good`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Collection, Sequence
from typing import NamedTuple

from gitkv.audit.commit import chunk_commit, parse_commit
from gitkv.audit.history import Verify, audit_history
from gitkv.git.object_store import GitObjectStore
from gitkv.git.process import Git
from gitkv.model.commit import parse_commit as parse_any_commit
from gitkv.model.identity import PublicKey
from gitkv.model.oid import COMMIT, EMPTY_TREE, Oid, hash_object
from gitkv.model.policy import Policy
from gitkv.policy.text import parse_policy
from gitkv.sign.verifier import SignatureVerifier
from gitkv.testing.world import World, run, wait_until
from gitkv.verifying.audit_loader import AuditLoader

_ENTRY = re.compile(
    rb"accept ([^\n]+)@([0-9]+)\n\nKV-Version: 1\nKV-NS: ([^\n]+)\nKV-Epoch: e1\nKV-Seq: ([0-9]+)\n"
    rb"KV-Txn: ([0-9a-f-]{36})\n"
    rb"KV-Ledger: ([0-9a-f]{40})\nKV-Index: ([0-9a-f]{40})\nKV-Chunks: ([0-9a-f]{40}|-)\n"
    rb"KV-Policy: ([0-9a-f]{40})\n"
)
_TEMPORARY = re.compile(
    r"tmp_|\.tmp|.*\.(lock|draft|new|keep)$|intent\.json|\.git-kv-spool|incoming-"
)


class Told(NamedTuple):
    """What the ledger says after the fault, oldest first; `txns`: transaction id → ledger commit,
    to resolve an unknown outcome.
    """

    ledger: list[str]
    txns: dict[str, str]


def check_invariants(
    world: World,
    acknowledged: Collection[str] = (),
    refused: Collection[str] = (),
    ns: str = "main",
) -> Told:
    """AssertionError when one is broken. Ids are hex."""
    refs = world.refs(world.gate)
    with GitObjectStore(Git(str(world.gate), env=world.base_env())) as store:
        ledger, index, log = (
            _line(store, refs[ref])
            for ref in (f"refs/kv/{ns}", f"refs/kv-index/{ns}", f"refs/kv-watchlog/{ns}@e1")
        )
        _check_ledger(world, store, ledger, index)
        _check_watchlog(world, ledger, index, log)
        lost = [oid for oid in acknowledged if oid not in dict(ledger)]
        assert not lost, f"I1: acknowledged and lost: {lost}"
        kept = [oid for oid in refused if oid in dict(ledger) or store.has(Oid(bytes.fromhex(oid)))]
        assert not kept, f"I2, I11: refused and kept: {kept}"
    _check_mirror(world, ns, [oid for oid, _ in ledger])
    _check_objects(world)
    _check_residue(world)
    txns = {parse_commit(body).txn.decode(): oid for oid, body in ledger}
    assert len(txns) == len(ledger), "I5: a transaction stands twice"
    return Told([oid for oid, _ in ledger], txns)


def policy_of(world: World) -> Policy:
    text = run(
        ["git", "cat-file", "blob", "refs/heads/main:.kv/policy.yaml"], world.base_env(), world.gate
    ).out
    return parse_policy(text)


def _line(store: GitObjectStore, tip: str) -> list[tuple[str, bytes]]:
    """I4: commits from the first to `tip`, each with one parent."""
    found: list[tuple[str, bytes]] = []
    at = tip
    while at:
        body = store.read(Oid(bytes.fromhex(at)), COMMIT)
        parents = parse_any_commit(body).parents
        assert len(parents) <= 1, f"I4: {at} has {len(parents)} parents"
        found.append((at, body))
        at = parents[0].hex() if parents else ""
    return found[::-1]


def _check_ledger(
    world: World,
    store: GitObjectStore,
    ledger: Sequence[tuple[str, bytes]],
    index: Sequence[tuple[str, bytes]],
) -> None:
    policy = policy_of(world)
    gateway = list(policy.gateway_keys)
    everyone = [key for principal in policy.principals for key in principal.keys] + gateway
    found = audit_history(
        [(Oid(bytes.fromhex(oid)), body) for oid, body in ledger],
        [(Oid(bytes.fromhex(oid)), body) for oid, body in index],
        AuditLoader(store),
        verify=_verify(world, everyone),
        verify_gateway=_verify(world, gateway),
    )
    assert not found, f"I3, I4, I5: {[entry.text() for entry in found]}"


def _verify(world: World, keys: list[PublicKey]) -> Verify:
    verifier = SignatureVerifier(str(world.root / "gnupg"), world.base_env())

    def verify(payload: bytes, armour: bytes) -> bool:
        return verifier.verify(payload, armour, keys, int(time.time())).status == "good"

    return verify


def _check_watchlog(
    world: World,
    ledger: Sequence[tuple[str, bytes]],
    index: Sequence[tuple[str, bytes]],
    log: Sequence[tuple[str, bytes]],
) -> None:
    assert len(log) == len(ledger), (
        f"I6: {len(log)} watchlog entries for {len(ledger)} ledger commits"
    )
    signed = _verify(world, list(policy_of(world).gateway_keys))
    chunks, chunks_tree = b"-", b"-"
    for seq, (_, body) in enumerate(log):
        commit = parse_any_commit(body)
        match = _ENTRY.fullmatch(commit.message)
        assert match is not None and commit.tree == EMPTY_TREE, f"I6: entry {seq} is malformed"
        said = parse_commit(ledger[seq][1])
        if said.chunks_tree != chunks_tree:
            before = None if chunks == b"-" else Oid(bytes.fromhex(chunks.decode()))
            made = chunk_commit(Oid(bytes.fromhex(ledger[seq][0])), said, before)
            chunks, chunks_tree = hash_object(COMMIT, made).hex().encode(), said.chunks_tree
        expected = (
            said.ns,
            b"%d" % seq,
            said.ns,
            b"%d" % seq,
            said.txn,
            ledger[seq][0].encode(),
            index[seq][0].encode(),
            chunks,
        )
        assert match.groups()[:8] == expected, f"I3, I6: entry {seq} speaks of something else"
        assert signed(commit.payload, commit.armour), (
            f"I6: entry {seq} is not signed by the gateway"
        )
    shown = world.refs(world.gate).get(f"refs/kv-chunks/{said.ns.decode()}@e1", "-")
    assert shown == chunks.decode(), f"I3: the chunk ref is at {shown}, expected {chunks.decode()}"


def _check_mirror(world: World, ns: str, ledger: list[str]) -> None:
    mark = world.refs(world.gate).get(
        f"refs/kv-mirror/{ns}"
    )  # before the mirror is looked at: the worker may be moving both
    shown = world.refs(world.mirror).get(f"refs/kv/{ns}")
    assert shown is None or shown in ledger, (
        f"I10: the mirror shows {shown}, which is not in the ledger"
    )
    if mark is not None:
        assert shown is not None and ledger.index(mark) <= ledger.index(shown), (
            "I10: the watermark is ahead of the mirror"
        )


def _check_objects(world: World) -> None:
    env = world.base_env()
    done = run(
        ["git", "fsck", "--full", "--strict", "--unreachable", "--no-reflogs", "--no-progress"],
        env,
        world.gate,
        check=False,
    )
    assert done.code == 0, f"I8: git fsck: {done.err}"
    assert not done.out.strip(), f"I8, I11: {done.out.decode()}"
    counts = run(["git", "count-objects", "-v"], env, world.gate).out.decode()
    assert "\ngarbage: 0\n" in counts, f"I11: {counts}"


def _check_residue(world: World) -> None:
    try:
        wait_until(
            lambda: not _temporary_files(world), 5
        )  # the mirror worker may be moving its watermark
    except AssertionError:
        raise AssertionError(f"I11: left behind: {_temporary_files(world)}") from None


def _temporary_files(world: World) -> list[str]:
    held = [
        str(path.relative_to(world.gate))
        for path in world.gate.rglob("*")
        if _TEMPORARY.match(path.name)
    ]
    quarantine = world.gate / "kv" / "quarantine"
    held += (
        [f"kv/quarantine/{path.name}" for path in quarantine.iterdir()]
        if quarantine.exists()
        else []
    )
    return [path for path in held if path != "kv/daemon.lock"]


def events(world: World, name: str = "") -> list[dict[str, object]]:
    """What a daemon started with `--log-format json` has reported so far; only the events of this
    name, if one is given.
    """
    found = []
    for line in world.log.read_text(errors="replace").split("\n"):
        if line.startswith("{"):
            entry = json.loads(line)
            if not name or entry["event"] == name:
                found.append(entry)
    return found
