"""The door to git: what may pass into a child, and how its failures read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gitkv.errors import ToolError, UnavailableError
from gitkv.git.process import Completed, Git, complaint, failure, sub_command


def test_a_repository_that_a_surrounding_command_exported_is_not_used(bare_repo: Path, repo: Path) -> None:
    leaked = {"GIT_DIR": str(repo / ".git"), "GIT_OBJECT_DIRECTORY": "/nonexistent", "GIT_CONFIG_PARAMETERS": "'core.bare=x'"}
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
    with pytest.raises(ToolError, match=r"git cat-file failed \(exit 128\): fatal: .*no-such-thing"):
        Git(str(bare_repo), env=os.environ).run("cat-file", "commit", "no-such-thing")
    assert Git(str(bare_repo), env=os.environ).run("cat-file", "-e", "0" * 40, check=False).code == 1


def test_a_revision_that_looks_like_an_option_is_a_revision(bare_repo: Path) -> None:
    done = Git(str(bare_repo), env=os.environ).run("rev-parse", "--verify", "--end-of-options", "--git-dir", check=False)
    assert done.code != 0


def test_a_command_without_end_is_ended(bare_repo: Path) -> None:
    os.mkfifo(bare_repo / "fifo")  # nobody ever writes to it
    with pytest.raises(UnavailableError, match="hash-object took longer"):
        Git(str(bare_repo), env=os.environ).run("hash-object", "--end-of-options", str(bare_repo / "fifo"), timeout_s=0.05)


def test_the_line_that_tells_is_chosen_and_made_harmless() -> None:
    stderr = b"warning: x\nhint: y\r\nfatal: \x1b[31mbad\x07 at https://me:secret@host/r.git\nerror: later"
    assert complaint(stderr) == r"fatal: \x1b[31mbad\x07 at https://***@host/r.git"
    assert complaint(b"") == ""
    assert complaint(b"\xff\xe2\x80\xa8 only").isascii()


def test_a_signal_is_told_from_an_exit_code() -> None:
    assert "ended by signal 9): it gave no reason" in str(failure("gc", Completed(b"", b"", -9)))
    assert sub_command(("-c", "a=b", "-c", "c=d", "fetch", "--quiet")) == "fetch"
    assert sub_command(()) == ""
