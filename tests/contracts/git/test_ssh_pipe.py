"""The pipe through ssh: two-way traffic without deadlock, and ssh's own words when it fails."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from gitkv.errors import AccessError, ToolError, UnavailableError
from gitkv.git.ssh_pipe import SshPipe

URL = "ssh://git@host.example/srv/kv.git"


def _environment(command: str) -> dict[str, str]:
    """The command stands in for OpenSSH: it is not asked first whether it is that."""
    return dict(os.environ) | {"GIT_SSH_COMMAND": command, "GIT_SSH_VARIANT": "ssh"}


@pytest.fixture
def loopback(tmp_path: Path) -> str:
    """A stand-in for ssh and the far machine: it runs the remote command here, in a shell as sshd
    does.
    """
    script = tmp_path / "loop back.sh"
    script.write_text('#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n')
    script.chmod(0o755)
    return f"'{script}'"


def test_it_reaches_a_real_receive_pack(bare_repo: Path, loopback: str) -> None:
    with SshPipe() as pipe:
        pipe.start(f"ssh://host{bare_repo}", _environment(loopback), {})
        length = int(pipe.read_exactly(4), 16)
        assert b"capabilities^{}" in pipe.read_exactly(length - 4)
        assert pipe.read_exactly(4) == b"0000"
        pipe.write(b"0000")
        assert pipe.read(1) == b""
        assert pipe.finish() == (0, "")


def test_much_data_both_ways_at_once_does_not_block() -> None:
    data = os.urandom(1 << 20) * 8
    with SshPipe(idle_s_max=30) as pipe:
        pipe.start(URL, _environment("sh -c 'head -c 300000 /dev/zero >&2; exec cat'"), {})
        pipe.write(data)
        pipe.close_write()
        received = b"".join(iter(lambda: pipe.read(1 << 16), b""))
        code, _ = pipe.finish()
    assert received == data
    assert code == 0


def test_a_refused_connection_is_told_in_sshs_words(ssh_tool: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening
        with SshPipe(idle_s_max=30) as pipe:
            pipe.start(f"ssh://127.0.0.1:{taken.getsockname()[1]}/kv.git", os.environ, {})
            with pytest.raises(
                UnavailableError, match=r"connection to Stargate failed: .*Connection refused"
            ):
                pipe.read_exactly(4)


def test_sshs_warnings_do_not_hide_its_reason() -> None:
    with SshPipe() as pipe:
        script = (
            "echo Warning: added >&2; "
            'printf "Permission denied (publickey).\\033\\r\\n" >&2; exit 255'
        )
        pipe.start(URL, _environment(f"sh -c '{script}'"), {})
        with pytest.raises(AccessError, match=r"denied \(publickey\)\.\\x1b"):
            pipe.read_exactly(4)


def test_a_server_that_hangs_up_is_not_taken_for_one_that_cannot_be_reached() -> None:
    with SshPipe() as pipe:
        pipe.start(
            URL,
            _environment("sh -c 'echo 00; echo \"fatal: no such repository\" >&2; exit 128'"),
            {},
        )
        with pytest.raises(UnavailableError, match="the server hung up: fatal: no such repository"):
            pipe.read_exactly(4)
    with SshPipe() as pipe:
        pipe.start(URL, _environment("sh -c 'exit 1'"), {})
        with pytest.raises(UnavailableError, match="hung up"):
            pipe.write(bytes(1 << 20))


def test_a_silent_server_is_given_up_and_its_client_ended() -> None:
    with SshPipe(idle_s_max=0.05) as pipe:
        pipe.start(URL, _environment("sh -c 'exec sleep 1000'"), {})
        with pytest.raises(UnavailableError, match="nothing moved"):
            pipe.read(1)
        assert isinstance(pipe._child, subprocess.Popen)
        assert pipe._child.returncode is not None


def test_a_missing_client_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="no-such-ssh was not found"):
        SshPipe().start(URL, _environment("no-such-ssh"), {})
    for command in ("no-such-ssh -v", str(tmp_path)):
        with SshPipe() as pipe, pytest.raises(ToolError, match="ssh"):
            pipe.start(URL, _environment(f"{command} "), {})
            pipe.read_exactly(4)


def test_a_client_that_nobody_may_run_counts_as_missing(tmp_path: Path) -> None:
    (tmp_path / "plain-file").write_text("#!/bin/sh\n")
    with pytest.raises(ToolError, match="plain-file was not found"):
        SshPipe().start(URL, _environment("plain-file") | {"PATH": str(tmp_path)}, {})


def test_a_rewritten_address_is_the_one_that_is_called(bare_repo: Path, loopback: str) -> None:
    config = {f"url.ssh://host{bare_repo.parent}/.insteadof": ("gate:",)}
    with SshPipe() as pipe:
        pipe.start(f"gate:{bare_repo.name}", _environment(loopback), config)
        assert b"capabilities^{}" in pipe.read_exactly(int(pipe.read_exactly(4), 16) - 4)
