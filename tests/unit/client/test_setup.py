"""Setting up a clone: what is found, what is left alone, and what is said when something is
missing.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gitkv import PolicyError, Store, UsageError
from gitkv.client.setup import setup_remote
from gitkv.policy.template import format_policy


def _publish_policy(team, git, text: bytes) -> None:
    admin = team.root / "admin"
    git("init", "--quiet", admin)
    (admin / ".kv").mkdir()
    (admin / ".kv" / "policy.yaml").write_bytes(text)
    git("add", ".kv", cwd=admin)
    git("commit", "--quiet", "-m", "policy", cwd=admin)
    git("push", "--quiet", team.mirror, "HEAD:refs/heads/main", cwd=admin)


def _clone(team, git) -> Path:
    git("clone", "--quiet", team.mirror, team.root / "clone")
    return team.root / "clone"


def _env(team, home: Path) -> dict[str, str]:
    return {**os.environ, "HOME": str(home), "GIT_SSH_COMMAND": str(team.ssh)}


@pytest.fixture
def person(tmp_path: Path, ssh_key) -> Path:
    """A home with an SSH key in it, among others."""
    directory = tmp_path / "person" / ".ssh"
    directory.mkdir(parents=True)
    (directory / "a_broken.pub").write_text("not a key\n")
    (directory / "a_broken").write_text("")
    (directory / "id_ed25519").write_bytes(ssh_key.private.read_bytes())
    (directory / "id_ed25519").chmod(0o600)
    (directory / "id_ed25519.pub").write_text(ssh_key.public + " me@host\n")
    return directory.parent


def _good_policy(team, key: str) -> bytes:
    return format_policy(f"ssh://stargate.invalid{team.server}", ("alice", key))


def test_a_clone_is_ready_to_write_after_one_command(team, git, person, ssh_key):
    _publish_policy(team, git, _good_policy(team, ssh_key.public))
    clone, env = _clone(team, git), _env(team, person)
    report = setup_remote(clone, env=env)
    assert (report.signing, report.principal) == ("ssh", "alice")
    assert report.steps[-1].startswith("fetched main@0")
    with Store.open(clone, env=env) as store:
        assert store.is_team
        written = store.set("a", b"1")
        assert [revision.principal for revision in store.history("a")] == ["alice"]
    assert team.tip(team.server) == written.commit
    assert b"+refs/kv" not in git("config", "--get-all", "remote.origin.fetch", cwd=clone)


def test_setting_up_twice_changes_nothing_more(team, git, person, ssh_key):
    _publish_policy(team, git, _good_policy(team, ssh_key.public))
    clone, env = _clone(team, git), _env(team, person)
    setup_remote(clone, env=env)
    config = (clone / ".git" / "config").read_text()
    assert len(setup_remote(clone, env=env).steps) == 1
    assert (clone / ".git" / "config").read_text() == config


def test_a_configured_key_that_the_policy_knows_is_kept(team, git, person, ssh_key):
    _publish_policy(team, git, _good_policy(team, ssh_key.public))
    clone = _clone(team, git)
    git("config", "gpg.format", "ssh", cwd=clone)
    git("config", "user.signingkey", ssh_key.private, cwd=clone)
    assert not [
        step for step in setup_remote(clone, env=_env(team, person)).steps if "signingkey" in step
    ]


def test_no_usable_key_names_what_was_tried_and_changes_nothing(team, git, person, other_ssh_key):
    _publish_policy(team, git, _good_policy(team, other_ssh_key.public))
    clone = _clone(team, git)
    config = (clone / ".git" / "config").read_text()
    with pytest.raises(PolicyError, match=r"~/\.ssh/id_ed25519\.pub"):
        setup_remote(clone, env=_env(team, person))
    assert (clone / ".git" / "config").read_text() == config


def test_what_is_missing_is_named(team, git, person, ssh_key):
    clone, env = team.root / "clone", _env(team, person)
    git("clone", "--quiet", team.mirror, clone)
    with pytest.raises(PolicyError, match="no policy"):
        setup_remote(clone, env=env)
    with pytest.raises(UsageError, match="no remote elsewhere"):
        setup_remote(clone, "elsewhere", env=env)
    _publish_policy(team, git, format_policy("", ("alice", ssh_key.public)))
    git("fetch", "--quiet", cwd=clone)
    with pytest.raises(PolicyError, match="push_url"):
        setup_remote(clone, env=env)


def test_a_namespace_that_the_policy_lacks_is_refused_with_those_it_has(team, git, person, ssh_key):
    _publish_policy(team, git, _good_policy(team, ssh_key.public))
    with pytest.raises(PolicyError, match="no namespace other: it has main"):
        setup_remote(_clone(team, git), ns="other", env=_env(team, person))
