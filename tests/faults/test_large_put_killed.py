"""A client that is killed in the middle of a large put leaves nothing half visible, and its repeat
finishes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
from conftest import GitRunner

from gitkv import Store
from gitkv.client.init import init_store

VALUE = Random(11).randbytes(6 << 20)


def _start(repo: Path) -> subprocess.Popen[bytes]:
    path = {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    return subprocess.Popen(
        [sys.executable, "-m", "gitkv", "set", "m", "-"],
        cwd=repo,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **path},
    )


def _spooled(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process holds a file that has no name any more."""
    folder = Path(f"/proc/{process.pid}/fd")
    try:
        return any(".git-kv-spool" in os.readlink(entry) for entry in folder.iterdir())
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_put_that_is_ended_half_way_leaves_nothing_and_the_next_one_lands(
    repo: Path, git: GitRunner, number: signal.Signals
) -> None:
    init_store(repo)
    before = git("for-each-ref", cwd=repo)
    process = _start(repo)
    assert process.stdin is not None
    process.stdin.write(VALUE[: 3 << 20])
    process.stdin.flush()
    deadline = time.monotonic() + 60
    while not _spooled(process):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    process.communicate()
    assert process.returncode != 0
    assert git("for-each-ref", cwd=repo) == before
    assert not [name for name in os.listdir(repo / ".git") if "spool" in name]
    assert not list((repo / ".git" / "objects" / "pack").iterdir())
    with Store.open(repo) as store:
        assert store.set("m", VALUE).seq == 1
        assert store["m"] == VALUE
