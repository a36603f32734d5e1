"""What people do with git, done with `git kv`: settings on the command line, another repository by
option or variable, work trees, hooks. Each must mean what it means to git.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from gitkv.testing.world import Done, World, run


class Shell:
    """A person at a prompt: `git-kv` is on PATH, so `git kv` works."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = dict(os.environ) | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }

    def git(
        self,
        *words: str | Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> Done:
        return run(
            ["git", *map(str, words)], self.env | dict(env or {}), cwd or self.folder, b"", check
        )

    def committer(self, rev: str = "refs/kv/main") -> str:
        return self.git("log", "-1", "--format=%cn <%ce>", rev).out.decode().strip()

    def signer(self, rev: str = "refs/kv/main") -> str:
        """The fingerprint of the key that the newest transaction names."""
        return self.git("kv", "log", "--limit", "1", "--json").out.decode()


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    folder = tmp_path / "store"
    folder.mkdir()
    made = Shell(folder)
    made.git("init", "--quiet")
    made.git("kv", "init")
    made.git("kv", "set", "k", "v")
    return made


def _fingerprint(key: Path) -> str:
    done = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(key)], check=True, capture_output=True, text=True
    )
    return done.stdout.split(" ")[1]


def test_an_identity_given_for_one_command_is_the_one_that_writes(shell: Shell) -> None:
    shell.git("-c", "user.name=Once", "-c", "user.email=once@example.com", "kv", "set", "k", "1")
    assert shell.committer() == "Once <once@example.com>"
    counted = {
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "user.name",
        "GIT_CONFIG_VALUE_0": "Counted",
        "GIT_CONFIG_KEY_1": "user.email",
        "GIT_CONFIG_VALUE_1": "counted@example.com",
    }
    shell.git("kv", "set", "k", "2", env=counted)
    assert shell.committer() == "Counted <counted@example.com>"
    shell.git("-c", "user.name=Option", "kv", "set", "k", "3", env=counted)
    assert shell.committer() == "Option <counted@example.com>"
    shell.git("kv", "set", "k", "4", env=counted | {"GIT_COMMITTER_NAME": "Variable"})
    assert shell.committer() == "Variable <counted@example.com>"
    shell.git("--config-env=user.name=WHO", "kv", "set", "k", "5", env={"WHO": "From a variable"})
    assert shell.committer().startswith("From a variable <")


def test_the_key_named_for_one_command_signs(shell: Shell, ssh_key, other_ssh_key) -> None:
    shell.git("config", "gpg.format", "ssh")
    shell.git("config", "user.signingkey", ssh_key.private)
    shell.git("-c", f"user.signingkey={other_ssh_key.private}", "kv", "set", "k", "1")
    assert _fingerprint(other_ssh_key.private) in shell.signer()
    shell.git("kv", "set", "k", "2")
    assert _fingerprint(ssh_key.private) in shell.signer()


def test_settings_for_one_command_do_not_undo_our_own(shell: Shell, tmp_path: Path) -> None:
    hooks, seen = tmp_path / "hooks", tmp_path / "seen"
    hooks.mkdir()
    (hooks / "reference-transaction").write_text(f"#!/bin/sh\ntouch {seen}\n")
    (hooks / "reference-transaction").chmod(0o755)
    shell.git("-c", f"core.hooksPath={hooks}", "kv", "set", "k", "1")
    assert not seen.exists()
    shell.git("tag", "-f", "t", "refs/kv/main")
    tree = shell.git("rev-parse", "refs/kv/main^{tree}").out.decode().strip()
    other = shell.git("commit-tree", tree, "-m", "forged").out.decode().strip()
    tip = shell.git("rev-parse", "refs/kv/main").out.decode().strip()
    shell.git("update-ref", f"refs/replace/{tip}", other)
    assert shell.git("-c", "core.useReplaceRefs=true", "kv", "get", "k").out == b"1"


@pytest.mark.parametrize(
    "redirect",
    [
        {"GIT_OBJECT_DIRECTORY": "/nonexistent"},
        {"GIT_ALTERNATE_OBJECT_DIRECTORIES": "/nonexistent"},
        {"GIT_INDEX_FILE": "/nonexistent/index"},
        {"GIT_NAMESPACE": "elsewhere"},
        {"GIT_REPLACE_REF_BASE": "refs/other/"},
        {"GIT_GRAFT_FILE": "/nonexistent"},
        {"GIT_SHALLOW_FILE": "/nonexistent"},
        {"GIT_QUARANTINE_PATH": "/nonexistent"},
    ],
    ids=lambda redirect: next(iter(redirect)),
)
def test_what_redirects_objects_and_refs_stays_out(shell: Shell, redirect: dict[str, str]) -> None:
    shell.git("kv", "set", "k", "new", env=redirect)
    assert shell.git("kv", "get", "k", env=redirect).out == b"new"
    assert shell.git("kv", "get", "k").out == b"new"


def _commit(shell: Shell) -> None:
    shell.git("commit", "--quiet", "--allow-empty", "-m", "x")


def test_a_variable_that_names_a_gitfile_works_in_a_linked_work_tree(
    shell: Shell, tmp_path: Path
) -> None:
    _commit(shell)
    linked = tmp_path / "linked"
    shell.git("worktree", "add", "--quiet", linked)
    assert (linked / ".git").is_file()
    assert shell.git("kv", "get", "k", cwd=linked).out == b"v"
    assert shell.git("kv", "get", "k", cwd=linked, env={"GIT_DIR": ".git"}).out == b"v"
    assert shell.git("--git-dir", linked / ".git", "kv", "get", "k", cwd=tmp_path).out == b"v"
    shell.git("kv", "set", "k", "w", cwd=linked, env={"GIT_DIR": ".git"})
    assert shell.git("kv", "get", "k").out == b"w"


