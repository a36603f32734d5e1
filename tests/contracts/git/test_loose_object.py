"""Single objects, written beside a git that tidies up at the same time."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from conftest import GitRunner

from gitkv.git.loose_object import loose_path, remove_loose, write_loose
from gitkv.model.oid import BLOB, hash_object


def test_git_reads_what_was_written_and_writing_again_changes_nothing(
    bare_repo: Path, git: GitRunner
) -> None:
    oid = write_loose(str(bare_repo), BLOB, b"value")
    assert write_loose(str(bare_repo), BLOB, b"value") == oid == hash_object(BLOB, b"value")
    assert git("cat-file", "blob", oid.hex(), cwd=bare_repo) == b"value"
    git("fsck", "--strict", cwd=bare_repo)
    remove_loose(str(bare_repo), oid)
    remove_loose(str(bare_repo), oid)
    assert not os.path.exists(loose_path(str(bare_repo), oid))


def test_a_repack_that_removes_empty_folders_meanwhile_does_no_harm(
    bare_repo: Path, git: GitRunner
) -> None:
    done = threading.Event()

    def tidy() -> None:
        while not done.is_set():
            for folder in (bare_repo / "objects").iterdir():
                if len(folder.name) == 2:
                    try:
                        folder.rmdir()
                    except OSError:
                        continue

    tidier = threading.Thread(target=tidy)
    tidier.start()
    try:
        oids = [write_loose(str(bare_repo), BLOB, b"%d" % number) for number in range(400)]
    finally:
        done.set()
        tidier.join()
    assert all(os.path.exists(loose_path(str(bare_repo), oid)) for oid in oids)
    assert not list((bare_repo / "objects").rglob("tmp_obj_*"))


def test_a_folder_that_is_always_removed_ends_with_an_error_and_no_litter(
    bare_repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "mkdir", lambda path: None)  # as if somebody else were always faster
    with pytest.raises(FileNotFoundError, match="was removed"):
        write_loose(str(bare_repo), BLOB, b"value")
    assert not list((bare_repo / "objects").rglob("tmp_obj_*"))
