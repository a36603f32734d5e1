"""Finding a repository: the shapes one can have, and those that are refused with advice."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gitkv.errors import ToolError
from gitkv.git.process import Git
from gitkv.git.repository import discover, parse_config, set_config


def test_a_work_tree_is_found_from_a_folder_inside(repo: Path) -> None:
    inner = repo / "a" / "b"
    inner.mkdir(parents=True)
    found = discover(str(inner), os.environ)
    assert (found.git_dir, found.common_dir, found.work_tree) == (
        str(repo / ".git"),
        str(repo / ".git"),
        str(repo),
    )


def test_a_folder_reached_through_a_link_gives_the_real_work_tree(
    repo: Path, tmp_path: Path
) -> None:
    (repo / "a").mkdir()
    (tmp_path / "elsewhere").symlink_to(repo / "a")
    assert discover(str(tmp_path / "elsewhere"), os.environ).work_tree == str(repo)


def test_a_bare_repository_has_no_work_tree(bare_repo: Path) -> None:
    found = discover(str(bare_repo), os.environ)
    assert (found.git_dir, found.work_tree) == (str(bare_repo), None)


def test_a_linked_work_tree_shares_the_common_directory(repo: Path, tmp_path: Path) -> None:
    subprocess.run(["git", "commit", "--quiet", "--allow-empty", "-m", "x"], cwd=repo, check=True)
    subprocess.run(
        ["git", "worktree", "add", "--quiet", tmp_path / "linked"],
        cwd=repo,
        check=True,
        capture_output=True,
    )
    found = discover(str(tmp_path / "linked"), os.environ)
    assert found.common_dir == str(repo / ".git")
    assert found.git_dir == str(repo / ".git" / "worktrees" / "linked")
    assert found.work_tree == str(tmp_path / "linked")


def test_no_repository_is_an_error_with_advice(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="not inside a git repository") as caught:
        discover(str(tmp_path), os.environ)
    assert caught.value.hint == "create one with: git init"


def test_a_sha256_repository_is_refused_in_plain_words(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", "--object-format=sha256", tmp_path / "r"], check=True)
    with pytest.raises(ToolError, match="SHA-256 repositories are not supported"):
        discover(str(tmp_path / "r"), os.environ)


def test_settings_keep_every_value_and_the_last_one_counts(repo: Path) -> None:
    git = Git(str(repo / ".git"), env=os.environ)
    set_config(git, "remote.Up.Stream.Url", "one\ntwo")
    set_config(git, "kv.Trusted", "a")
    set_config(git, "kv.trusted", "b", add=True)
    config = repo / ".git" / "config"
    config.write_text(config.read_text() + "[kv]\n\tflag\n\tempty =\n")
    found = discover(str(repo), os.environ)
    assert found.config_all["kv.trusted"] == ("a", "b")
    assert found.config["remote.Up.Stream.url"] == "one\ntwo"
    assert (found.config["kv.flag"], found.config["kv.empty"]) == ("true", "")
    set_config(git, "kv.trusted", "c")
    assert discover(str(repo), os.environ).config_all["kv.trusted"] == ("c",)


def test_our_own_settings_are_not_mistaken_for_the_repositorys(repo: Path) -> None:
    assert "core.hookspath" not in discover(str(repo), os.environ).config


def test_a_setting_with_bytes_that_are_no_text_survives() -> None:
    assert os.fsencode(parse_config(b"a.b\n\xff\0")["a.b"][0]) == b"\xff"
