"""Creating a Stargate: on disk before it counts, nothing left by a refusal, and run again after any
failure.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from gitkv.daemon import create as create_module
from gitkv.daemon.create import create_stargate
from gitkv.errors import PolicyError, ToolError, UnavailableError, UsageError
from gitkv.gateway.setup import CreationRequest
from gitkv.git.fitness import check_files
from gitkv.model.refs import Namespace
from gitkv.sign.gateway_key import generate


@pytest.fixture
def creation(tmp_path: Path) -> CreationRequest:
    mirror = tmp_path / "mirror.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(mirror)], check=True)
    admin = ("alice", generate()[1].decode().strip())
    url = "ssh://git@stargate.example/gate.git"
    return CreationRequest(
        str(tmp_path / "gate.git"), str(mirror), url, admin, [], [Namespace("main")]
    )


def _refs(repository: str) -> str:
    line = ["git", "for-each-ref", "--format=%(refname) %(objectname)"]
    return subprocess.run(
        line, cwd=repository, check=True, capture_output=True, text=True
    ).stdout.replace("refs/kv-audited", "")


def _refuse(creation: CreationRequest, script: str = "exit 1") -> Path:
    hook = Path(creation.mirror, "hooks", "pre-receive")
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\n{script}\n")
    hook.chmod(0o755)
    return hook


def test_everything_that_was_made_is_on_disk_before_success_is_told(
    creation: CreationRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: dict[int, int] = {}
    real = os.fsync

    def recording(fd: int) -> None:
        real(fd)
        synced[os.fstat(fd).st_ino] = time.time_ns()

    monkeypatch.setattr(os, "fsync", recording)
    create_stargate(creation, os.environ)
    monkeypatch.undo()
    top = Path(creation.git_dir)
    late = [
        str(path.relative_to(top.parent))
        for path in [top.parent, top, *top.rglob("*")]
        if path.stat().st_mtime_ns > synced.get(path.stat().st_ino, 0)
    ]
    assert not late, f"not synced after their last change: {late}"
    assert {"HEAD", "config", "packed-refs", "objects", "kv"} <= {
        path.name for path in top.iterdir()
    }
    check_files(creation.git_dir)


@pytest.mark.parametrize("existed", [False, True])
def test_a_mirror_that_refuses_leaves_nothing_behind(
    creation: CreationRequest, existed: bool
) -> None:
    if existed:
        os.mkdir(creation.git_dir)
    hook = _refuse(creation, "echo 'no robots here' >&2; exit 1")
    with pytest.raises(ToolError, match="refuses") as caught:
        create_stargate(creation, os.environ)
    assert "nothing was created" in caught.value.hint
    assert os.path.isdir(creation.git_dir) == existed
    assert not existed or not os.listdir(creation.git_dir)
    hook.unlink()
    create_stargate(creation, os.environ)
    check_files(creation.git_dir)


def test_a_mirror_that_cannot_be_reached_or_is_in_use_leaves_nothing_behind(
    creation: CreationRequest,
) -> None:
    with pytest.raises(UnavailableError):
        create_stargate(creation._replace(mirror=creation.mirror + ".nowhere"), os.environ)
    assert not os.path.exists(creation.git_dir)
    create_stargate(creation, os.environ)
    with pytest.raises(PolicyError, match="not empty"):
        create_stargate(creation._replace(git_dir=creation.git_dir + "2"), os.environ)
    assert not os.path.exists(creation.git_dir + "2")


def test_a_directory_in_use_is_left_as_it_is(creation: CreationRequest) -> None:
    os.makedirs(os.path.join(creation.git_dir, "kv"))
    Path(creation.git_dir, "kv", "mine").write_text("x")
    with pytest.raises(UsageError, match="not empty"):
        create_stargate(creation, os.environ)
    assert os.listdir(os.path.join(creation.git_dir, "kv")) == ["mine"]
    Path(creation.git_dir, "kv", "mine").unlink()
    create_stargate(creation, os.environ)
    with pytest.raises(UsageError, match="not empty"):
        create_stargate(creation, os.environ)
    check_files(creation.git_dir)


def test_a_lost_answer_is_looked_up_on_the_mirror(creation: CreationRequest) -> None:
    hook = Path(creation.mirror, "hooks", "post-receive")
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nkill -9 $PPID\n")
    hook.chmod(0o755)
    create_stargate(creation, os.environ)
    check_files(creation.git_dir)
    assert "refs/kv/main" in _refs(creation.mirror)


STEPS = ("claim_directory", "create_repository", "write_first_state", "put_on_disk", "_publish")


@pytest.mark.parametrize("step", STEPS)
def test_killed_after_any_step_it_is_run_again_and_finishes(
    creation: CreationRequest, step: str
) -> None:
    pid = os.fork()
    if pid == 0:
        real = getattr(create_module, step)

        def dying(*arguments: object) -> None:
            real(*arguments)
            os._exit(9)  # no finally, no except: what a power cut leaves

        setattr(create_module, step, dying)
        try:
            create_stargate(creation, os.environ)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    with pytest.raises(ToolError, match="not finished"):
        check_files(creation.git_dir)
    was_published = bool(_refs(creation.mirror))
    before = _refs(creation.git_dir) if was_published else ""
    assert create_stargate(creation, os.environ).host_key.startswith("ssh-ed25519 ")
    check_files(creation.git_dir)
    assert was_published == (step == "_publish")
    assert not was_published or before == _refs(creation.git_dir)


def test_an_unfinished_one_is_not_taken_over_for_another_mirror(
    creation: CreationRequest, tmp_path: Path
) -> None:
    other = tmp_path / "other.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(other)], check=True)
    pid = os.fork()
    if pid == 0:
        create_module._finish = lambda creation: os._exit(9)  # type: ignore[assignment]
        create_stargate(creation, os.environ)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    with pytest.raises(UsageError, match="another mirror"):
        create_stargate(creation._replace(mirror=str(other)), os.environ)
    create_stargate(creation, os.environ)
