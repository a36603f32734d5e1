"""Setting up a clone: what is found, what is left alone, and what is said when something is
missing.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from gitkv import IntegrityError, PolicyError, Store, UsageError
from gitkv.client.setup import setup_remote
from gitkv.sign.gateway_key import Ed25519Signer


def _publish_policy(team, **parts: str) -> None:
    """Another store, with this policy, in the place of the team's."""
    shutil.rmtree(team.server)
    shutil.rmtree(team.mirror)
    team.gateway.found(lambda key: team.policy(key, **parts))
    team.git("init", "--quiet", "--bare", team.mirror)
    team.publish()


def _clone(team, git) -> Path:
    git("clone", "--quiet", team.mirror, team.root / "clone")
    return team.root / "clone"


def _env(team, home: Path) -> dict[str, str]:
    ssh = {"GIT_SSH_COMMAND": str(team.ssh), "GIT_SSH_VARIANT": "ssh"}
    return {**os.environ, "HOME": str(home), **ssh}


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


def test_a_clone_is_ready_to_write_after_one_command(team, git, person, ssh_key):
    clone, env = _clone(team, git), _env(team, person)
    report = setup_remote(clone, env=env)
    assert (report.signing, report.principal) == ("ssh", "alice")
    assert report.steps[-1].startswith("fetched main@0")
    with Store.open(clone, env=env) as store:
        assert store.is_team
        written = store.set("a", b"1")
        assert [revision.principal for revision in store.history("a")] == ["alice"]
    assert team.tip(team.server) == written.commit


def test_setting_up_twice_changes_nothing_more(team, git, person, ssh_key):
    clone, env = _clone(team, git), _env(team, person)
    setup_remote(clone, env=env)
    config = (clone / ".git" / "config").read_text()
    assert len(setup_remote(clone, env=env).steps) == 1
    assert (clone / ".git" / "config").read_text() == config


def test_a_configured_key_that_the_policy_knows_is_kept(team, git, person, ssh_key):
    clone = _clone(team, git)
    git("config", "gpg.format", "ssh", cwd=clone)
    git("config", "user.signingkey", ssh_key.private, cwd=clone)
    assert not [
        step for step in setup_remote(clone, env=_env(team, person)).steps if "signingkey" in step
    ]


@pytest.fixture
def reader(tmp_path: Path, other_ssh_key) -> Path:
    """A home with a key that no policy knows."""
    directory = tmp_path / "reader" / ".ssh"
    directory.mkdir(parents=True)
    (directory / "id_ed25519").write_bytes(other_ssh_key.private.read_bytes())
    (directory / "id_ed25519").chmod(0o600)
    (directory / "id_ed25519.pub").write_text(other_ssh_key.public + "\n")
    return directory.parent


def test_who_has_no_key_in_the_policy_reads_and_is_told_what_writing_takes(team, git, reader):
    team.clone("alice").set("a", b"1")
    team.publish()
    clone, env = _clone(team, git), _env(team, reader)
    report = setup_remote(clone, env=env)
    assert (report.push_url, report.signing, report.principal) == ("", "", "")
    assert "~/.ssh/id_ed25519.pub" in report.missing[0] and "admin" in report.missing[1]
    with Store.open(clone, env=env) as store:
        assert store["a"] == b"1"
        for attempt in (lambda: store.set("a", b"2"), lambda: store.refresh("stargate")):
            with pytest.raises(PolicyError, match=r"~/\.ssh/id_ed25519\.pub") as caught:
                attempt()
            assert "admin" in caught.value.hint


def test_a_reader_whose_key_an_admin_adds_is_told_to_set_up_again(team, git, reader, other_ssh_key):
    clone, env = _clone(team, git), _env(team, reader)
    setup_remote(clone, env=env)
    text = team.policy(team.gateway.public_line, writers=(("bob", other_ssh_key.public),))
    team.gateway.change_policy(text, Ed25519Signer(team.admin.private.read_bytes()))
    team.publish()
    git("config", "kv.maxAge", "0", cwd=clone)
    with Store.open(clone, env=env) as store:
        list(store)
        with pytest.raises(PolicyError, match="reading only") as caught:
            store.set("a", b"2")
    assert caught.value.hint == "run: git kv remote setup"
    assert setup_remote(clone, env=env).principal == "bob"


