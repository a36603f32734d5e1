"""The door to git: what may pass into a child, and how its failures read."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from pathlib import Path

import pytest

from gitkv.errors import ToolError, UnavailableError
from gitkv.git.process import TIDY_S, Completed, Git, complaint, end_process, failure, sub_command


def test_a_repository_that_a_surrounding_command_exported_is_not_used(
    bare_repo: Path, repo: Path
) -> None:
    leaked = {
        "GIT_DIR": str(repo / ".git"),
        "GIT_OBJECT_DIRECTORY": "/nonexistent",
    }
    git = Git(str(bare_repo), env=dict(os.environ) | leaked)
    assert git.run("rev-parse", "--absolute-git-dir").stdout.strip() == os.fsencode(bare_repo)


def test_a_missing_git_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="git was not found") as caught:
        Git(env={"PATH": str(tmp_path)}).run("version")
    assert "install git" in caught.value.hint


def test_a_missing_directory_is_not_reported_as_missing_git(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="not a directory"):
        Git(env=os.environ, cwd=str(tmp_path / "gone")).run("version")


def test_a_failure_names_the_command_and_gits_own_words(bare_repo: Path) -> None:
    with pytest.raises(
        ToolError, match=r"git cat-file failed \(exit 128\): fatal: .*no-such-thing"
    ):
        Git(str(bare_repo), env=os.environ).run("cat-file", "commit", "no-such-thing")
    assert (
        Git(str(bare_repo), env=os.environ).run("cat-file", "-e", "0" * 40, check=False).code == 1
    )


def test_a_revision_that_looks_like_an_option_is_a_revision(bare_repo: Path) -> None:
    done = Git(str(bare_repo), env=os.environ).run(
        "rev-parse", "--verify", "--end-of-options", "--git-dir", check=False
    )
    assert done.code != 0


def test_a_command_without_end_is_ended(bare_repo: Path) -> None:
    os.mkfifo(bare_repo / "fifo")  # nobody ever writes to it
    with pytest.raises(UnavailableError, match="hash-object took longer"):
        Git(str(bare_repo), env=os.environ).run(
            "hash-object", "--end-of-options", str(bare_repo / "fifo"), timeout_s=0.05
        )


def test_an_ssh_that_hangs_ends_with_the_git_that_waited_for_it(
    bare_repo: Path, tmp_path: Path
) -> None:
    held, ssh = tmp_path / "held", tmp_path / "ssh"
    ssh.write_text(
        f"#!{sys.executable}\nimport fcntl, time\nfile = open({str(held)!r}, 'w')\n"
        "fcntl.flock(file, fcntl.LOCK_EX)\n"
        "file.write('held')\nfile.flush()\ntime.sleep(120)\n"
    )
    ssh.chmod(0o755)
    git = Git(str(bare_repo), env=dict(os.environ) | {"GIT_SSH_COMMAND": str(ssh)})
    with pytest.raises(UnavailableError, match="took longer"):
        git.run("ls-remote", "ssh://silent.invalid/x", timeout_s=2.0)
    with held.open() as file:
        assert file.read() == "held"
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                os.sched_yield()
    raise AssertionError("ssh is still there")


def test_an_interrupted_git_takes_its_locks_with_it(bare_repo: Path) -> None:
    git = Git(str(bare_repo), env=os.environ)
    blob = git.run("hash-object", "-w", "--stdin").stdout
    child = git.popen("update-ref", "--stdin")
    assert child.stdin is not None and child.stdout is not None
    child.stdin.write(b"start\ncreate refs/kv/main %bprepare\n" % blob)
    child.stdin.flush()
    while child.stdout.readline() != b"prepare: ok\n":
        pass
    lock = bare_repo / "refs" / "kv" / "main.lock"
    assert lock.exists()
    end_process(child, grace_s=TIDY_S)
    assert not lock.exists()


def test_the_line_that_tells_is_chosen_and_made_harmless() -> None:
    stderr = (
        b"warning: x\nhint: y\r\nfatal: \x1b[31mbad\x07 at https://me:secret@host/r.git\nerror: "
        b"later"
    )
    assert complaint(stderr) == r"fatal: \x1b[31mbad\x07 at https://***@host/r.git"
    assert complaint(b"") == ""
    assert complaint(b"\xff\xe2\x80\xa8 only").isascii()


def test_a_signal_is_told_from_an_exit_code() -> None:
    assert "ended by signal 9): it gave no reason" in str(failure("gc", Completed(b"", b"", -9)))
    assert sub_command(("-c", "a=b", "-c", "c=d", "fetch", "--quiet")) == "fetch"
    assert sub_command(()) == ""
