"""`git kv verify` in any kind of clone: it finds what it needs, or says what it could not judge and
what to run; and what a mirror forges is named in each of them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.forge import Bend, Forge, Objects, emitter
from support.spoiled_clone import MIRROR, SET_UP, Clone, Layout, served_world

from gitkv.model.commit import parse_commit, sign_payload
from gitkv.model.oid import COMMIT
from gitkv.sign.gateway_key import Ed25519Signer, generate
from gitkv.testing.world import Done, Person, World, run

SUMMARY = b"verified main@0..@6: 7 transactions, 3 signers, 7 receipts\n"
EVERY_KV_REF = "+refs/kv*:refs/kv*"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with served_world(tmp_path_factory.mktemp("world")) as world:
        for name in ("uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"):
            run(["git", "config", name, "true"], world.base_env(), world.mirror)
        yield world


class Cloning:
    """Makes one clone of the mirror, as bob, with stock git."""

    def __init__(self, world: World, path: Path) -> None:
        self.bob, self.url, self.path = world.person("bob"), f"file://{world.mirror}", path

    def clone(self, *options: str) -> Cloning:
        self.bob.git("clone", "--quiet", *options, self.url, str(self.path), cwd=self.path.parent)
        return self

    def git(self, *args: str) -> str:
        return self.bob.git(*args, cwd=self.path).out.decode().strip()

    def set_up(self, *options: str) -> Cloning:
        self.bob.kv("remote", "setup", *options, cwd=self.path)
        return self

    def verify(self, *args: str, path: Path | None = None) -> Done:
        return self.bob.kv("verify", *args, cwd=path or self.path, check=False)


@pytest.fixture
def cloning(served: World, tmp_path: Path) -> Cloning:
    return Cloning(served, tmp_path / "clone")


WHOLE: dict[str, Callable[[Cloning], object]] = {
    "mirror": lambda it: it.clone("--mirror"),
    "bare, fetched by hand": lambda it: it.clone("--bare").git("fetch", "origin", EVERY_KV_REF),
    "not set up, fetched by hand": lambda it: it.clone().git("fetch", "origin", EVERY_KV_REF),
    "set up": lambda it: it.clone().set_up(),
    "set up, one branch": lambda it: it.clone("--single-branch").set_up(),
    "set up, another name": lambda it: it.clone("-o", "up").set_up("--remote", "up"),
    "mirror, another name": lambda it: it.clone("--mirror", "-o", "up"),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_everything_is_judged_in_a_clone_that_has_it(kind: str, cloning: Cloning) -> None:
    WHOLE[kind](cloning)
    done = cloning.verify()
    assert (done.code, done.out[: len(SUMMARY)]) == (0, SUMMARY), done
    assert b"2 policies, from the gateway's key SHA256:" in done.out


def test_everything_is_judged_in_a_work_tree_and_under_other_names_of_tracking_refs(
    cloning: Cloning,
) -> None:
    cloning.clone().set_up().git("worktree", "add", "--quiet", "--detach", "../tree")
    assert cloning.verify(path=cloning.path.parent / "tree").out.startswith(SUMMARY)
    cloning.git("config", "--unset", "kv.remote")
    unpushed = cloning.git("commit-tree", "-m", "x", "HEAD^{tree}")
    cloning.git("update-ref", "refs/heads/main", unpushed)
    assert cloning.verify().out.startswith(SUMMARY), "a branch of the user's is no policy"
    cloning.git("update-ref", "refs/heads/main", "origin/main")
    cloning.git("remote", "rename", "origin", "elsewhere")
    assert cloning.verify().out.startswith(SUMMARY)


def test_an_unrelated_remote_is_not_mistaken_for_the_store(
    cloning: Cloning, tmp_path: Path
) -> None:
    cloning.clone().git("fetch", "--quiet", "origin", EVERY_KV_REF)
    other = tmp_path / "other"
    run(
        [*["git", "init", "--quiet", "--initial-branch=main"], str(other)],
        cloning.bob.env,
        tmp_path,
    )
    run(["git", "commit", "--quiet", "--allow-empty", "-m", "code"], cloning.bob.env, other)
    cloning.git("remote", "add", "code", str(other))
    cloning.git("fetch", "--quiet", "code")
    assert cloning.verify().out.startswith(SUMMARY)


LACKING: dict[str, tuple[Callable[[Cloning], object], str, str]] = {
    "shallow": (lambda it: it.clone("--depth", "1").set_up(), "is shallow", "--unshallow origin"),
    "shallow mirror": (
        lambda it: it.clone("--mirror", "--depth", "2", "--no-single-branch"),
        "is shallow",
        "--unshallow origin",
    ),
    "without values": (
        lambda it: it.clone("--filter=blob:none").set_up(),
        "is partial",
        "--refetch --no-filter origin",
    ),
    "mirror without values": (
        lambda it: it.clone("--mirror", "--filter=blob:none"),
        "is partial",
        "--refetch --no-filter origin",
    ),
    "mirror without trees": (
        lambda it: it.clone("--mirror", "--filter=tree:0"),
        "is partial",
        "--refetch --no-filter origin",
    ),
    "without receipts": (
        lambda it: it.clone("--bare").git(
            "fetch", "origin", "+refs/kv/*:refs/kv/*", "+refs/kv-index/*:refs/kv-index/*"
        ),
        "no watchlog of main is here",
        EVERY_KV_REF,
    ),
    "without index": (
        lambda it: it.clone("--bare").git("fetch", "origin", "+refs/kv/*:refs/kv/*"),
        "refs/kv-index/main is not",
        EVERY_KV_REF,
    ),
}


@pytest.mark.parametrize("kind", LACKING)
def test_what_a_clone_lacks_is_no_alarm_and_no_comfort_and_the_advice_heals_it(
    kind: str, cloning: Cloning
) -> None:
    make, named, advice = LACKING[kind]
    make(cloning)
    done = cloning.verify()
    assert (done.code, done.out) == (5, b"") and named in done.err, done
    assert advice in done.err
    remote = ["origin"] if advice.startswith("+") else []
    cloning.git("fetch", "--quiet", *remote, *advice.split())
    assert cloning.verify().out.startswith(SUMMARY)


@pytest.mark.parametrize("options", [(), ("--bare",), ("--mirror", "--depth", "1")])
def test_a_clone_without_a_ledger_says_so(options: tuple[str, ...], cloning: Cloning) -> None:
    done = cloning.clone(*options).verify()
    assert done.code == 5 and "no ledger" in done.err


def test_programs_are_told_what_was_not_judged(cloning: Cloning) -> None:
    done = cloning.clone("--mirror", "--filter=blob:none").verify("--json")
    told = json.loads(done.out)
    assert (done.code, told["verified"], told["reasons"]) == (5, False, [])
    assert [entry["hint"] for entry in told["unjudged"]] == [
        "git fetch --refetch --no-filter origin"
    ]


# What a mirror, or somebody at the clone's disk, may forge


@pytest.fixture(params=["set up", "mirror", "fetched by hand"])
def clone(request: pytest.FixtureRequest, served: World, tmp_path: Path) -> Iterator[Clone]:
    """A good clone of each layout, for a test to spoil."""
    bob, path = served.person("bob"), tmp_path / "clone"
    layout: Layout = MIRROR
    if request.param == "set up":
        shutil.copytree(bob.clone_dir, path, symlinks=True)
        layout = SET_UP
    elif request.param == "mirror":
        Cloning(served, path).clone("--mirror")
    else:
        Cloning(served, path).clone("--bare").git("fetch", "--quiet", "origin", EVERY_KV_REF)
    with Forge(served, bob) as forge:
        yield Clone(served, forge, bob, path, layout)


def _policy_text(clone: Clone) -> bytes:
    spec = f"{clone.layout.main}:.kv/policy.yaml"
    return clone.person.git("cat-file", "blob", spec, cwd=clone.path).out


def test_a_forged_policy_is_named(clone: Clone) -> None:
    forged = clone.forge.policy_change(_policy_text(clone).replace(b'{prefixes: ["cfg:"]}', b"{}"))
    clone.add(forged.objects)
    clone.show(main=bytes(forged.updates[0].new).hex())
    assert "[3 policy.admin]" in clone.failure()


def test_a_policy_that_leads_to_no_root_is_named(clone: Clone) -> None:
    last = parse_commit(clone.body(clone.line(clone.layout.main)[-1]))
    orphan = last.payload.replace(b"parent " + last.parents[0].hex().encode() + b"\n", b"")
    objects: Objects = {}
    signer = Ed25519Signer(clone.person.key.read_bytes())
    oid = emitter(objects)(COMMIT, sign_payload(orphan, signer.sign(orphan)))
    clone.add(objects)
    clone.show(main=oid.hex())
    assert "[8 policy.root]" in clone.failure()


def test_a_policy_that_was_rewound_is_named(clone: Clone) -> None:
    clone.show(main=clone.line(clone.layout.main)[0])
    assert "[8 receipt.policy] receipt 5" in clone.failure()


def test_a_watchlog_that_was_cut_short_is_named(clone: Clone) -> None:
    clone.show(log=clone.line(clone.layout.log)[-3])
    said = clone.failure()
    assert "[8 receipt.missing] receipt 5" in said and "receipt 6" in said


def test_a_watchlog_of_another_key_is_named(clone: Clone) -> None:
    entry = parse_commit(clone.body(clone.line(clone.layout.log)[-1]))
    objects: Objects = {}
    stranger = Ed25519Signer(generate()[0])
    oid = emitter(objects)(COMMIT, sign_payload(entry.payload, stranger.sign(entry.payload)))
    clone.add(objects)
    clone.show(log=oid.hex())
    assert "[8 receipt.signature] receipt 6" in clone.failure()


def test_a_missing_watchlog_is_never_passed_over(clone: Clone) -> None:
    clone.show(log="")
    done = clone.verify()
    settings = clone.path / (".git/config" if (clone.path / ".git").exists() else "config")
    if "fetch = " not in settings.read_text():
        assert done.code == 5 and "no watchlog of main is here" in done.err  # nobody fetched it
    else:
        assert done.code == 8 and "[8 receipt.missing] receipt 0" in done.err


def test_a_ledger_that_was_rolled_back_is_named(clone: Clone) -> None:
    ledger, index = (clone.line(ref) for ref in (clone.layout.ledger, clone.layout.index))
    clone.show(ledger=ledger[-2], index=index[-2])
    assert "[8 ledger.cut] ledger main" in clone.failure()


def test_a_commit_by_a_stranger_is_named(clone: Clone) -> None:
    forged = clone.forge.transaction(bend=Bend(sign=Ed25519Signer(generate()[0]).sign))
    clone.add(forged.objects)
    clone.show(ledger=forged.ledger.hex(), index=forged.index.hex())
    assert "[8 receipt.missing] receipt 7" in clone.failure()


def test_a_rollback_of_everything_is_caught_by_an_anchor(clone: Clone) -> None:
    lines = {name: clone.line(getattr(clone.layout, name)) for name in ("log", "ledger", "index")}
    newest = [line[-1] for line in lines.values()]
    pins = [part for oid in newest for part in ("--anchor", oid)]
    assert clone.verify(*pins).out.endswith(b"\n3 anchors found\n")
    clone.show(**{name: line[-2] for name, line in lines.items()})
    assert clone.verify().code == 0, "it is right in itself"
    done = clone.verify(*pins)
    assert done.code == 8 and done.err.count("[8 anchor.missing] main@0..@5") == 3
    first = [part for line in lines.values() for part in ("--anchor", line[0])]
    assert clone.verify(*first).code == 0


def test_what_a_clone_has_proved_before_it_must_find_again(served: World, tmp_path: Path) -> None:
    bob, path = served.person("bob"), tmp_path / "clone"
    shutil.copytree(bob.clone_dir, path, symlinks=True)
    with Forge(served, bob) as forge:
        clone = Clone(served, forge, bob, path)
        lines = {name: clone.line(getattr(SET_UP, name)) for name in ("log", "ledger", "index")}
        proved = clone.git("rev-parse", "refs/kv-trust/receipt/main")
        clone.show(**{name: line[-2] for name, line in lines.items()})
        assert clone.verify().code == 0
        clone.git("update-ref", "refs/kv-trust/receipt/main", proved)
        assert "[8 ledger.cut] ledger main" in clone.failure()


def test_replaced_objects_and_grafts_show_no_other_history(clone: Clone) -> None:
    ledger = clone.line(clone.layout.ledger)
    clone.git("replace", "--force", ledger[-1], ledger[0])
    main = clone.line(clone.layout.main)
    clone.git("replace", "--force", main[-1], main[0])
    folder = clone.path / (".git/info" if (clone.path / ".git").exists() else "info")
    folder.mkdir(exist_ok=True)
    (folder / "grafts").write_text(f"{ledger[-1]} {ledger[0]}\n{ledger[3]}\n")
    assert clone.verify().out.startswith(SUMMARY)
    forged = clone.forge.transaction(bend=Bend(sign=Ed25519Signer(generate()[0]).sign))
    clone.add(forged.objects)
    clone.git("replace", "--force", forged.ledger.hex(), ledger[-1])
    (folder / "grafts").write_text(f"{forged.ledger.hex()} {ledger[-2]}\n")
    clone.show(ledger=forged.ledger.hex(), index=forged.index.hex())
    assert "receipt.missing] receipt 7" in clone.failure()


def test_a_wholly_forged_store_is_caught_by_the_fingerprint_of_the_gateways_key(
    served: World, tmp_path: Path
) -> None:
    (tmp_path / "forged").mkdir()
    forged = World(tmp_path / "forged").create(admin="alice", writers=("bob",))
    fingerprint = _fingerprint(served)
    done = Cloning(served, tmp_path / "good").clone("--mirror").verify("--anchor", fingerprint)
    assert (done.code, done.out.split(b"\n")[-2]) == (0, b"1 anchor found")
    copy = Cloning(forged, tmp_path / "bad").clone("--mirror")
    assert copy.verify().code == 0, "it is right in itself"
    done = copy.verify("--anchor", fingerprint)
    assert done.code == 8 and "[8 anchor.key] main@0..@0: expected trust to begin" in done.err


def _fingerprint(world: World) -> str:
    bob: Person = world.person("bob")
    public = Ed25519Signer((world.gate / "kv" / "gateway_key").read_bytes()).public_line
    return run(["ssh-keygen", "-l", "-f", "-"], bob.env, world.root, public).out.split()[1].decode()


@pytest.mark.parametrize("anchor", ["abcdef0", "SHA256:abc", "HEAD", "@3"])
def test_what_pins_nothing_is_refused(anchor: str, cloning: Cloning) -> None:
    done = cloning.clone("--mirror").verify("--anchor", anchor)
    assert done.code == 129 and "is not an anchor" in done.err


def test_a_standalone_store_says_so_and_a_copy_of_one_does_not_pass_for_it(tmp_path: Path) -> None:
    ann = World(tmp_path).person("ann")
    store = tmp_path / "store"
    ann.git("init", "--quiet", str(store), cwd=tmp_path)
    ann.kv("init", cwd=store)
    ann.kv("set", "a", "1", cwd=store)
    said = ann.kv("verify", cwd=store).out
    assert b"\nstandalone: this repository is its own authority" in said
    for options in (("--mirror",), ()):
        copy = tmp_path / f"copy{len(options)}"
        ann.git("clone", "--quiet", *options, str(store), str(copy), cwd=tmp_path)
        ann.git("fetch", "--quiet", "origin", EVERY_KV_REF, cwd=copy)
        done = ann.kv("verify", cwd=copy, check=False)
        assert done.code == 5 and "nothing says that this repository is the store" in done.err
        ann.git("config", "kv.main.standalone", "true", cwd=copy)
        assert ann.kv("verify", cwd=copy).code == 0


def test_no_setting_makes_a_clone_of_a_team_store_its_own_authority(cloning: Cloning) -> None:
    cloning.clone("--mirror").git("config", "kv.main.standalone", "true")
    assert cloning.verify().out.startswith(SUMMARY), "its receipts are judged all the same"
    cloning.git("update-ref", "-d", "refs/kv-watchlog/main@e1")
    done = cloning.verify()
    assert done.code == 8 and "receipt.missing" in done.err
