"""The guard around the unit tests: what it stops, what it lets pass, and that it stands where it
should.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from support.no_io import Guard, TouchedTheWorldError

TESTS = Path(__file__).parents[1]
_GUARD = Guard()


def _listens() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))


def _forks() -> None:
    if os.fork() == 0:  # pragma: no cover
        os._exit(0)


BREACHES: dict[str, Callable[[], object]] = {
    "started a process (subprocess.Popen": lambda: subprocess.run(["true"], check=True),
    "started a process (os.system": lambda: os.system("true"),  # noqa: S605
    "started a process (os.fork": _forks,
    "started a process (os.posix_spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "socket (socket.__new__)": _listens,
    "socket (socket.getaddrinfo)": lambda: socket.getaddrinfo("localhost", 1),
    "for writing": lambda: open("planted", "wb"),  # noqa: SIM115
    "'appended' for writing": lambda: open("appended", "a"),  # noqa: SIM115
    "'low' for writing": lambda: os.open("low", os.O_RDWR | os.O_CREAT),
    "changed a file (os.mkdir": lambda: os.mkdir("folder"),
    "changed a file (os.rename": lambda: os.replace("here", "there"),
    "changed a file (os.remove": lambda: os.unlink("here"),
    "changed a file (os.symlink": lambda: os.symlink("here", "there"),
    "changed a file (tempfile.mkdtemp": tempfile.mkdtemp,
    "changed a file (shutil.rmtree": lambda: shutil.rmtree("folder"),
}


@pytest.mark.parametrize("told", BREACHES)
def test_a_test_that_touches_the_world_fails_with_the_deed(
    told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TouchedTheWorldError) as caught, _GUARD.closed():
        BREACHES[told]()
    assert told in str(caught.value)
    assert "unit tests touch nothing but memory" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_breach_that_was_swallowed_or_done_by_a_thread_fails_as_well() -> None:
    with pytest.raises(TouchedTheWorldError), _GUARD.closed(), contextlib.suppress(Exception):
        subprocess.run(["true"], check=True)

    def in_a_thread() -> None:
        with contextlib.suppress(TouchedTheWorldError):
            os.mkdir("folder")

    with pytest.raises(TouchedTheWorldError), _GUARD.closed():
        thread = threading.Thread(target=in_a_thread)
        thread.start()
        thread.join()


def test_reading_files_pipes_threads_and_an_event_loop_pass() -> None:
    async def one() -> int:
        return await asyncio.to_thread(lambda: 1)

    with _GUARD.closed():
        assert Path(__file__).read_bytes()
        assert asyncio.run(one()) == 1
        read_end, write_end = os.pipe()
        with open(write_end, "wb") as pipe:
            pipe.write(b"x")
        assert os.read(read_end, 2) == b"x"
        os.close(read_end)


_PLANTED = """
import os

import pytest


@pytest.fixture(scope="session")
def early():
    os.mkdir({folder!r})


def test_of_memory():
    assert 1 + 1 == 2


def test_that_swallows():
    try:
        os.system("true")
    except Exception:
        pass


def test_of_a_fixture(early):
    pass


def test_of_a_folder(tmp_path):
    pass
"""


def test_it_stands_around_every_unit_test_and_its_fixtures(tmp_path: Path) -> None:
    """With the very files of the suite, and tests that break the rule planted between them."""
    suite = tmp_path / "tests"
    (suite / "unit" / "deep").mkdir(parents=True)
    (suite / "support").mkdir()
    for name in ("conftest.py", "unit/conftest.py", "support/no_io.py"):
        shutil.copy(TESTS / name, suite / name)
    planted = _PLANTED.format(folder=str(tmp_path / "made"))
    (suite / "unit" / "deep" / "test_planted.py").write_text(planted)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\npythonpath = tests\naddopts = --import-mode=importlib\n"
    )

    line = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", str(suite)]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)

    told = [line.split(" - ")[0] for line in done.stdout.splitlines()]
    ends = {line.rpartition("::")[2]: line.split(" ")[0] for line in told if "::" in line}
    assert ends == {
        "test_of_memory": "PASSED",
        "test_that_swallows": "FAILED",
        "test_of_a_fixture": "ERROR",
        "test_of_a_folder": "ERROR",
    }, done.stdout
    assert not (tmp_path / "made").exists()
