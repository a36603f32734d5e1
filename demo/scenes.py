"""The story, scene by scene: an operator sets up, two developers work, write at once and look back.
Every claim on the screen is checked first.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from stage import Deviation, Done, Person, Stage

FLAGS = 10_000
RACE_KEYS = 10_000
RACE_SINGLES = 4
_OID = re.compile(r"[0-9a-f]{40}")


class Cast(NamedTuple):
    """Who plays. Alice is the admin as well; the operator has no right to write."""

    operator: Person
    alice: Person
    bob: Person


def engage(stage: Stage) -> Cast:
    """The people, each with a home and a key."""
    cast = Cast(Person(stage, "operator"), Person(stage, "alice"), Person(stage, "bob"))
    cast.operator.here = stage.root
    return cast


def found(stage: Stage, cast: Cast) -> None:
    """A mirror, a Stargate, and its first state on the mirror."""
    stage.screen.scene(
        "1 An operator sets up",
        "The mirror is any Git host that people clone from; here it is a bare repository. Stargate "
        "is where writes go: one process, SSH, "
        "and a policy that names who may write, by public key.",
    )
    operator = cast.operator
    operator("git init --quiet --bare --initial-branch=main mirror.git")
    done = operator(
        "git kv stargate init gate.git --mirror mirror.git --admin alice=alice/.ssh/id_ed25519.pub"
        f" --writer bob=bob/.ssh/id_ed25519.pub --push-url {stage.url}"
    )
    stage.saw("Stargate and its first state on the mirror", "made", done.seconds)
    host_key = re.search(r"known_hosts: (\S+ ssh-ed25519 \S+)", done.out)
    stage.expect(host_key is not None, "the host key in what init prints", done.out)
    assert host_key is not None
    stage.known_hosts.write_text(host_key[1] + "\n")
    stage.screen.command(
        operator.name, "echo '[127.0.0.1]:PORT ssh-ed25519 …' >known_hosts    # what init printed"
    )
    stage.saw("Stargate answers on 127.0.0.1", "serving", stage.start_gateway(operator))


def join(stage: Stage, cast: Cast) -> None:
    """Two clones of the mirror become writers."""
    stage.screen.scene(
        "2 Two developers join",
        "They clone the mirror like any repository. `git kv remote setup` learns the rest from the "
        "policy that came with the clone: "
        "reads keep coming from the mirror, pushes go to Stargate, commits are signed with the key "
        "the policy knows.",
    )
    cast.alice("git clone --quiet ../mirror.git store")
    cast.alice.here = cast.alice.home / "store"
    done = cast.alice("git kv remote setup", says="fetched main@0", show=10)
    stage.saw("clone and set-up", "alice writes through Stargate", done.seconds)
    cast.bob.type("git clone --quiet ../mirror.git store")
    cast.bob.here = cast.bob.home / "store"
    cast.bob.type("git kv remote setup", says="fetched main@0")
    stage.saw("clone and set-up", "bob too, in the same way")


def write_and_read(stage: Stage, cast: Cast) -> None:
    """One key; the fence; the authority; compare-and-swap."""
    stage.screen.scene(
        "3 One key, and who sees it when",
        "A write prints the ledger commit that holds it. Readers of the mirror see it a moment "
        "later; who cannot wait for the moment "
        "asks Stargate, or waits for that very commit.",
    )
    alice, bob = cast.alice, cast.bob
    done = alice("git kv set cfg:region eu-west-1 -m 'first region'")
    oid = _oid_of(done)
    stage.saw("set of one key", "accepted", done.seconds)
    done = bob("git kv get cfg:region --read-from=stargate", says="eu-west-1")
    stage.saw("get --read-from=stargate", "reads what was just written", done.seconds)
    done = bob(f"git kv wait --oid {oid} --visible-on=mirror")
    stage.saw("wait for the mirror", "the commit is there", done.seconds)
    done = bob("git kv get cfg:region", says="eu-west-1")
    stage.saw("get from the mirror", "the same value", done.seconds)
    etag = json.loads(bob.type("git kv get cfg:region --json").out)["etag"]
    bob(f"git kv set cfg:region us-east-1 --if-match {etag} -m 'move to the US'")
    alice(f"git kv set cfg:region ap-south-1 --if-match {etag}", code=2, says=etag)
    stage.saw("compare-and-swap on a value that has moved on", "conflict, exit code 2")


def roll_out(stage: Stage, cast: Cast) -> None:
    """Ten thousand keys in one transaction, and lists that cost what they show."""
    stage.screen.scene(
        f"4 {FLAGS:,} keys, one transaction",
        "A batch lands whole or not at all: one signed commit, one push. Stargate compares what "
        "the signature covers with what was pushed, "
        "then audits every key before it answers.",
    )
    alice, bob = cast.alice, cast.bob
    batch = alice.here / "flags.jsonl"
    lines = [
        json.dumps({"op": "set", "key": f"flag:{number:05d}", "value": f"on, group {number % 7}"})
        for number in range(FLAGS)
    ]
    batch.write_text("\n".join(lines) + "\n")
    alice("head -n 2 flags.jsonl")
    done = alice("git kv mset --file flags.jsonl --json -m 'all flags'")
    said = json.loads(done.out)
    stage.expect(said["keys_set"] == FLAGS, f"{FLAGS} keys set", said["keys_set"])
    accepted = stage.wait_for_log(rf"push\.accepted .* set={FLAGS} .*{said['commit']}")
    stage.saw(
        f"mset of {FLAGS:,} keys",
        f"one transaction, {_seconds_in(accepted)} s of it in Stargate",
        done.seconds,
    )
    bob.type(f"git kv wait --oid {said['commit']}")
    done = bob("git kv list --prefix flag:0042 -l", show=4)
    stage.expect(len(done.out.strip().split("\n")) == 11, "ten keys and a header listed", done.out)
    stage.saw("list of a prefix, 10 keys of 10,001", "from the index alone", done.seconds)
    everything = bob.type("git kv list --prefix flag:")
    stage.expect(
        everything.out.count("\n") == FLAGS, f"{FLAGS} keys listed", everything.out.count("\n")
    )
    stage.saw(f"list of all {FLAGS:,} flags", "every one is there", everything.seconds)


def change_policy(stage: Stage, cast: Cast) -> None:
    """The admin narrows bob's rights with stock git."""
    stage.screen.scene(
        "5 A policy change is a signed commit",
        "The policy is a file on the branch main. An admin changes it with stock git; Stargate "
        "checks that an admin of the policy so far "
        "has signed, and that what comes out is a policy that somebody can still change.",
    )
    alice = cast.alice
    policy = alice.here / ".kv" / "policy.yaml"
    text = policy.read_text()
    stage.expect("      bob: {}\n" in text, "bob as a writer of every key", text)
    policy.write_text(text.replace("      bob: {}\n", '      bob: {prefixes: ["cfg:", "flag:"]}\n'))
    alice(
        "git diff --unified=0 .kv/policy.yaml | grep '^[-+] '",
        says='+      bob: {prefixes: ["cfg:", "flag:"]}',
    )
    alice(
        "git commit --quiet -S --message 'policy: bob writes cfg: and flag: only' .kv/policy.yaml"
    )
    done = alice("git push --quiet origin main")
    stage.settle()
    stage.saw("policy change by an admin", "accepted, and on the mirror", done.seconds)
    cast.bob("git pull --quiet origin main")
    stage.expect(
        "prefixes" in (cast.bob.here / ".kv" / "policy.yaml").read_text(),
        "the new policy in bob's clone",
        "the old one",
    )


