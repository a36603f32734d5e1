"""An error that nobody can go on after, wherever it comes up: the daemon says `failed` and is gone
within seconds, with an exit code that is not 0. Never a process that listens and answers nobody.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress

import pytest
from faults.conftest import KILLABLE, Breakable
from support.forge import Answered, Forged, commands, pack_of, ssh_line, talk
from support.invariants import check_invariants, events

from gitkv.testing.world import wait_until

GONE_S = 15  # its own limit is 6 s
ALARM = -14
PUSHING = [
    "exit:commands-read:1",
    "exit:audited:1",
    "exit:judged:1",
    "raise:quarantined:KeyboardInterrupt",
    "raise:entries-written:Planted",
    # a thread's work that nobody waits for any more, and a task beside the session's own
    "raise:git.quarantine.Quarantine.wait_until_ended:SystemExit",
    "raise:daemon.receive_session._read:SystemExit",
]
CONNECTING = [
    "raise:daemon.ssh_server.SshServer.receive:SystemExit",  # the greeting
    "raise:daemon.ssh_server.SshServer.receive:Planted",
    "raise:daemon.ssh_connection.BoundedConnection.process_packet:Planted",  # asyncssh calls these
    "raise:daemon.ssh_connection.BoundedConnection._cleanup:KeyboardInterrupt",
    "raise:daemon.ssh_login.principal_of:SystemExit",
    "raise:daemon.ssh_login.Login.connection_lost:Planted",
    "raise:daemon.ssh_server.principal_of:SystemExit",  # the beginning of a session
]
FETCHING = [
    "raise:daemon.fetch_session._feed:SystemExit",
    "raise:daemon.fetch_session._drain:Planted",
    "raise:git.upload_pack.UploadPack.wait:Planted",
    "raise:git.upload_pack.UploadPack.end:SystemExit",
]
BESIDE = [
    "raise:daemon.ssh_login.Lobby.send_idle_away:SystemExit",  # a timer
    "raise:gateway.followers.maintain.Maintenance.step:KeyboardInterrupt",
    "raise:daemon.workers.Schedule.take:Planted",
]


def _is_gone(broken: Breakable, code: int = 5) -> None:
    daemon = broken.world.daemon
    assert daemon is not None
    assert daemon.wait(GONE_S) == code
    broken.world.daemon = None
    assert len(events(broken.world, "failed")) == 1


def _push(broken: Breakable) -> tuple[Forged, Answered]:
    forged = broken.forge.transaction()
    return forged, broken.forge.push(forged)


def _fetch(broken: Breakable) -> subprocess.CompletedProcess[bytes]:
    return talk(broken.world, broken.forge.person, "git-upload-pack '/gate.git'", b"0000")


@pytest.mark.parametrize("order", PUSHING)
def test_in_a_push(broken: Breakable, order: str) -> None:
    broken.plant(order)

    _, answered = _push(broken)

    _is_gone(broken)
    assert not answered.accepted or order.startswith("raise:git.quarantine")
    broken.restart()
    broken.forge.push_good()
    check_invariants(broken.world)


@pytest.mark.parametrize("order", ["exit:refs-moved:1", "raise:intent-cleared:Planted"])
def test_after_the_commit_point_it_is_no_refusal(broken: Breakable, order: str) -> None:
    broken.plant(order)

    forged, answered = _push(broken)

    assert answered.dropped, "no answer is better than a wrong one"
    _is_gone(broken)
    broken.restart()
    check_invariants(broken.world, acknowledged=[forged.ledger.hex()])


@pytest.mark.parametrize(
    "order",
    [
        "raise:gateway.telling.Announcements.announce:RuntimeError@2",
        "raise:git.journal.FileJournal.finish:MemoryError",
        "raise:git.ref_store._confirm:MemoryError",
        "raise:git.object_store.GitObjectStore.close:MemoryError",
        "raise:git.quarantine.Quarantine.discard:RuntimeError",
    ],
)
def test_any_other_error_after_the_commit_point_is_no_refusal_either(
    broken: Breakable, order: str
) -> None:
    broken.plant(order)

    forged, answered = _push(broken)

    assert answered.accepted or answered.dropped, answered
    broken.restart()
    check_invariants(broken.world, acknowledged=[forged.ledger.hex()])


@pytest.mark.parametrize("order", CONNECTING)
def test_in_a_connection(broken: Breakable, order: str) -> None:
    broken.plant(order)
    _fetch(broken)
    _is_gone(broken)


@pytest.mark.parametrize("order", FETCHING)
def test_in_a_fetch(broken: Breakable, order: str) -> None:
    broken.plant(order)
    _fetch(broken)
    _is_gone(broken)


@pytest.mark.parametrize("order", BESIDE)
def test_beside_the_sessions(broken: Breakable, order: str) -> None:
    with suppress(AssertionError):  # it may be over before it is known to have started
        broken.plant(order)
    _is_gone(broken)


def test_in_the_handler_of_errors_itself(broken: Breakable) -> None:
    broken.plant(
        "raise:daemon.ssh_server.SshServer.receive:OSError",
        "raise:daemon.running._event_of:SystemExit",
    )
    _fetch(broken)
    _is_gone(broken)


def test_while_it_drains(broken: Breakable) -> None:
    """It was told to end, and what it says last is still not success."""
    broken.plant("raise:daemon.ssh_server.SshServer.drain:SystemExit")
    assert broken.world.daemon is not None
    broken.world.daemon.terminate()
    _is_gone(broken)


def test_another_session_that_hangs_does_not_hold_the_end(broken: Breakable) -> None:
    held = broken.world.root / "never"
    broken.plant(f"hold:audited:{held}", "exit:commands-read:2")
    forged = broken.forge.transaction()
    data = commands(forged.updates) + pack_of(forged.objects.values())
    line = [*ssh_line(broken.world, broken.forge.person), "git-receive-pack '/gate.git'"]
    pipe = subprocess.PIPE
    with subprocess.Popen(line, env=broken.forge.person.env, stdin=pipe, stdout=pipe) as hanging:
        assert hanging.stdin is not None
        hanging.stdin.write(data)
        hanging.stdin.flush()
        wait_until(held.with_suffix(".reached").exists, 20)

        _push(broken)

        _is_gone(broken)
        hanging.kill()


@pytest.mark.parametrize(("how", "code"), [("sleeps", 5), ("hogs", ALARM)])
def test_an_interpreter_that_does_not_end_is_ended(broken: Breakable, how: str, code: int) -> None:
    broken.plant("exit:judged:1", f"end:{how}:")
    _push(broken)
    _is_gone(broken, code)


def test_a_full_log_does_not_hold_the_end(broken: Breakable) -> None:
    """Whoever reads the log has stopped: the daemon's next line blocks for ever."""
    world = broken.world
    read, write = os.pipe()
    words = [str(world.gate), "--ssh", f"127.0.0.1:{world.port}"]
    world.daemon = subprocess.Popen(
        [
            *(sys.executable, KILLABLE, "exit:judged:1", "--"),
            *(*words, "--port-file", str(world.root / "port")),
        ],
        env=world.base_env(),
        stderr=write,
    )
    wait_until((world.root / "port").exists, 30)
    os.set_blocking(write, False)
    with suppress(BlockingIOError):
        while True:
            os.write(write, b"\n")
    os.set_blocking(write, True)  # the daemon shares the open file, and so the flag
    try:
        _push(broken)
        assert world.daemon.wait(GONE_S) != 0
    finally:
        os.close(read)
        os.close(write)
    world.daemon = None


def test_a_fetch_without_descriptors_is_told_so_and_the_daemon_goes_on(broken: Breakable) -> None:
    broken.plant("raise:daemon.ssh_server.serve_fetch:EMFILE")

    done = _fetch(broken)

    assert done.returncode == 128 and b"Too many open files: try again later" in done.stderr
    assert events(broken.world, "session.failed")[0]["short_of"] == "Too many open files"
    broken.forge.push_good()


def test_a_push_without_descriptors_may_be_tried_again(broken: Breakable) -> None:
    broken.plant("raise:git.quarantine.Quarantine._start:EMFILE")

    assert _push(broken)[1].rules == {"stargate.unavailable"}

    broken.restart()
    broken.forge.push_good()


def test_out_of_memory_in_a_push_is_a_refusal_for_now_and_the_daemon_goes_on(
    broken: Breakable,
) -> None:
    broken.plant("raise:admitted:MemoryError")

    _, answered = _push(broken)

    assert answered.rules == {"stargate.unavailable"}
    assert _push(broken)[1].rules == {"stargate.unavailable"}