def test_a_store_without_a_push_url_can_be_read(team, git, person):
    _publish_policy(team, push_url="")
    clone, env = _clone(team, git), _env(team, person)
    assert "push_url" in setup_remote(clone, env=env).missing[0]
    with Store.open(clone, env=env) as store:
        assert list(store) == []
        with pytest.raises(PolicyError, match="push_url"):
            store.set("a", b"1")


@pytest.mark.parametrize("options", [(), ("--single-branch",), ("--depth=1",)])
def test_the_policy_is_found_whatever_the_mirrors_head_is(team, git, person, options):
    git("update-ref", "refs/heads/master", _other_commit(team, git), cwd=team.mirror)
    git("symbolic-ref", "HEAD", "refs/heads/master", cwd=team.mirror)
    git("clone", "--quiet", *options, f"file://{team.mirror}", team.root / "clone")
    assert setup_remote(team.root / "clone", env=_env(team, person)).principal == "alice"


def _other_commit(team, git) -> str:
    tree = git("mktree", cwd=team.mirror).decode().strip()
    words = ("-c", "user.name=A", "-c", "user.email=a@b", "commit-tree", tree, "-m", "another")
    return git(*words, cwd=team.mirror).decode().strip()


def test_the_gateways_fingerprint_is_shown_and_remembered(team, git, person):
    clone, env = _clone(team, git), _env(team, person)
    report = setup_remote(clone, env=env)
    assert report.gateway == team.gateway.fingerprint
    stored = git("config", "kv.gatewayKey", cwd=clone).decode().strip()
    assert stored == report.gateway


def test_a_demanded_gateway_key_is_the_only_one_that_is_trusted(team, git, person):
    clone, env = _clone(team, git), _env(team, person)
    config = (clone / ".git" / "config").read_text()
    wrong = "SHA256:" + "A" * 43
    with pytest.raises(IntegrityError, match="expected SHA256:AAA") as caught:
        setup_remote(clone, env=env, gateway_key=wrong)
    assert team.gateway.fingerprint in str(caught.value)
    assert (clone / ".git" / "config").read_text() == config
    assert not git("for-each-ref", "refs/kv", "refs/kv-trust", cwd=clone)
    with pytest.raises(UsageError, match="fingerprint"):
        setup_remote(clone, env=env, gateway_key="ssh-ed25519 AAAA")
    assert setup_remote(clone, env=env, gateway_key=team.gateway.fingerprint).principal == "alice"
    with pytest.raises(IntegrityError):  # later, too
        setup_remote(clone, env=env, gateway_key=wrong)


def test_a_mirror_that_lists_the_demanded_key_and_signs_with_another_is_refused(team, git, person):
    genuine = team.gateway.public_line
    fingerprint = team.gateway.fingerprint
    shutil.rmtree(team.server)
    shutil.rmtree(team.mirror)

    def two_keys(key: str) -> bytes:
        text = team.policy(key).decode()
        line = next(line for line in text.split("\n") if key in line)
        return text.replace(line, f"{line}\n    - {genuine}").encode()

    team.gateway.found(two_keys)
    git("init", "--quiet", "--bare", team.mirror)
    team.publish()
    with pytest.raises(IntegrityError, match="gateway's key is"):
        setup_remote(_clone(team, git), env=_env(team, person), gateway_key=fingerprint)


def test_what_is_missing_is_named(team, git, person):
    clone, env = team.root / "clone", _env(team, person)
    git("clone", "--quiet", team.mirror, clone)
    with pytest.raises(UsageError, match="no remote elsewhere"):
        setup_remote(clone, "elsewhere", env=env)
    git("update-ref", "-d", "refs/heads/main", cwd=team.mirror)
    git("update-ref", "-d", "refs/remotes/origin/main", cwd=clone)
    with pytest.raises(PolicyError, match="no policy"):
        setup_remote(clone, env=env)


def test_a_namespace_that_the_policy_lacks_is_refused_with_those_it_has(team, git, person):
    with pytest.raises(PolicyError, match="no namespace other: it has main"):
        setup_remote(_clone(team, git), ns="other", env=_env(team, person))