def race(stage: Stage, cast: Cast) -> None:
    """Bob's large batch beside alice's small writes: all land, each in its turn."""
    stage.screen.scene(
        "6 Two writers at once",
        f"Bob sends {RACE_KEYS:,} keys while alice keeps changing single ones. Their keys differ, "
        "the ledger is one: Stargate serves them in turn, first come, first served. What a client "
        "lacks comes with its turn; nobody merges by hand.",
    )
    lost = _race_once(stage, cast)
    stage.screen.command(
        "operator", "grep -E 'who=bob|who=alice' stargate.log    # what happened, in order"
    )
    for line in stage.logged(r"push\.(accepted|refused) who=(alice|bob)")[
        -(RACE_SINGLES + 1 + lost) :
    ]:
        stage.screen.output(
            _in_short(line), style="refusal" if "push.refused" in line else "output"
        )
    again = f"; {lost} built again by the client" if lost else ""
    stage.saw("two writers at once", f"{RACE_SINGLES + 1} transactions landed{again}")


def _race_once(stage: Stage, cast: Cast) -> int:
    """How often one of them was overtaken, as happens where both begin at the same moment."""
    alice, bob = cast.alice, cast.bob
    already = len(stage.logged(r"push\.refused .*base\.stale"))
    batch = "".join(
        json.dumps({"op": "set", "key": f"cfg:host:{number:05d}", "value": "both"}) + "\n"
        for number in range(RACE_KEYS)
    )
    (bob.here / "hosts.jsonl").write_text(batch)
    rollout = bob.begin("git kv mset --file hosts.jsonl --json -m 'all hosts'")
    singles = [
        _oid_of(alice(f"git kv set team:note{number} 'both'", show=0))
        for number in range(RACE_SINGLES)
    ]
    out, err = rollout.communicate(timeout=120)
    stage.expect(rollout.returncode == 0, "bob's batch to land", err.decode(errors="replace"))
    said = json.loads(out)
    stage.wait_for_log(rf"push\.accepted who=bob .*{said['commit']}")
    alice.type(f"git kv wait --oid {said['commit']} --visible-on=stargate")
    log = [
        json.loads(line)
        for line in alice.type(f"git kv log -n {RACE_SINGLES + 1} --json").out.split("\n")
        if line
    ]
    landed = {entry["commit"] for entry in log}
    stage.expect(
        landed == {*singles, said["commit"]},
        "all these transactions on top of the ledger",
        [entry["text"] for entry in log],
    )
    last = f"team:note{RACE_SINGLES - 1}", f"cfg:host:{RACE_KEYS - 1:05d}"
    values = [
        person.type(f"git kv get {key} --read-from=stargate").out
        for person in (alice, bob)
        for key in last
    ]
    stage.expect(values == ["both"] * 4, "the last value of each, read by both", values)
    return len(stage.logged(r"push\.refused .*base\.stale")) - already


