"""A mirror that lies, beside a real Stargate: each lie ends with 8, nothing of it is adopted, and
the clone reads again as soon as the mirror is honest. What followed a lie once is healed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.forge import Bend, Forge, Forged, Objects, emitter, pack_of

from gitkv.ledger.plan import Put
from gitkv.model.commit import commit_payload, parse_commit, sign_payload
from gitkv.model.oid import COMMIT
from gitkv.sign.gateway_key import Ed25519Signer, generate
from gitkv.testing.world import Done, Person, World, run

LEDGER, INDEX, POLICY = "refs/kv/main", "refs/kv-index/main", "refs/heads/main"
LOG = "refs/kv-watchlog/main@e1"
SHOWN = (LEDGER, INDEX, LOG, POLICY)
KEY = "cfg:region"
UNSIGNED = Bend(sign=lambda payload: b"")


class Mirror:
    """What stands on the mirror's disk, in the hands of somebody else."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.honest = world.refs(world.mirror)

    def add(self, objects: Objects) -> None:
        self._git("unpack-objects", "-q", stdin=pack_of(objects.values()))

    def show(self, ref: str, oid: str) -> None:
        self._git("update-ref", ref, oid)

    def tell_the_truth(self) -> None:
        """What Stargate has."""
        self._git("fetch", "--quiet", str(self.world.gate), *(f"+{ref}:{ref}" for ref in SHOWN))

    def body(self, oid: str) -> bytes:
        return self._git("cat-file", "commit", oid).out

    def text(self) -> bytes:
        return self._git("cat-file", "blob", f"{POLICY}:.kv/policy.yaml").out

    def _git(self, *words: str, stdin: bytes = b"") -> Done:
        return run(["git", *words], self.world.base_env(), self.world.mirror, stdin)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world")).create().start()
    try:
        world.person("alice").clone().kv("set", KEY, "one")
        world.person("alice").kv("set", KEY, "two")
        world.wait_for_mirror()
        yield world
    finally:
        world.close()


@pytest.fixture
def mirror(world: World) -> Iterator[Mirror]:
    world.wait_for_mirror()
    mirror = Mirror(world)
    yield mirror
    mirror.tell_the_truth()


@pytest.fixture
def bob(world: World) -> Person:
    """With a fresh clone, that asks the mirror at each read."""
    bob = world.person("bob")
    number = len(list(bob.home.glob("store*")))
    bob.clone_dir = bob.home / f"store{number}"
    bob.clone()
    bob.git("config", "kv.maxAge", "0")
    return bob


@pytest.fixture
def forge(world: World) -> Iterator[Forge]:
    with Forge(world, world.person("alice")) as forge:
        yield forge


def _trusted(bob: Person) -> bytes:
    return bob.git("for-each-ref", "refs/kv", "refs/kv-index", "refs/kv-trust").out


def _put(forge: Forge, mirror: Mirror, bend: Bend) -> Forged:
    """A transaction on the mirror's tip that no gateway accepted."""
    forged = forge.transaction({KEY.encode(): Put(b"forged")}, bend)
    mirror.add(forged.objects)
    mirror.show(LEDGER, forged.ledger.hex())
    mirror.show(INDEX, forged.index.hex())
    return forged


def _sign_entry(mirror: Mirror, forged: Forged, signer: Ed25519Signer) -> None:
    """A receipt for it, by this key."""
    before = mirror.honest[LOG]
    entry = parse_commit(mirror.body(before))
    message = entry.message
    for old, new in (
        (mirror.honest[LEDGER], forged.ledger.hex()),
        (mirror.honest[INDEX], forged.index.hex()),
        (f"@{forged.said.seq - 1}\n", f"@{forged.said.seq}\n"),
        (f"KV-Seq: {forged.said.seq - 1}\n", f"KV-Seq: {forged.said.seq}\n"),
    ):
        assert old.encode() in message
        message = message.replace(old.encode(), new.encode())
    payload = commit_payload(entry.tree, (), entry.committer, message).replace(
        b"\nauthor", f"\nparent {before}\nauthor".encode(), 1
    )
    objects: Objects = {}
    oid = emitter(objects)(COMMIT, sign_payload(payload, signer.sign(payload)))
    mirror.add(objects)
    mirror.show(LOG, oid.hex())


