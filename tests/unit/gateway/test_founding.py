"""Founding a Stargate: on disk before it counts, nothing left by a refusal, and run again after any
failure.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from gitkv.daemon import found as found_module
from gitkv.daemon.found import found
from gitkv.errors import PolicyError, ToolError, UnavailableError, UsageError
from gitkv.gateway.fitness import check_files
from gitkv.gateway.setup import Order
from gitkv.model.refs import Namespace
from gitkv.sign.gateway_key import generate


@pytest.fixture
def order(tmp_path: Path) -> Order:
    mirror = tmp_path / "mirror.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(mirror)], check=True)
    admin = ("alice", generate()[1].decode().strip())
    url = "ssh://git@stargate.example/gate.git"
    return Order(str(tmp_path / "gate.git"), str(mirror), url, admin, [], [Namespace("main")])


def _refs(repository: str) -> str:
    line = ["git", "for-each-ref", "--format=%(refname) %(objectname)"]
    return subprocess.run(
        line, cwd=repository, check=True, capture_output=True, text=True
    ).stdout.replace("refs/kv-audited", "")


def _refuse(order: Order, script: str = "exit 1") -> Path:
    hook = Path(order.mirror, "hooks", "pre-receive")
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\n{script}\n")
    hook.chmod(0o755)
    return hook


def test_everything_that_was_made_is_on_disk_before_success_is_told(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: dict[int, int] = {}
    real = os.fsync

    def recording(fd: int) -> None:
        real(fd)
        synced[os.fstat(fd).st_ino] = time.time_ns()

    monkeypatch.setattr(os, "fsync", recording)
    found(order, os.environ)
    monkeypatch.undo()
    top = Path(order.git_dir)
    late = [
        str(path.relative_to(top.parent))
        for path in [top.parent, top, *top.rglob("*")]
        if path.stat().st_mtime_ns > synced.get(path.stat().st_ino, 0)
    ]
    assert not late, f"not synced after their last change: {late}"
    assert {"HEAD", "config", "packed-refs", "objects", "kv"} <= {
        path.name for path in top.iterdir()
    }
    check_files(order.git_dir)


@pytest.mark.parametrize("existed", [False, True])
def test_a_mirror_that_refuses_leaves_nothing_behind(order: Order, existed: bool) -> None:
    if existed:
        os.mkdir(order.git_dir)
    hook = _refuse(order, "echo 'no robots here' >&2; exit 1")
    with pytest.raises(ToolError, match="refuses") as caught:
        found(order, os.environ)
    assert "nothing was created" in caught.value.hint
    assert os.path.isdir(order.git_dir) == existed
    assert not existed or not os.listdir(order.git_dir)
    hook.unlink()
    found(order, os.environ)
    check_files(order.git_dir)


def test_a_mirror_that_cannot_be_reached_or_is_in_use_leaves_nothing_behind(order: Order) -> None:
    with pytest.raises(UnavailableError):
        found(order._replace(mirror=order.mirror + ".nowhere"), os.environ)
    assert not os.path.exists(order.git_dir)
    found(order, os.environ)
    with pytest.raises(PolicyError, match="not empty"):
        found(order._replace(git_dir=order.git_dir + "2"), os.environ)
    assert not os.path.exists(order.git_dir + "2")


def test_a_directory_in_use_is_left_as_it_is(order: Order) -> None:
    os.makedirs(os.path.join(order.git_dir, "kv"))
    Path(order.git_dir, "kv", "mine").write_text("x")
    with pytest.raises(UsageError, match="not empty"):
        found(order, os.environ)
    assert os.listdir(os.path.join(order.git_dir, "kv")) == ["mine"]
    Path(order.git_dir, "kv", "mine").unlink()
    found(order, os.environ)
    with pytest.raises(UsageError, match="not empty"):
        found(order, os.environ)
    check_files(order.git_dir)


def test_a_lost_answer_is_looked_up_on_the_mirror(order: Order) -> None:
    hook = Path(order.mirror, "hooks", "post-receive")
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nkill -9 $PPID\n")
    hook.chmod(0o755)
    found(order, os.environ)
    check_files(order.git_dir)
    assert "refs/kv/main" in _refs(order.mirror)


STEPS = ("claim_directory", "create_repository", "write_first_state", "put_on_disk", "_publish")


@pytest.mark.parametrize("step", STEPS)
def test_killed_after_any_step_it_is_run_again_and_finishes(order: Order, step: str) -> None:
    pid = os.fork()
    if pid == 0:
        real = getattr(found_module, step)

        def dying(*arguments: object) -> None:
            real(*arguments)
            os._exit(9)  # no finally, no except: what a power cut leaves

        setattr(found_module, step, dying)
        try:
            found(order, os.environ)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    with pytest.raises(ToolError, match="not finished"):
        check_files(order.git_dir)
    was_published = bool(_refs(order.mirror))
    before = _refs(order.git_dir) if was_published else ""
    assert found(order, os.environ).host_key.startswith("ssh-ed25519 ")
    check_files(order.git_dir)
    assert was_published == (step == "_publish")
    assert not was_published or before == _refs(order.git_dir)


def test_an_unfinished_one_is_not_taken_over_for_another_mirror(
    order: Order, tmp_path: Path
) -> None:
    other = tmp_path / "other.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(other)], check=True)
    pid = os.fork()
    if pid == 0:
        found_module._finish = lambda order: os._exit(9)  # type: ignore[assignment]
        found(order, os.environ)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    with pytest.raises(UsageError, match="another mirror"):
        found(order._replace(mirror=str(other)), os.environ)
    found(order, os.environ)