def look_back(stage: Stage, cast: Cast) -> None:
    """Who changed what; any past state; a delete that is remembered."""
    stage.screen.scene(
        "8 Looking back",
        "History is kept as long as the key: who signed what, when, with the value of any moment, "
        "deleted keys included.",
    )
    alice, bob = cast.alice, cast.bob
    oid = _oid_of(alice("git kv del team:note0 -m 'not needed'"))
    bob.type(f"git kv wait --oid {oid}")
    done = bob("git kv history cfg:region", says="first region")
    stage.expect(done.out.count("\n") == 2, "two versions", done.out)
    stage.saw("history of a key", "two versions, each with its signer", done.seconds)
    bob("git kv history team:note0", says="delete")
    bob("git kv get cfg:region --at @1", says="eu-west-1")
    bob("git kv diff @1 @2", code=1, says="cfg:region")
    stage.saw("an earlier state", "read by its sequence number")
    done = bob("git kv log -n 4")
    stage.saw("log", "one line a transaction, newest first", done.seconds)


def without_us(stage: Stage, cast: Cast) -> None:
    """What stock git alone can say about it."""
    stage.screen.scene(
        "9 Without git-kv",
        "It is all plain Git. With stock git alone the mirror is checked, the newest signature "
        "verified, and a value read.",
    )
    operator, bob = cast.operator, cast.bob
    stage.settle()
    stage.saw("mirror and Stargate", "show the same refs")
    operator("git -C mirror.git fsck --strict --no-dangling", show=3)
    operator.type("git -C gate.git fsck --strict --no-dangling")
    stage.saw("git fsck --strict of both", "clean")
    signers = stage.root / "signers"
    keys = {
        person.name: " ".join(person.key.with_suffix(".pub").read_text().split(" ")[:2])
        for person in (cast.alice, cast.bob)
    }
    signers.write_text("".join(f"{name}@example.com {key}\n" for name, key in keys.items()))
    verify = "git -C mirror.git -c gpg.ssh.allowedSignersFile=../signers verify-commit refs/kv/main"
    operator(verify, says='Good "git" signature for alice@example.com')
    etag = json.loads(bob.type("git kv get cfg:region --json").out)["etag"]
    operator(f"git -C mirror.git cat-file blob {etag}", says="us-east-1")
    stage.saw("signature and value", "verified and read by stock git")


def _oid_of(done: Done) -> str:
    oid = done.out.strip()
    if _OID.fullmatch(oid) is None:
        raise Deviation(f"expected a ledger commit, got {done.text}")
    return oid


def _seconds_in(line: str) -> str:
    found = re.search(r"seconds=([0-9.]+)", line)
    return f"{float(found[1]):.2f}" if found else "?"


def _in_short(line: str) -> str:
    """A log line with short ids, and its first reason only."""
    head, hint, _ = re.sub(r"\b([0-9a-f]{10})[0-9a-f]{30}\b", r"\1…", line).partition(" (hint:")
    return head + (" …" if hint else "")
