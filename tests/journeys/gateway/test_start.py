"""What a gateway makes sure of before it serves, and what it refuses to guess."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from support.gateway import NS, Gateway

from gitkv.errors import IntegrityError
from gitkv.gateway.watchlog import entries_back
from gitkv.git.ancestry import GitHistory
from gitkv.git.fitness import REQUIRED_SETTINGS, read_settings
from gitkv.model.refs import FIRST_EPOCH, watchlog_ref

HOSTILE = """\
[i18n]
	logOutputEncoding = UTF-16
	commitEncoding = UTF-16
[log]
	showSignature = true
	decorate = full
	mailmap = true
	excludeDecoration = *
[core]
	abbrev = 7
	quotePath = false
	pager = false
	attributesFile = /nonexistent
[format]
	pretty = oneline
[color]
	ui = always
	branch = always
"""


def _hostile_home(root: Path) -> dict[str, str]:
    """An environment whose user has set everything that changes what git prints."""
    home = root / "hostile"
    home.mkdir()
    (home / ".gitconfig").write_text(HOSTILE)
    return {
        "HOME": str(home),
        "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
        "GIT_CONFIG_PARAMETERS": "'i18n.logoutputencoding=UTF-16'",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "i18n.logOutputEncoding",
        "GIT_CONFIG_VALUE_0": "UTF-16",
    }


def test_used_transaction_ids_are_known_after_a_restart_whatever_the_users_configuration_says(
    gateway: Gateway, tmp_path: Path
) -> None:
    made = [gateway.transaction() for _ in range(1)]
    assert gateway.push(made[0]).verdict.accepted
    used = made[0][0].tip.ledger.attestation.txn
    gateway.restart(_hostile_home(tmp_path))
    assert gateway.stargate.known.knows(used)
    answer = gateway.push(gateway.transaction(txn=used))
    assert [entry.rule for entry in answer.verdict.reasons] == ["transaction.replayed"]


def test_children_of_the_gateway_see_no_configuration_of_user_or_system(
    gateway: Gateway, tmp_path: Path
) -> None:
    gateway.restart(_hostile_home(tmp_path))
    told = gateway.git.run("config", "--list", "--show-scope").stdout.splitlines()
    scopes, listed = {line.split(b"\t")[0] for line in told}, b"\n".join(told)
    assert scopes <= {b"local", b"command"} and b"UTF-16" not in listed
    again = gateway.git.with_extra({"GIT_PROTOCOL": "version=2"})
    assert b"UTF-16" not in again.run("config", "--list").stdout


def test_every_entry_is_read_from_raw_objects_down_to_the_first(gateway: Gateway) -> None:
    for _ in range(5):
        assert gateway.push().verdict.accepted
    newest = gateway.stargate.gate.watchlog_tip(gateway.tip())
    stargate = gateway.stargate
    seqs = [entry.seq for entry in entries_back(stargate.history, stargate.gate.objects, newest)]
    assert seqs == [5, 4, 3, 2, 1, 0]


def test_a_list_of_commits_that_leaves_one_out_is_noticed(gateway: Gateway, tmp_path: Path) -> None:
    """Whoever lists them, a broken commit-graph or another git: the raw commits decide."""
    for _ in range(3):
        assert gateway.push().verdict.accepted
    newest = gateway.stargate.gate.watchlog_tip(gateway.tip())
    ids = gateway.git.run("rev-list", newest.hex()).stdout.split()
    for left_out in range(len(ids)):
        told = [oid for at, oid in enumerate(ids) if at != left_out]
        fake = tmp_path / f"bin{left_out}"
        fake.mkdir()
        listing = "\n".join(oid.decode() for oid in told)
        (fake / "git").write_text(f"#!/bin/sh\nprintf '%s\\n' '{listing}'\n")
        (fake / "git").chmod(0o755)
        liar = gateway.git.with_extra({"PATH": f"{fake}:{os.environ['PATH']}"})
        with pytest.raises(IntegrityError, match="one line of entries"):
            list(entries_back(GitHistory(liar), gateway.stargate.gate.objects, newest))


def test_a_gateway_starts_again_as_it_was(gateway: Gateway) -> None:
    assert gateway.push().verdict.accepted
    before = gateway.refs()
    gateway.restart()
    assert gateway.refs() == before and gateway.stargate.gate.namespaces() == [NS]
    assert watchlog_ref(NS, FIRST_EPOCH).decode() in before


def _refuses(gateway: Gateway, *words: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        gateway.restart()
    told = f"{caught.value} {caught.value.hint}"
    assert all(word in told for word in words), told


def _lines(gateway: Gateway, name: str) -> list[bytes]:
    return (gateway.git_dir / name).read_bytes().splitlines(keepends=True)


def test_packed_refs_cut_at_any_line_break_is_noticed(gateway: Gateway) -> None:
    assert gateway.push().verdict.accepted
    path, lines = gateway.git_dir / "packed-refs", _lines(gateway, "packed-refs")
    for kept in range(1, len(lines)):
        path.write_bytes(b"".join(lines[:kept]))
        _refuses(gateway, "refs/", "missing")
    path.unlink()
    _refuses(gateway, "missing")
    path.write_bytes(b"".join(lines))
    gateway.restart()


def test_any_one_ref_that_is_lost_is_noticed(gateway: Gateway) -> None:
    assert gateway.push().verdict.accepted
    path, lines = gateway.git_dir / "packed-refs", _lines(gateway, "packed-refs")
    for at in range(1, len(lines)):
        if b"kv-mirror" in lines[at]:
            continue  # only says what the mirror has, and is written again
        path.write_bytes(b"".join(lines[:at] + lines[at + 1 :]))
        _refuses(gateway, "missing")
    path.write_bytes(b"".join(lines))
    gateway.restart()


def test_config_that_is_empty_or_cut_anywhere_is_noticed(gateway: Gateway) -> None:
    path, whole = gateway.git_dir / "config", (gateway.git_dir / "config").read_bytes()
    for kept in range(len(whole)):
        path.write_bytes(whole[:kept])
        _refuses(gateway, "config")
    path.write_bytes(whole)
    gateway.restart()


@pytest.mark.parametrize(("name", "expected"), REQUIRED_SETTINGS)
def test_a_setting_that_is_gone_or_another_is_named_with_the_way_back(
    gateway: Gateway, name: str, expected: str
) -> None:
    def edit(*words: str) -> None:
        # The file by itself: git would not look at a repository in a form that it does not know.
        line = ["git", "config", "--file", str(gateway.git_dir / "config"), *words]
        subprocess.run(line, check=True)

    whole = (gateway.git_dir / "config").read_bytes()
    edit("--unset-all", name, f"^{expected}$")
    _refuses(gateway, name, expected)
    edit("--add", name, "1" if expected == "0" else "false" if expected == "true" else "true")
    _refuses(gateway, name.split(".")[1] if name.startswith("core.repo") else name)
    (gateway.git_dir / "config").write_bytes(whole)
    gateway.restart()


@pytest.mark.parametrize(
    "lines",
    [
        "[core]\n\trepositoryformatversion = 1\n[extensions]\n\tobjectFormat = sha256\n",
        "[core]\n\trepositoryformatversion = 1\n[extensions]\n\trefStorage = reftable\n",
        "[core]\n\trepositoryformatversion = 1\n[extensions]\n\tpartialClone = origin\n",
        "[extensions]\n\tworktreeConfig = true\n",
        "[include]\n\tpath = /somewhere\n",
    ],
)
def test_a_repository_in_another_form_is_not_served(gateway: Gateway, lines: str) -> None:
    path, whole = gateway.git_dir / "config", (gateway.git_dir / "config").read_text()
    path.write_text(whole + lines)
    _refuses(gateway, "config")
    path.write_text(whole)
    gateway.restart()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"ref: ",
        b"ref: refs/heads/",
        b"\0" * 21,
        b"ref: refs/heads/other\n",
        b"ref: refs/heads/main2\n",
        b"ref: refs/kv/main\n",
        b"ref: refs/heads/main\nx\n",
        b"%b\n" % (b"5" * 40),
    ],
)
def test_head_that_is_torn_or_stands_elsewhere_is_an_integrity_error(
    gateway: Gateway, content: bytes
) -> None:
    path = gateway.git_dir / "HEAD"
    whole = path.read_bytes()
    path.write_bytes(content)
    _refuses(gateway, "HEAD")
    path.unlink()
    _refuses(gateway, "HEAD")
    path.write_bytes(whole)
    gateway.restart()


def test_no_mirror_must_be_said_and_not_be_missing(gateway: Gateway) -> None:
    git = gateway.git
    git.run("config", "--local", "--unset", "stargate.mirror")
    _refuses(gateway, "stargate.mirror", "none")
    git.run("config", "--local", "stargate.mirror", "none")
    gateway.restart()
    assert read_settings(gateway.git).mirror == ""
