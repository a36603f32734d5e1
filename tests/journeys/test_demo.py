"""The demo is what a stranger runs first: it plays through, it notices when something deviates, and
it leaves nothing running.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitkv.testing.world import wait_until

ROOT = Path(__file__).resolve().parents[2]
SEEN = [
    "set of one key",
    "compare-and-swap",
    "mset of 10,000 keys",
    "list of a prefix",
    "policy change by an admin",
    "two writers at once",
    "outside one's prefixes",
    "key that is not in the policy",
    "unknown key",
    "unsigned commit",
    "edited after signing",
    "a lie with a good signature",
    "force-push",
    "left behind in Stargate",
    "history of a key",
    "git fsck",
    "drained",
]


def run_demo(root: Path, **env: str) -> subprocess.CompletedProcess[str]:
    variables = os.environ | {"PYTHONPATH": str(ROOT / "src"), "KEEP": ""} | env
    command = [sys.executable, str(ROOT / "demo" / "run.py"), "--dir", str(root)]
    return subprocess.run(
        command,
        env=variables,
        capture_output=True,
        text=True,
        timeout=240,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Path]:
    """The directory of a demo that was kept; whatever it left running is ended."""
    root = tmp_path / "demo"
    yield root
    pid = root / "stargate.pid"
    if pid.exists() and _is_alive(int(pid.read_text())):
        os.kill(int(pid.read_text()), signal.SIGKILL)


def test_the_demo_plays_through_and_leaves_its_summary_only(tmp_path: Path) -> None:
    done = run_demo(tmp_path / "demo")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    assert [
        path.name for path in (tmp_path / "demo").iterdir() if not path.name.startswith(".")
    ] == ["summary.md"]
    summary = (tmp_path / "demo" / "summary.md").read_text()
    assert not [what for what in SEEN if what not in summary]
    assert "\033" not in done.stdout  # colours are for terminals
    assert str(tmp_path) not in done.stdout.partition("This table")[0]


def test_the_demo_fails_and_cleans_up_when_something_deviates(tmp_path: Path) -> None:
    broken = tmp_path / "bin" / "head"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    done = run_demo(tmp_path / "demo", PATH=f"{broken.parent}{os.pathsep}{os.environ['PATH']}")
    assert done.returncode == 1
    assert "expected exit code 0, got 3" in done.stdout
    assert not [
        path.name for path in (tmp_path / "demo").iterdir() if not path.name.startswith(".")
    ]


def test_a_kept_demo_can_be_played_with_and_is_not_overrun(kept: Path) -> None:
    done = run_demo(kept, KEEP="1")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    assert re.search(r"kill \$\(cat \S+/stargate\.pid\)", done.stdout)
    alice = (
        f". '{kept}/alice/shell.rc'; git kv set team:hello world && git kv get team:hello "
        "--read-from=stargate"
    )
    assert subprocess.run(
        ["bash", "-c", alice], capture_output=True, text=True, timeout=60
    ).stdout.endswith("world")
    again = run_demo(kept)
    assert again.returncode == 1
    assert "still running" in again.stderr
    pid = int((kept / "stargate.pid").read_text())
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not _is_alive(pid), 30)


def test_the_demo_does_not_empty_a_directory_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    done = run_demo(tmp_path)
    assert done.returncode == 1
    assert (tmp_path / "thesis.tex").exists()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return (
        (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
        if Path("/proc/self").exists()
        else True
    )
