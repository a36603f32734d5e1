"""One daemon for a repository, whatever is removed, renamed or put in its place."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from gitkv.errors import IntegrityError, UnavailableError
from gitkv.git.sole_lease import SoleLease


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    (tmp_path / "gate.git" / "kv").mkdir(parents=True)
    return tmp_path / "gate.git"


def _held(gate: Path) -> SoleLease:
    lease = SoleLease(str(gate))
    lease.take()
    return lease


def _refused(gate: Path) -> bool:
    try:
        SoleLease(str(gate)).take()
    except UnavailableError:
        return True
    return False


def test_a_second_one_is_refused(gate: Path) -> None:
    lease = _held(gate)
    assert _refused(gate) and lease.fence() == 1


def test_removing_the_lock_file_makes_no_room_for_a_second(gate: Path) -> None:
    lease = _held(gate)
    (gate / "kv" / "daemon.lock").unlink()
    assert _refused(gate) and lease.fence() == 1
    (gate / "kv" / "daemon.lock").touch()
    assert _refused(gate) and lease.fence() == 1


def test_a_new_kv_makes_no_room_for_a_second_and_its_holder_writes_no_more(gate: Path) -> None:
    lease = _held(gate)
    (gate / "kv").rename(gate / "kv.old")
    with pytest.raises(IntegrityError, match="kv was moved or replaced"):
        lease.fence()
    shutil.copytree(gate / "kv.old", gate / "kv")
    assert _refused(gate)
    with pytest.raises(IntegrityError, match="another one is there"):
        lease.fence()


def test_a_repository_put_in_its_place_may_be_served_and_the_old_holder_writes_no_more(
    gate: Path,
) -> None:
    lease = _held(gate)
    gate.rename(gate.parent / "old.git")
    with pytest.raises(IntegrityError, match="No such file"):
        lease.fence()
    shutil.copytree(gate.parent / "old.git", gate)
    later = _held(gate)
    assert later.fence() == 1 and _refused(gate.parent / "old.git")
    with pytest.raises(IntegrityError):
        lease.fence()


def test_a_link_that_leads_elsewhere_now_is_noticed(gate: Path) -> None:
    other = Path(shutil.copytree(gate, gate.parent / "other.git"))
    link = gate.parent / "link.git"
    link.symlink_to(gate)
    lease = _held(link)
    assert _refused(gate)
    link.unlink()
    link.symlink_to(other)
    with pytest.raises(IntegrityError):
        lease.fence()


def test_where_folders_cannot_be_locked_the_file_has_to_do(
    gate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl
    import stat

    lock = fcntl.flock

    def of_nfs(fd: int, operation: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(9, "Bad file descriptor")
        lock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", of_nfs)
    lease = _held(gate)
    assert _refused(gate)
    (gate / "kv" / "daemon.lock").unlink()
    with pytest.raises(IntegrityError, match=r"daemon\.lock was moved"):
        lease.fence()