def _unsigned(forge: Forge, mirror: Mirror) -> None:
    _put(forge, mirror, UNSIGNED)


def _signed_by_a_writer_and_not_accepted(forge: Forge, mirror: Mirror) -> None:
    _put(forge, mirror, Bend())


def _with_a_receipt_by_another_key(forge: Forge, mirror: Mirror) -> None:
    _sign_entry(mirror, _put(forge, mirror, Bend()), Ed25519Signer(generate()[0]))


def _with_a_receipt_by_the_writer(forge: Forge, mirror: Mirror) -> None:
    _sign_entry(mirror, _put(forge, mirror, Bend()), forge.signer)


def _without_receipts(forge: Forge, mirror: Mirror) -> None:
    _put(forge, mirror, UNSIGNED)
    mirror._git("update-ref", "-d", LOG)


def _forked(forge: Forge, mirror: Mirror) -> None:
    base = forge.tip().ledger.attestation.base
    assert base is not None
    tip = forge.load(base, COMMIT)
    commit = parse_commit(tip)
    payload = commit_payload(commit.tree, commit.parents, commit.committer, commit.message + b"x\n")
    objects: Objects = {}
    oid = emitter(objects)(COMMIT, payload)
    mirror.add(objects)
    mirror.show(LEDGER, oid.hex())


def _rewound(forge: Forge, mirror: Mirror) -> None:
    for ref in (LEDGER, INDEX, LOG):
        mirror.show(ref, f"{mirror.honest[ref]}~1")


def _rewound_watchlog(forge: Forge, mirror: Mirror) -> None:
    mirror.show(LOG, f"{mirror.honest[LOG]}~1")


def _no_ledger(forge: Forge, mirror: Mirror) -> None:
    mirror._git("update-ref", "-d", LEDGER)


def _policy_by_a_stranger(forge: Forge, mirror: Mirror) -> None:
    changed = mirror.text().replace(b"ssh://git@127.0.0.1", b"ssh://git@127.0.0.2")
    stranger = Ed25519Signer(generate()[0])
    forged = forge.policy_change(changed, sign=stranger.sign)
    mirror.add(forged.objects)
    mirror.show(POLICY, bytes(forged.updates[0].new).hex())


LIES = [
    _unsigned,
    _signed_by_a_writer_and_not_accepted,
    _with_a_receipt_by_another_key,
    _with_a_receipt_by_the_writer,
    _without_receipts,
    _forked,
    _rewound,
    _rewound_watchlog,
    _no_ledger,
    _policy_by_a_stranger,
]


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_ends_with_8_and_leaves_nothing_once_the_mirror_is_honest(
    world: World, mirror: Mirror, bob: Person, forge: Forge, lie: Callable[[Forge, Mirror], None]
) -> None:
    assert bob.kv("get", KEY).out == b"two"
    before = _trusted(bob)
    lie(forge, mirror)
    for _ in range(2):  # not only the first time
        told = bob.kv("get", KEY, check=False)
        assert told.code == 8 and not told.out, told
        assert "hint: " in told.err and "the mirror origin" in told.err
    assert _trusted(bob) == before
    assert bob.kv("get", KEY, "--read-from=local").out == b"two"
    assert bob.kv("get", KEY, "--read-from=stargate").out == b"two"
    mirror.tell_the_truth()
    done = bob.kv("get", KEY)
    assert (done.out, done.err) == (b"two", "")


def test_a_policy_of_the_mirror_changes_no_push_url(
    world: World, mirror: Mirror, bob: Person, forge: Forge
) -> None:
    _policy_by_a_stranger(forge, mirror)
    config = (bob.clone_dir / ".git" / "config").read_text()
    assert bob.kv("remote", "setup", check=False).code == 8
    assert (bob.clone_dir / ".git" / "config").read_text() == config


