"""`git kv verify`: a good history passes, and whatever somebody changes in a clone, or shows it, is
named with exit code 8.
"""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.forge import Bend, Forge, Objects, emitter
from support.spoiled_clone import LEDGER, LOG, STARGATES_LOG, Clone, served_world

from gitkv.git.object_store import GitObjectStore
from gitkv.git.process import Git
from gitkv.ledger.plan import Plan, Put
from gitkv.model.commit import parse_commit, sign_payload
from gitkv.model.oid import BLOB, COMMIT, Oid, hash_object
from gitkv.sign.gateway_key import Ed25519Signer, generate
from gitkv.testing.world import World, run


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with served_world(tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.fixture
def clone(served: World, tmp_path: Path) -> Iterator[Clone]:
    bob = served.person("bob")
    shutil.copytree(bob.clone_dir, tmp_path / "store", symlinks=True)
    with Forge(served, bob) as forge:
        yield Clone(served, forge, bob, tmp_path / "store")


def test_a_good_history_passes_offline_and_says_what_it_rests_on(clone: Clone) -> None:
    done = clone.verify()
    key = (clone.world.gate / "kv" / "gateway_key").read_bytes()
    fingerprint = run(
        ["ssh-keygen", "-l", "-f", "-"],
        clone.person.env,
        clone.path,
        Ed25519Signer(key).public_line,
    ).out.split()[1]
    assert done.code == 0, done.err
    assert done.out.decode().split("\n")[:-1] == [
        "verified main@0..@6: 7 transactions, 3 signers, 7 receipts",
        "signed by alice (2), bob (4), stargate (1)",
        f"2 policies, from the gateway's key {fingerprint.decode()} on",
    ]


def test_the_answer_for_programs_is_one_object(clone: Clone) -> None:
    said = json.loads(clone.verify("--json").out)
    assert (
        said["verified"]
        and said["reasons"] == []
        and said["signers"] == {"alice": 2, "bob": 4, "stargate": 1}
    )
    assert (said["first"], said["last"], said["commit"], said["policies"]) == (
        0,
        6,
        clone.line(LEDGER)[-1],
        2,
    )
    clone.forget(LOG, STARGATES_LOG)
    done = clone.verify("--json")
    told = json.loads(done.out)
    assert (
        done.code == 8 and not told["verified"] and told["reasons"][0]["rule"] == "receipt.missing"
    )


def test_the_log_names_the_gateway_where_it_signed(clone: Clone) -> None:
    lines = clone.person.kv("log", "--json", cwd=clone.path).out.split(b"\n")[:-1]
    assert [json.loads(line)["principal"] for line in lines] == [
        "bob",
        "bob",
        "bob",
        "alice",
        "bob",
        "alice",
        "stargate",
    ]


def test_a_range_judges_what_lies_behind_its_trusted_start(clone: Clone) -> None:
    assert clone.verify("--from", "@2", "--to", "@5").out.startswith(
        b"verified main@2..@5: 3 transactions, 2 signers, 3 receipts\n"
    )
    assert clone.verify("--from", "@5", "--to", "@2").code == 129
    assert clone.verify("--to", "@99").code == 129


def test_an_own_write_that_the_mirror_has_not_shown_is_verified_without_a_receipt(
    clone: Clone,
) -> None:
    clone.adopt(clone.forge.transaction({b"cfg:new": None, b"cfg:1": None}))
    done = clone.verify()
    assert done.code == 0 and b"7 receipts, 1 without receipt yet" in done.out, done


def test_a_value_that_was_changed_on_the_disk_is_named(clone: Clone) -> None:
    body = b"value 2"
    oid = hash_object(BLOB, body).hex()
    clone.git("cat-file", "-e", oid)
    clone.git("repack", "-adq")
    clone.git("unpack-objects", "-q", stdin=_moved_packs(clone.path))
    path = clone.path / ".git" / "objects" / oid[:2] / oid[2:]
    path.chmod(0o644)
    path.write_bytes(zlib.compress(b"blob 7\0value 9"))
    assert f"{oid} holds what hashes to {hash_object(BLOB, b'value 9').hex()}" in clone.failure()


def _moved_packs(path: Path) -> bytes:
    [pack] = (path / ".git" / "objects" / "pack").glob("*.pack")
    data = pack.read_bytes()
    for file in pack.parent.iterdir():
        file.unlink()
    return data


def test_a_commit_signed_by_a_stranger_is_named(clone: Clone) -> None:
    stranger = Ed25519Signer(generate()[0])
    clone.adopt(clone.forge.transaction(bend=Bend(sign=stranger.sign)))
    assert "[3 signature.unknown-key] commit 7" in clone.failure()


def test_a_commit_that_was_signed_again_by_a_stranger_in_the_midst_is_named(clone: Clone) -> None:
    stranger = Ed25519Signer(generate()[0])
    old = parse_commit(clone.body(clone.line(LEDGER)[-1]))
    objects: Objects = {}
    oid = emitter(objects)(COMMIT, sign_payload(old.payload, stranger.sign(old.payload)))
    clone.add(objects)
    clone.git("update-ref", LEDGER, oid.hex())
    assert "[8 remote.forked] refs/remotes/origin/kv/main" in clone.failure()
    clone.git("update-ref", "refs/remotes/origin/kv/main", oid.hex())
    clone.git("update-ref", "-d", "refs/remotes/origin-stargate/kv/main")
    said = clone.failure()
    assert (
        "[3 signature.unknown-key] commit 6" in said
        and "receipt.mismatch] receipt 6: KV-Ledger" in said
        and "index.commit" in said
    )


def test_a_gateway_that_writes_of_its_own_accord_is_named(clone: Clone) -> None:
    gateway = Ed25519Signer((clone.world.gate / "kv" / "gateway_key").read_bytes())
    clone.adopt(
        clone.forge.transaction(bend=Bend(sign=gateway.sign), text="apply main@1 of bob again")
    )
    assert "[3 signature.gateway] commit 7" in clone.failure()


def test_a_violation_that_the_gateway_has_undone_does_not_make_the_history_wrong(
    clone: Clone,
) -> None:
    forge, gateway = (
        clone.forge,
        Ed25519Signer((clone.world.gate / "kv" / "gateway_key").read_bytes()),
    )
    good = forge.tip()
    bad = forge.transaction({b"not-bobs:key": Put(b"1")})
    later = forge.transaction({b"cfg:later": Put(b"2")}, base=forge.tip_of(bad))
    back = Bend(trees=lambda plan, emit: Plan(*good.trees, 0, 0), sign=gateway.sign)
    restored = forge.transaction(
        {b"cfg:any": Put(b"")},
        back,
        base=forge.tip_of(later),
        text="restore main@6\n\nA violation.",
    )
    again = forge.transaction(
        {b"cfg:later": Put(b"2")},
        Bend(sign=gateway.sign),
        base=forge.tip_of(restored),
        text="apply main@8 of bob again",
    )
    clone.adopt(bad)
    clone.adopt(later)
    assert "[3 prefix.not-owned] commit 7: key not-bobs:key" in clone.failure()
    clone.adopt(restored)
    assert clone.verify().code == 0
    clone.adopt(again)
    assert b"signed by alice (2), bob (6), stargate (3)" in clone.verify().out
    assert clone.verify("--from", "@8").code == 0


def test_a_key_outside_the_writers_prefixes_is_named_though_an_earlier_policy_let_it_be(
    clone: Clone,
) -> None:
    clone.adopt(clone.forge.transaction())
    assert "[3 prefix.not-owned] commit 7: key forge:" in clone.failure()


def test_an_index_that_lies_is_named(clone: Clone) -> None:
    def lie(plan: Plan, emit: object) -> Plan:
        return plan._replace(index_tree=clone.forge.tip().ledger.attestation.index_tree)

    clone.adopt(clone.forge.transaction({b"cfg:1": None}, Bend(trees=lie)))
    assert "[8 index.mismatch] commit 7: key cfg:1" in clone.failure()


def test_an_entry_left_out_of_the_watchlog_is_named(clone: Clone) -> None:
    clone.rewrite_log(left_out=3)
    said = clone.failure()
    assert (
        "receipt.mismatch] receipt 3: KV-Seq: expected 3, got 4" in said
        and "receipt.missing] receipt 6" in said
    )


def test_a_watchlog_that_was_cut_short_is_named(clone: Clone) -> None:
    clone.show_log(clone.line(LOG)[-2])
    assert "[8 receipt.missing] receipt 6" in clone.failure()


def test_a_receipt_of_another_key_or_another_policy_is_named(clone: Clone) -> None:
    good = clone.git("rev-parse", LOG)
    clone.rewrite_log(key=generate()[0])
    assert "[8 receipt.signature] receipt 0" in clone.failure()
    clone.show_log(good)
    first, second = (oid.encode() for oid in clone.line("refs/remotes/origin/main"))
    clone.rewrite_log(but=(6, second, first))
    assert "[8 receipt.policy] receipt 6" in clone.failure()


def test_a_mirror_that_contradicts_stargate_is_named(clone: Clone) -> None:
    entries = clone.line(LOG)
    clone.rewrite_log(but=(6, b"\nKV-Seq: 6\n", b"\nKV-Seq: 7\n"))
    clone.git("update-ref", STARGATES_LOG, entries[-1])
    assert "[8 remote.forked] refs/remotes/origin/kv-watchlog/main@e1" in clone.failure()


def test_a_policy_that_no_admin_signed_is_named(clone: Clone) -> None:
    text = clone.person.git(
        "cat-file", "blob", "refs/remotes/origin/main:.kv/policy.yaml", cwd=clone.path
    ).out
    forged = clone.forge.policy_change(text.replace(b'{prefixes: ["cfg:"]}', b"{}"))
    clone.add(forged.objects)
    clone.git("update-ref", "refs/remotes/origin/main", bytes(forged.updates[0].new).hex())
    assert "[3 policy.admin]" in clone.failure()


def test_a_policy_begun_by_a_key_it_does_not_list_is_named(clone: Clone) -> None:
    first = clone.line("refs/remotes/origin/main")[0]
    commit = parse_commit(clone.body(first))
    objects: Objects = {}
    signer = Ed25519Signer(clone.person.key.read_bytes())
    oid = emitter(objects)(COMMIT, sign_payload(commit.payload, signer.sign(commit.payload)))
    clone.add(objects)
    clone.git("update-ref", "refs/remotes/origin/main", oid.hex())
    clone.forget("refs/remotes/origin-stargate/main")
    assert "[8 policy.root]" in clone.failure()


def test_a_missing_object_is_named(clone: Clone) -> None:
    git = Git(str(clone.path / ".git"), env=clone.person.env)
    with GitObjectStore(git) as store:
        tree = parse_commit(
            store.read(Oid(bytes.fromhex(clone.line(LEDGER)[-1])), COMMIT)
        ).tree.hex()
    clone.git("repack", "-adq")
    clone.git("unpack-objects", "-q", stdin=_moved_packs(clone.path))
    (clone.path / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    assert f"tree {tree}" in clone.failure()


def test_a_standalone_store_is_judged_by_its_structure_and_by_the_policy_of_the_time(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    ann = world.person("ann")
    ann.clone_dir.mkdir()
    ann.git("init", "--quiet")
    ann.kv("init")
    ann.kv("set", "a", "before there was a policy")
    assert b"signatures were not judged" in ann.kv("verify").out
    (ann.clone_dir / ".kv").mkdir()
    key = world.person("bob").public_key.read_text().strip()
    (ann.clone_dir / ".kv" / "policy.yaml").write_text(
        f"version: 1\nprincipals:\n  ann:\n    admin: true\n    keys:\n      - {key}\nnamespaces:\n"
        f"  main:\n    writers:\n      ann: {{}}\n"
    )  # ann's name, and the key of somebody else
    ann.git("add", ".")
    ann.env |= {"GIT_COMMITTER_DATE": "@4000000000 +0000"}
    ann.git("commit", "--quiet", "-m", "a policy from the future")
    assert ann.kv("verify").out.startswith(
        b"verified main@0..@1: 2 transactions, 0 signers, 0 receipts\n"
    )
    ann.env |= {"GIT_COMMITTER_DATE": "@1000000000 +0000"}
    ann.git("commit", "--quiet", "--amend", "-m", "a policy from the past")
    done = ann.kv("verify", check=False)
    assert done.code == 8 and "[3 signature.unknown-key] commit 1" in done.err
