"""kill -9 at every step of the pipeline, and what else a crash leaves. Afterwards: start again,
unaided, and re-decide everything.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from faults.conftest import Breakable
from support.forge import (
    CAPABILITIES,
    Answered,
    Forged,
    assert_nothing_left,
    assert_refused,
    commands,
    pack_of,
    settled,
    ssh_line,
)
from support.invariants import check_invariants, events

from gitkv.ledger.plan import Put
from gitkv.testing.world import wait_until

BEFORE_THE_COMMIT_POINT = [
    "commands-read",
    "quarantined",
    "admitted",
    "audited",
    "intent-written",
    "pack-adopted",
    "entries-written",
]
BEHIND_THE_COMMIT_POINT = ["refs-moved", "intent-cleared", "judged", "mirror-pushed"]


def _push_into_death(broken: Breakable, step: str) -> tuple[Forged, Answered]:
    if (
        step == "mirror-pushed"
    ):  # at start the daemon asks the mirror where it stands: that is the first time
        broken.plant(f"kill:{step}:2")
        wait_until(lambda: events(broken.world, "mirror.pushed"), 20)
    else:
        broken.plant(f"kill:{step}:1")
    forged = broken.forge.transaction()
    answered = broken.forge.push(forged)
    broken.wait_for_death()
    return forged, answered


@pytest.mark.parametrize("step", BEFORE_THE_COMMIT_POINT)
def test_killed_before_the_commit_point_nothing_happened_and_the_same_push_succeeds(
    broken: Breakable, step: str
) -> None:
    before = broken.world.refs(broken.world.gate)
    forged, answered = _push_into_death(broken, step)
    assert answered.dropped
    broken.restart()
    assert (
        forged.said.txn
        not in check_invariants(
            broken.world, refused=[forged.ledger.hex(), forged.index.hex()]
        ).txns
    )
    after = broken.world.refs(broken.world.gate)
    assert {ref: oid for ref, oid in after.items() if "kv-mirror" not in ref} == {
        ref: oid for ref, oid in before.items() if "kv-mirror" not in ref
    }
    assert broken.forge.push(forged).accepted
    broken.forge.push_good()
    broken.world.wait_for_mirror()
    check_invariants(broken.world, acknowledged=[forged.ledger.hex()])


@pytest.mark.parametrize("step", BEHIND_THE_COMMIT_POINT)
def test_killed_behind_the_commit_point_everything_happened_and_the_ledger_tells(
    broken: Breakable, step: str
) -> None:
    forged, answered = _push_into_death(broken, step)
    assert answered.dropped or (step == "mirror-pushed" and answered.accepted)
    broken.restart()
    told = check_invariants(broken.world, acknowledged=[forged.ledger.hex()])
    assert told.txns[forged.said.txn] == forged.ledger.hex(), (
        "the outcome cannot be resolved by the transaction's id"
    )
    assert_refused(broken.forge.push(forged), 2, "base.stale")
    broken.forge.push_good()
    broken.world.wait_for_mirror()
    check_invariants(broken.world, acknowledged=[forged.ledger.hex()])


@pytest.mark.parametrize("step", ["intent-written", "pack-adopted", "refs-moved"])
def test_killed_in_a_policy_change_it_happened_or_did_not(broken: Breakable, step: str) -> None:
    broken.plant(f"kill:{step}:1")
    text = subprocess.run(
        ["git", "cat-file", "blob", "refs/heads/main:.kv/policy.yaml"],
        cwd=broken.world.gate,
        check=True,
        capture_output=True,
    ).stdout
    admin = broken.forge.__class__(broken.world, broken.world.person("alice"))
    change = admin.policy_change(text + b"# once more\n")
    assert admin.push(change).dropped
    broken.wait_for_death()
    broken.restart()
    check_invariants(broken.world)
    moved = admin.policy_commit() == change.updates[0].new
    assert moved == (step == "refs-moved")
    assert moved or admin.push(change).accepted
    admin.close()
    broken.forge.push_good()


def test_killed_three_times_in_a_row_at_different_steps_it_still_recovers(
    broken: Breakable,
) -> None:
    acknowledged = []
    for step in ("pack-adopted", "refs-moved", "entries-written"):
        forged, _ = _push_into_death(broken, step)
        acknowledged += [forged.ledger.hex()] if step == "refs-moved" else []
    broken.restart()
    check_invariants(broken.world, acknowledged=acknowledged)
    broken.forge.push_good()


# --- uploads
# --------------------------------------------------------------------------------------------------


class Upload:
    """A push that stops in the middle of its pack, with the line kept open."""

    def __init__(self, broken: Breakable) -> None:
        self.forged = broken.forge.transaction({b"big": Put(os.urandom(600_000))})
        data = commands(self.forged.updates, CAPABILITIES) + pack_of(self.forged.objects.values())
        line = [*ssh_line(broken.world, broken.forge.person), "git-receive-pack '/gate.git'"]
        self.client = subprocess.Popen(
            line,
            env=broken.forge.person.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.client.stdin is not None
        self.client.stdin.write(data[: len(data) // 2])
        self.client.stdin.flush()
        wait_until(lambda: _children(broken, "index-pack"), 20)

    def end(self) -> bytes:
        """Everything the server said."""
        return self.client.communicate(timeout=30)[0]


def _children(broken: Breakable, word: str) -> list[int]:
    """Process ids of the daemon's children whose command line has this word."""
    assert broken.world.daemon is not None
    found = []
    for task in Path(f"/proc/{broken.world.daemon.pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread or child that has ended
            for pid in (task / "children").read_text().split():
                if word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                    found.append(int(pid))
    return found


def test_killed_in_the_middle_of_an_upload_nothing_of_it_stays(broken: Breakable) -> None:
    broken.restart()
    upload = Upload(broken)
    broken.world.kill()
    upload.end()
    broken.restart()
    check_invariants(broken.world, refused=[upload.forged.ledger.hex()])
    assert broken.forge.push(upload.forged).accepted


def test_a_client_killed_in_the_middle_of_an_upload_leaves_nothing(broken: Breakable) -> None:
    broken.restart()
    before = settled(broken.world)
    upload = Upload(broken)
    upload.client.kill()
    upload.end()
    assert_nothing_left(broken.world, before)
    broken.forge.push_good()


def test_an_index_pack_that_is_killed_refuses_its_push_alone_and_for_now(
    broken: Breakable,
) -> None:
    broken.restart()
    before = settled(broken.world)
    upload = Upload(broken)
    for pid in _children(broken, "index-pack"):
        os.kill(pid, signal.SIGKILL)
    answer = upload.end()
    assert b"kv-reason 5 stargate.unavailable" in answer and b"git was ended" in answer
    assert_nothing_left(broken.world, before)
    assert broken.forge.push(upload.forged).accepted
    check_invariants(broken.world)


def test_readers_of_objects_that_are_killed_cost_no_push(broken: Breakable) -> None:
    broken.restart()
    for _ in range(3):
        broken.forge.push_good()
        readers = _children(broken, "cat-file")
        assert readers
        for pid in readers:
            os.kill(pid, signal.SIGKILL)
        assert broken.forge.push(broken.forge.transaction()).accepted
    check_invariants(broken.world)


# --- what lies about at start
# --------------------------------------------------------------------------------------------------


def _serve_and_fail(broken: Breakable) -> tuple[int, str]:
    line = [
        sys.executable,
        "-m",
        "gitkv",
        "stargate",
        "serve",
        str(broken.world.gate),
        "--ssh",
        "127.0.0.1:0",
    ]
    done = subprocess.run(
        line, env=broken.world.base_env(), capture_output=True, timeout=60, check=False
    )
    return done.returncode, done.stderr.decode()


def test_a_second_daemon_on_the_same_repository_refuses_and_the_first_goes_on(
    broken: Breakable,
) -> None:
    broken.restart()
    code, said = _serve_and_fail(broken)
    assert code == 5
    assert "another Stargate serves" in said and "Traceback" not in said
    broken.forge.push_good()
    check_invariants(broken.world)


def test_stale_locks_and_drafts_do_not_keep_it_from_starting(broken: Breakable) -> None:
    gate = broken.world.gate
    (gate / "packed-refs.lock").write_bytes(b"half a fi")
    (gate / "packed-refs.new").write_bytes(b"")
    (gate / "kv" / "intent.json.draft").write_bytes(b"{")
    (gate / "objects" / "pack" / "tmp_pack_abc").write_bytes(b"PACK")
    (gate / "kv" / "quarantine" / "dead" / "pack").mkdir(parents=True)
    (gate / "kv" / "quarantine" / "dead" / "pack" / "tmp_pack_x").write_bytes(b"PACK")
    broken.restart()
    check_invariants(broken.world)
    broken.forge.push_good()


@pytest.mark.parametrize(
    "torn",
    [
        b"",
        b'{"packs": [], "comm',
        b"[]",
        b'{"packs":["../../x"],"commits":[],"updates":[]}',
        b"\0" * 4096,
    ],
)
def test_a_torn_intent_is_put_aside_since_the_refs_are_whole(
    broken: Breakable, torn: bytes
) -> None:
    (broken.world.gate / "kv" / "intent.json").write_bytes(torn)
    broken.restart()
    check_invariants(broken.world)
    broken.forge.push_good()


@pytest.mark.parametrize("how", ["empty", "half"])
def test_torn_refs_are_reported_and_never_guessed(broken: Breakable, how: str) -> None:
    path = broken.world.gate / "packed-refs"
    whole = path.read_bytes()
    torn = b"" if how == "empty" else whole[: len(whole) // 2]
    path.write_bytes(torn)
    try:
        code, said = _serve_and_fail(broken)
        assert code == 8, said
        assert "packed-refs" in said and "Traceback" not in said
        assert path.read_bytes() == torn, "a start that fails has written"
    finally:
        path.write_bytes(whole)
    broken.restart()
    check_invariants(broken.world)
    broken.forge.push_good()


def test_refs_torn_under_a_running_daemon_stop_writes_until_they_are_restored(
    broken: Breakable,
) -> None:
    broken.restart()
    broken.world.wait_for_mirror()
    path = broken.world.gate / "packed-refs"
    forged, whole = broken.forge.transaction(), path.read_bytes()
    path.write_bytes(b"")
    assert not broken.forge.push(forged).accepted
    assert path.read_bytes() == b""
    path.write_bytes(whole)
    assert broken.forge.push(forged).accepted
    broken.world.wait_for_mirror()
    check_invariants(broken.world)


def test_a_lock_of_another_process_refuses_the_push_for_now_and_the_mirror_lives_on(
    broken: Breakable,
) -> None:
    broken.restart()
    before = settled(broken.world)
    lock = broken.world.gate / "packed-refs.lock"
    forged = broken.forge.transaction()
    lock.write_bytes(b"")
    assert_refused(broken.forge.push(forged), 5, "stargate.unavailable")
    lock.unlink()
    assert_nothing_left(broken.world, before)
    assert broken.forge.push(forged).accepted
    broken.world.wait_for_mirror()


def test_a_lost_object_or_a_loose_ref_is_reported_and_never_guessed(broken: Breakable) -> None:
    tip = broken.forge.tip()
    loose = broken.world.gate / "refs" / "kv" / "main"
    loose.parent.mkdir(parents=True, exist_ok=True)
    loose.write_text(
        tip.ledger.commit.parents[0].hex() + "\n"
        if tip.ledger.commit.parents
        else tip.ledger.oid.hex() + "\n"
    )
    try:
        code, said = _serve_and_fail(broken)
        assert code == 8 and "loose" in said and "Traceback" not in said
    finally:
        loose.unlink()
    broken.restart()
    broken.forge.push_good()