def test_writing_goes_on_while_the_mirror_lies(
    world: World, mirror: Mirror, bob: Person, forge: Forge
) -> None:
    _unsigned(forge, mirror)
    assert bob.kv("get", KEY, check=False).code == 8
    bob.kv("set", "other:key", "written")
    assert bob.kv("get", "other:key", "--read-from=stargate").out == b"written"
    mirror.tell_the_truth()
    world.wait_for_mirror(timeout_s=60)
    assert bob.kv("get", "other:key").out == b"written"


def _follow_a_lie(bob: Person, forged: Forged) -> None:
    """As a clone stands that once believed it."""
    bob.git("unpack-objects", "-q", stdin=pack_of(forged.objects.values()))
    bob.git("update-ref", LEDGER, forged.ledger.hex())
    bob.git("update-ref", INDEX, forged.index.hex())


@pytest.mark.parametrize("memory", ["kept", "lost"])
def test_a_clone_that_followed_a_lie_is_healed_and_told_what_it_drops(
    world: World, mirror: Mirror, bob: Person, forge: Forge, memory: str
) -> None:
    forged = forge.transaction({KEY.encode(): Put(b"forged")}, UNSIGNED)
    _follow_a_lie(bob, forged)
    if memory == "lost":
        for line in bob.git("for-each-ref", "--format=%(refname)", "refs/kv-trust").out.split():
            bob.git("update-ref", "-d", line.decode())
    for words in (("get", KEY), ("get", KEY, "--read-from=stargate"), ("set", KEY, "three")):
        told = bob.kv(*words, check=False)
        assert told.code == 8 and "git kv remote repair" in told.err, told
    told = bob.kv("remote", "repair", "--json").out
    report = json.loads(told)
    assert report["dropped"] == [{"seq": forged.said.seq, "commit": forged.ledger.hex()}]
    kept = bob.git("rev-parse", report["rescue"]).out.decode().strip()
    assert kept == forged.ledger.hex() and report["commit"] == world.refs(world.gate)[LEDGER]
    assert bob.kv("get", KEY).out == b"two"
    assert bob.kv("remote", "repair").out.decode().startswith("nothing was dropped\n")


def test_a_reader_is_healed_by_what_the_mirror_can_prove(
    world: World, mirror: Mirror, forge: Forge
) -> None:
    reader = world.person("reader")
    reader.clone()
    reader.git("config", "kv.maxAge", "0")
    forged = forge.transaction({KEY.encode(): Put(b"forged")}, UNSIGNED)
    _follow_a_lie(reader, forged)
    assert reader.kv("get", KEY, check=False).code == 8
    assert f"dropped main@{forged.said.seq}" in reader.kv("remote", "repair").out.decode()
    assert reader.kv("get", KEY).out == b"two"


def test_a_repair_refuses_what_is_not_proved(
    world: World, mirror: Mirror, bob: Person, forge: Forge
) -> None:
    _unsigned(forge, mirror)
    url = bob.git("config", "remote.origin.pushurl").out.decode().strip()
    bob.git("config", "--unset", "remote.origin.pushurl")  # so the mirror is asked
    before = _trusted(bob)
    told = bob.kv("remote", "repair", check=False)
    assert told.code == 8 and "cannot prove" in told.err
    bob.git("config", "remote.origin.pushurl", url)
    assert _trusted(bob) == before


def test_the_wrong_gateway_key_begins_no_trust(world: World, mirror: Mirror) -> None:
    carol = world.person("carol")
    carol.git("clone", "--quiet", str(world.mirror), str(carol.clone_dir), cwd=carol.home)
    wrong = carol.kv("remote", "setup", "--gateway-key", "SHA256:" + "A" * 43, check=False)
    assert wrong.code == 8 and "SHA256:" in wrong.err
    told = carol.kv("remote", "setup").out.decode()
    shown = told.partition("the gateway's key ")[2].split("\n")[0]
    key = run(
        ["ssh-keygen", "-lf", str(_public_half(world, carol.home))], carol.env, carol.home
    ).out.decode()
    assert shown in key
    carol.kv("remote", "setup", "--gateway-key", shown)


def _public_half(world: World, folder: Path) -> Path:
    path = folder / "gateway.pub"
    signer = Ed25519Signer((world.gate / "kv" / "gateway_key").read_bytes())
    path.write_bytes(signer.public_line)
    return path
