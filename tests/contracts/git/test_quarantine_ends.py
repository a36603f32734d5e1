"""However far a pack has come and however its push ends, nothing of it stays: no file, no folder,
no process, no descriptor.
"""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from gitkv.errors import GitKvError, UnavailableError
from gitkv.git.pack import PackWriter
from gitkv.git.process import Git
from gitkv.git.quarantine import PackRefused, Quarantine
from gitkv.git.quarantine_folder import sweep
from gitkv.model.oid import BLOB

PUSH_FAILURES = (GitKvError, OSError)


def pack(folder: Path) -> bytes:
    writer = PackWriter(str(folder))
    for _ in range(20):
        writer.add(BLOB, os.urandom(5000))
    return b"".join(writer.finish().chunks())


def begun(quarantine: Quarantine, data: bytes) -> None:
    pass


def header_fed(quarantine: Quarantine, data: bytes) -> None:
    quarantine.feed(data[:20])


def half_fed(quarantine: Quarantine, data: bytes) -> None:
    quarantine.feed(data[: len(data) // 2])


def all_fed(quarantine: Quarantine, data: bytes) -> None:
    quarantine.feed(data)


def finished(quarantine: Quarantine, data: bytes) -> None:
    quarantine.feed(data)
    quarantine.finish()


def cut_off(quarantine: Quarantine, data: bytes) -> None:
    quarantine.discard()


def twice(quarantine: Quarantine, data: bytes) -> None:
    quarantine.discard()
    quarantine.discard()


def from_another_thread(quarantine: Quarantine, data: bytes) -> None:
    thread = threading.Thread(target=quarantine.discard)
    thread.start()
    thread.join()
    with suppress(*PUSH_FAILURES, AssertionError):  # the thread that feeds does not know it yet
        quarantine.feed(data)


def ended_early(quarantine: Quarantine, data: bytes) -> None:
    with suppress(PackRefused):
        quarantine.finish()
    quarantine.discard()


def killed(quarantine: Quarantine, data: bytes) -> None:
    """By the system's guard of memory, say."""
    if quarantine.is_started and quarantine.pid:
        os.kill(quarantine.pid, signal.SIGKILL)
        with suppress(*PUSH_FAILURES):
            quarantine.feed(data)
            quarantine.finish()
    quarantine.discard()


def garbage(quarantine: Quarantine, data: bytes) -> None:
    with suppress(*PUSH_FAILURES):
        quarantine.feed(b"\xff" * 100_000)
        quarantine.finish()
    quarantine.discard()


STAGES = (begun, header_fed, half_fed, all_fed, finished)
ENDS = (cut_off, twice, from_another_thread, ended_early, killed, garbage)
Step = Callable[[Quarantine, bytes], None]


def children() -> list[str]:
    return Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
def test_nothing_stays(bare_repo: Path, stage: Step, end: Step) -> None:
    data = pack(bare_repo)
    before = sorted(bare_repo.rglob("*")), len(os.listdir("/proc/self/fd")), children()
    quarantine = Quarantine(Git(str(bare_repo), env=os.environ))
    stage(quarantine, data)

    end(quarantine, data)

    left = [path for path in bare_repo.rglob("*") if path.parent != bare_repo / "kv"]
    assert sorted(path for path in left if path != bare_repo / "kv") == before[0]
    assert not any((bare_repo / "kv" / "quarantine").glob("*"))
    assert len(os.listdir("/proc/self/fd")) == before[1]
    assert children() == before[2]


def test_a_git_that_somebody_killed_is_no_fault_of_the_pack(bare_repo: Path) -> None:
    quarantine = Quarantine(Git(str(bare_repo), env=os.environ))
    quarantine.feed(pack(bare_repo)[:1000])
    os.kill(quarantine.pid, signal.SIGKILL)

    with pytest.raises(UnavailableError, match="git was ended"):
        quarantine.finish()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("call", ["scandir", "unlink", "rmdir"])
def test_what_cannot_be_removed_now_is_removed_later_without_a_restart(
    bare_repo: Path, call: str, number: int
) -> None:
    quarantine = Quarantine(Git(str(bare_repo), env=os.environ))
    quarantine.feed(pack(bare_repo))

    def failing(*args: object, **kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, call, failing)
        with pytest.raises(PUSH_FAILURES):
            quarantine.discard()
    other = Quarantine(Git(str(bare_repo), env=os.environ))
    other.feed(pack(bare_repo))

    assert sweep(str(bare_repo)) == [os.path.basename(quarantine.objects_dir)]
    assert other.finish().oids, "a pack at work was swept away"
    other.discard()


def test_a_disk_that_is_full_at_the_start_leaves_nothing(bare_repo: Path) -> None:
    real, made = os.mkdir, list[str]()

    def full(path: str, *args: int, **kwargs: int) -> None:
        if str(path).endswith("/pack"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        made.append(str(path))
        real(path, *args, **kwargs)

    quarantine = Quarantine(Git(str(bare_repo), env=os.environ))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "mkdir", full)
        with pytest.raises(OSError):
            quarantine.feed(pack(bare_repo))

    assert made
    assert list((bare_repo / "kv" / "quarantine").iterdir()) == []