def test_a_variable_that_names_a_gitfile_works_in_a_submodule(shell: Shell, tmp_path: Path) -> None:
    _commit(shell)
    parent = tmp_path / "parent"
    shell.git("init", "--quiet", parent)
    shell.git("submodule", "--quiet", "add", shell.folder, "sub", cwd=parent)
    sub = parent / "sub"
    assert (sub / ".git").is_file()
    shell.git("kv", "init", cwd=sub)
    shell.git("kv", "set", "k", "in the submodule", cwd=sub, env={"GIT_DIR": ".git"})
    assert shell.git("kv", "get", "k", cwd=sub).out == b"in the submodule"


def test_the_work_tree_that_git_was_told_is_where_relative_names_start(
    shell: Shell, ssh_key, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    (tree / "below").mkdir(parents=True)
    (tree / "my-key").write_bytes(ssh_key.private.read_bytes())
    (tree / "my-key").chmod(0o600)
    there = ("--git-dir", shell.folder / ".git", "--work-tree", tree)
    signing = ("-c", "gpg.format=ssh", "-c", "user.signingkey=my-key")
    shell.git(*there, *signing, "kv", "set", "k", "1", cwd=tree / "below")
    assert _fingerprint(ssh_key.private) in shell.signer()


def test_a_bare_repository_is_found_in_every_way_git_finds_it(shell: Shell, tmp_path: Path) -> None:
    bare = tmp_path / "bare.git"
    shell.git("init", "--quiet", "--bare", bare)
    shell.git("-C", bare, "kv", "init")
    shell.git("--git-dir", bare, "kv", "set", "k", "bare", cwd=tmp_path)
    assert shell.git("kv", "-C", str(bare), "get", "k").out == b"bare"
    assert shell.git("kv", "-C", str(tmp_path), "get", "k", env={"GIT_DIR": "bare.git"}).out == (
        b"bare"
    )
    assert shell.git("--bare", "kv", "get", "k", cwd=bare).out == b"bare"
    explicit = ("-c", "safe.bareRepository=explicit")
    assert shell.git(*explicit, "kv", "get", "k", cwd=bare, check=False).code == 5
    assert shell.git(*explicit, "--git-dir", bare, "kv", "get", "k").out == b"bare"


def test_the_search_for_a_repository_ends_where_it_was_told_to(shell: Shell) -> None:
    inside = shell.folder / "a" / "b"
    inside.mkdir(parents=True)
    assert shell.git("kv", "get", "k", cwd=inside).out == b"v"
    fence = {"GIT_CEILING_DIRECTORIES": str(shell.folder / "a")}
    done = shell.git("kv", "get", "k", cwd=inside, env=fence, check=False)
    assert done.code == 5
    assert "not inside a git repository" in done.err


@pytest.mark.parametrize(
    "name", ["a space", "line\nbreak", os.fsdecode(b"not utf-8 \xff"), "quote'\"$(id)"]
)
def test_a_repository_may_have_any_path(shell: Shell, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    shell.git("init", "--quiet", cwd=folder)
    shell.git("kv", "init", cwd=folder)
    shell.git("kv", "set", "k", "v", cwd=folder)
    assert shell.git("kv", "get", "k", cwd=folder).out == b"v"
    (folder / "below").mkdir()
    assert shell.git("kv", "get", "k", cwd=folder / "below").out == b"v"
    assert shell.git("--git-dir", folder / ".git", "kv", "get", "k").out == b"v"


def test_it_works_in_a_hook_and_in_a_rebase(shell: Shell) -> None:
    hook = shell.folder / ".git" / "hooks" / "pre-commit"
    hook.write_text('#!/bin/sh\ngit kv set hook "$GIT_INDEX_FILE" >/dev/null\n')
    hook.chmod(0o755)
    (shell.folder / "file").write_text("x")
    shell.git("add", "file")
    shell.git("commit", "--quiet", "-m", "one")
    assert shell.git("kv", "get", "hook").out.endswith(b"index")
    hook.unlink()
    _commit(shell)
    shell.git("rebase", "--quiet", "--exec", "git kv set rebase done", "HEAD~1")
    assert shell.git("kv", "get", "rebase").out == b"done"


def test_a_repository_that_is_not_where_git_was_told_is_named(shell: Shell) -> None:
    done = shell.git("kv", "get", "k", env={"GIT_DIR": "no-such-dir"}, check=False)
    assert done.code == 5
    assert "no-such-dir" in done.err
    assert "Traceback" not in done.err


def test_a_program_that_names_a_repository_is_not_sent_elsewhere_by_a_hook(
    shell: Shell, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shell.git("init", "--quiet", other)
    program = f"import gitkv; print(gitkv.open({str(shell.folder)!r})['k'].decode())"
    done = run(
        [sys.executable, "-c", program],
        shell.env | {"GIT_DIR": str(other / ".git"), "GIT_WORK_TREE": str(other)},
        tmp_path,
    )
    assert done.out == b"v\n"


def test_a_daemon_takes_no_settings_from_the_shell_that_starts_it(tmp_path: Path) -> None:
    scene = World(tmp_path).create()
    elsewhere = tmp_path / "elsewhere.git"
    scene.person("alice").git("init", "--quiet", "--bare", str(elsewhere))
    one_command = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "stargate.mirror",
        "GIT_CONFIG_VALUE_0": str(elsewhere),
        "GIT_DIR": str(elsewhere),
    }
    try:
        scene.start(env=one_command)
        scene.person("alice").clone().kv("set", "k", "v")
        scene.wait_for_mirror()
    finally:
        scene.close()
    assert scene.refs(elsewhere) == {}
