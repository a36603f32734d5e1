"""How the daemon begins and ends: it starts fit for work or says why not, and when it ends, nothing
of it lives on.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.forge import Forge, commands, pack_of, ssh_line

from gitkv.testing.world import World, wait_until

KILLABLE = str(Path(__file__).parents[1] / "support" / "killable_daemon.py")
STOP_S = 35  # the documents say 30
BASE_ENV = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
SERVE = [sys.executable, "-m", "gitkv", "stargate", "serve"]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path).create()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("template")).create()


@pytest.fixture
def gate(template: World, tmp_path: Path) -> Path:
    """A Stargate's directory, to be spoilt."""
    return Path(shutil.copytree(template.gate, tmp_path / "gate.git"))


def _serve(gate: Path, *words: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """A start that is to fail: what it says, and its exit code."""
    line = [*SERVE, str(gate), "--ssh", "127.0.0.1:0", *words]
    if before:
        line = ["bash", "-c", f'{before}; exec "$@"', "bash", *line]
    return subprocess.run(
        line,
        env=BASE_ENV,
        capture_output=True,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def _alive(marker: str) -> list[str]:
    """The processes whose command line names `marker`, but not this test."""
    found = []
    for pid in os.listdir("/proc"):
        if pid.isdigit() and int(pid) != os.getpid():
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if marker.encode() in words and state != "Z":
                found.append(f"{pid} {words.decode()}")
    return found


def _is_free(world: World) -> bool:
    """Whether nobody holds the repository's lock."""
    import fcntl

    with open(world.gate / "kv" / "daemon.lock", "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@pytest.fixture
def silent_host() -> Iterator[int]:
    """A host that takes connections and says nothing."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        yield listening.getsockname()[1]


def _mirror_to(world: World, url: str) -> None:
    subprocess.run(
        ["git", "-C", str(world.gate), "config", "stargate.mirror", url],
        env=world.base_env(),
        check=True,
    )


def test_a_worker_that_dies_ends_the_daemon_and_frees_the_lock(world: World) -> None:
    words = [str(world.gate), "--ssh", "127.0.0.1:0", "--port-file", str(world.root / "port")]
    with world.log.open("ab") as log:
        daemon = subprocess.Popen(
            [sys.executable, KILLABLE, "exit:mirror-pushed:1", "--", *words],
            env=world.base_env(),
            stderr=log,
        )

    assert daemon.wait(STOP_S) == 5

    assert b"the mirror worker died" in world.log.read_bytes()
    assert not (world.root / "port").exists()
    assert _is_free(world)
    assert _alive(str(world.gate)) == []
    world.start()


def test_removing_the_lock_under_a_daemon_lets_no_second_one_serve(world: World) -> None:
    world.start()
    (world.gate / "kv" / "daemon.lock").unlink()

    done = _serve(world.gate)

    assert done.returncode == 5 and "another Stargate serves" in done.stderr
    with Forge(world, world.person("bob")) as forge:
        forge.push_good()


@pytest.mark.parametrize("folder", [".", "kv"])
def test_a_daemon_whose_repository_is_replaced_writes_no_more_and_ends(
    world: World, folder: str
) -> None:
    world.start()
    assert world.daemon is not None
    served = world.gate / folder
    moved = world.root / "moved"
    with Forge(world, world.person("bob")) as forge:
        forged = forge.transaction()
    served.rename(moved)
    shutil.copytree(moved, served)
    before = (world.gate / "packed-refs").read_bytes()
    with Forge(world, world.person("bob")) as forge:
        forge.push(forged)

    assert world.daemon.wait(STOP_S) == 8

    world.daemon = None
    assert b"was moved or replaced" in world.log.read_bytes()
    assert (world.gate / "packed-refs").read_bytes() == before
    world.start()


def test_a_port_file_that_cannot_be_written_is_said_before_anybody_is_served(gate: Path) -> None:
    done = _serve(gate, "--port-file", str(gate / "missing" / "port"))

    assert done.returncode == 129
    assert "--port-file" in done.stderr and "No such file" in done.stderr
    assert "serving" not in done.stderr
    assert _alive(str(gate)) == []


def test_a_port_file_goes_with_its_daemon(world: World) -> None:
    world.start()
    assert (world.root / "port").exists()

    assert world.stop() == 0

    assert not (world.root / "port").exists()
    assert not (world.root / "port.draft").exists()


def test_a_mirror_that_says_nothing_does_not_hold_the_stop(world: World, silent_host: int) -> None:
    _mirror_to(world, f"http://127.0.0.1:{silent_host}/x.git")
    world.start("--mirror-interval", "0")
    wait_until(lambda: _alive(f"127.0.0.1:{silent_host}"), 20)
    started = time.monotonic()
    assert world.daemon is not None
    world.daemon.send_signal(signal.SIGTERM)

    assert world.daemon.wait(STOP_S) == 0

    assert time.monotonic() - started < STOP_S
    assert _alive(str(world.gate)) == [] == _alive(f"127.0.0.1:{silent_host}")


def test_a_second_signal_ends_it_at_once(world: World, silent_host: int) -> None:
    _mirror_to(world, f"git://127.0.0.1:{silent_host}/x.git")
    world.start("--mirror-interval", "0")
    wait_until(lambda: _alive(f"127.0.0.1:{silent_host}"), 20)
    assert world.daemon is not None
    world.daemon.send_signal(signal.SIGINT)
    wait_until(lambda: b"draining" in world.log.read_bytes(), 10)
    world.daemon.send_signal(signal.SIGTERM)

    assert world.daemon.wait(10) == 0
    assert _alive(str(world.gate)) == []


def test_pushes_and_fetches_that_hang_do_not_hold_the_stop(world: World) -> None:
    world.start()
    with Forge(world, world.person("bob")) as forge:
        forged = forge.transaction()
        line = ssh_line(world, forge.person)
        pipe = subprocess.PIPE
        push, fetch = [
            subprocess.Popen([*line, command], env=forge.person.env, stdin=pipe, stdout=pipe)
            for command in ("git-receive-pack '/gate.git'", "git-upload-pack '/gate.git'")
        ]
        with push, fetch:
            assert push.stdin is not None
            data = commands(forged.updates) + pack_of(forged.objects.values())
            push.stdin.write(data[:-30])
            push.stdin.flush()
            wait_until(lambda: len(_alive("index-pack")) and len(_alive("upload-pack")), 20)
            assert world.daemon is not None
            world.daemon.send_signal(signal.SIGTERM)
            code = world.daemon.wait(STOP_S)
            push.kill()
            fetch.kill()

    assert code == 0
    assert _alive(str(world.gate)) == []


def _git_kv(world: World) -> Path:
    """A folder for PATH with `git-kv` in it, as an installation has it."""
    folder = world.root / "bin"
    folder.mkdir()
    (folder / "git-kv").write_text(f'#!/bin/sh\nexec {sys.executable} -m gitkv "$@"\n')
    (folder / "git-kv").chmod(0o755)
    return folder


def test_a_log_in_that_cannot_be_judged_is_logged(world: World) -> None:
    """The policy is gone from under the daemon: whoever knocks is not to blame, and it is told."""
    world.start()
    refs = world.gate / "packed-refs"
    kept = [line for line in refs.read_bytes().splitlines(True) if b" refs/heads/" not in line]
    refs.with_suffix(".new").write_bytes(b"".join(kept))
    refs.with_suffix(".new").rename(refs)
    bob = world.person("bob")

    done = subprocess.run(
        [*ssh_line(world, bob), "git-upload-pack '/gate.git'"],
        env=bob.env,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=30,
        check=False,
    )

    assert done.returncode == 255
    [line] = [said for said in world.log.read_bytes().splitlines() if b"login.failed" in said]
    assert b"refs/heads/main is missing" in line and b"peer=127.0.0.1:" in line


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="who the parent is, is told in /proc")
def test_a_daemon_goes_with_the_git_that_started_it(world: World) -> None:
    env = world.base_env() | {"PATH": f"{_git_kv(world)}:{os.environ['PATH']}"}
    port = world.root / "port"
    words = ["kv", "stargate", "serve", str(world.gate), "--ssh", "127.0.0.1:0"]
    with world.log.open("ab") as log:
        git = subprocess.Popen(["git", *words, "--port-file", str(port)], env=env, stderr=log)
    wait_until(port.exists, 30)

    git.kill()
    git.wait(10)

    wait_until(lambda: not _alive(str(world.gate)), STOP_S)
    assert b"the git that started it is gone" in world.log.read_bytes()


def test_a_daemon_outlives_the_shell_that_started_it(world: World) -> None:
    port = world.root / "port"
    line = [*SERVE, str(world.gate), "--ssh", "127.0.0.1:0", "--port-file", str(port)]
    with world.log.open("ab") as log:
        subprocess.run(
            ["sh", "-c", '"$@" & echo $! >pid', "sh", *line],
            env=world.base_env(),
            cwd=world.root,
            stderr=log,
            check=True,
        )
    pid = int((world.root / "pid").read_text())
    try:
        wait_until(port.exists, 30)
        with pytest.raises(AssertionError):
            wait_until(lambda: not _alive(str(world.gate)), 3)
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not _alive(str(world.gate)), STOP_S)


@pytest.mark.parametrize("name", ["gateway_key", "host_key"])
@pytest.mark.parametrize("mode", [0o644, 0o620])
def test_a_key_in_reach_of_others_is_refused(gate: Path, name: str, mode: int) -> None:
    path = gate / "kv" / name
    path.chmod(mode)

    done = _serve(gate)

    assert done.returncode == 8
    assert f"{mode:04o}" in done.stderr and f"chmod 600 {path}" in done.stderr


def test_a_folder_of_keys_that_others_may_change_is_refused(gate: Path) -> None:
    (gate / "kv").chmod(0o777)

    done = _serve(gate)

    assert done.returncode == 8 and "chmod 700" in done.stderr


@pytest.mark.parametrize("name", ["gateway_key", "host_key"])
@pytest.mark.parametrize(
    "content", [b"", b"not a key\n", b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"]
)
def test_a_broken_key_is_named_with_what_to_do(gate: Path, name: str, content: bytes) -> None:
    (gate / "kv" / name).write_bytes(content)

    done = _serve(gate)

    assert done.returncode == 8
    assert name in done.stderr and "backup" in done.stderr
    assert "unexpected" not in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["gateway_key", "host_key"])
def test_a_missing_key_is_a_matter_of_the_backup_not_of_init(gate: Path, name: str) -> None:
    (gate / "kv" / name).unlink()

    done = _serve(gate)

    assert done.returncode == 8 and "backup" in done.stderr and "init" not in done.stderr


def test_a_restore_without_the_keys_is_a_matter_of_the_backup(gate: Path) -> None:
    (gate / "kv").rename(gate.parent / "forgotten")

    done = _serve(gate)

    assert done.returncode == 8 and "backup" in done.stderr and "init" not in done.stderr


def test_a_directory_that_never_was_a_stargate_is_a_wrong_argument(gate: Path) -> None:
    gate.rename(gate.parent / "elsewhere")

    done = _serve(gate)

    assert done.returncode == 129 and "init" in done.stderr


@pytest.mark.parametrize(
    ("name", "content"),
    [("HEAD", ""), ("HEAD", "\0\0\0"), ("HEAD", "garbage"), ("config", "\0"), ("config", "[core")],
)
def test_what_git_does_not_accept_needs_a_hand(gate: Path, name: str, content: str) -> None:
    (gate / name).write_text(content)

    done = _serve(gate)

    assert done.returncode == 8, done.stderr
    assert "unexpected" not in done.stderr


@pytest.mark.parametrize(
    ("before", "option"),
    [
        ("ulimit -v 900000", "ulimit -v"),
        ("ulimit -v 1800000", "ulimit -v"),
        ("ulimit -n 100", "ulimit -n"),
        ("ulimit -t 200", "ulimit -t"),
        ("ulimit -f 1000000", "ulimit -f"),
    ],
)
def test_limits_that_no_push_could_live_with_are_said_at_the_start(
    gate: Path, before: str, option: str
) -> None:
    done = _serve(gate, before=before)

    assert done.returncode == 129, done.stderr
    assert option in done.stderr and "systemd" in done.stderr


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("127.0.0.1", 129),
        ("127.0.0.1:", 129),
        (":2222", 129),
        ("127.0.0.1:65536", 129),
        ("127.0.0.1:-1", 129),
        ("no.such.host.invalid:2222", 129),
        ("x" * 80 + ":2222", 129),
        ("192.0.2.1:2222", 5),
    ],
)
def test_an_address_nobody_can_listen_on_is_one_clear_line(
    gate: Path, address: str, code: int
) -> None:
    line = [*SERVE, str(gate), "--ssh", address]
    done = subprocess.run(
        line, env=BASE_ENV, capture_output=True, text=True, timeout=30, check=False
    )

    errors = [said for said in done.stderr.splitlines() if said.startswith("error:")]
    assert len(errors) == 1 and "unexpected" not in errors[0], done.stderr
    assert done.returncode in (code, 5 if "Temporary" in done.stderr else code)


def test_a_port_in_use_is_said_and_leaves_nothing(world: World) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", world.port))
        taken.listen()
        done = _serve(world.gate, "--ssh", f"127.0.0.1:{world.port}")

    assert done.returncode == 5 and "in use" in done.stderr
    assert _alive(str(world.gate)) == []
    world.start()


def test_a_stargate_without_a_mirror_says_so(world: World) -> None:
    _mirror_to(world, "none")
    world.start()
    assert world.stop() == 0
    assert b"mirror.none" in world.log.read_bytes()


def test_a_json_log_holds_json_only(world: World) -> None:
    """Also what asyncio, the libraries and the end of the process have to say."""
    world.start("--log-format", "json", env={"PYTHONWARNINGS": "always", "PYTHONASYNCIODEBUG": "1"})
    with socket.create_connection(("127.0.0.1", world.port)) as one:
        one.sendall(b"SSH-2.0-x\r\n" + b"\xff" * 2000)
    with socket.create_connection(("127.0.0.1", world.port)) as one:
        one.sendall(b"GET / HTTP/1.1\r\n\r\n")
    with Forge(world, world.person("bob")) as forge:
        forge.push_good()
    assert world.stop() == 0

    for line in world.log.read_text().splitlines():
        assert json.loads(line)["event"]


@pytest.mark.parametrize("words", [["--ssh", "nonsense"], ["--port-file", "/no/such/folder/port"]])
def test_a_start_that_fails_is_json_too(gate: Path, words: list[str]) -> None:
    done = _serve(gate, "--log-format", "json", *words)

    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert events[-1]["event"] == "ended" and events[-1]["exit"] == done.returncode == 129


def test_a_log_nobody_reads_any_more_stops_no_push(world: World) -> None:
    read, write = os.pipe()
    port = world.root / "port"
    words = ["--ssh", f"127.0.0.1:{world.port}", "--port-file", str(port)]
    world.daemon = subprocess.Popen(
        [*SERVE, str(world.gate), *words], env=world.base_env(), stderr=write
    )
    os.close(write)
    wait_until(port.exists, 30)
    os.close(read)

    with Forge(world, world.person("bob")) as forge:
        forge.push_good()
        forge.push_good()
    assert world.stop() == 0


def test_the_documented_unit_does_not_restart_what_needs_a_hand() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operate" / "stargate.md").read_text()
    found = re.search(r"RestartPreventExitStatus=([0-9 ]+)\n", page)
    assert found is not None and set(found[1].split()) >= {"8", "129"}
