"""Both halves of the push protocol against the git that is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import IO

import pytest

import gitkv
from gitkv.model.oid import ZERO_OID, Oid, parse_oid
from gitkv.model.refs import Ref, RefUpdate
from gitkv.wire import send_pack as client
from gitkv.wire.pkt_line import NEED_DATA
from gitkv.wire.send_pack import Advertisement, AnswerReader, TruncatedAnswer

Git = Callable[..., bytes]
LEDGER, INDEX = Ref(b"refs/kv/main"), Ref(b"refs/kv-index/main")
WANTED = (
    b"report-status",
    b"side-band-64k",
    b"atomic",
    b"object-format=sha1",
    b"agent=git-kv/test",
)
TRANSACTION = ("--atomic", "main:refs/kv/main", "main:refs/kv-index/main")


@pytest.fixture
def commit(repo: Path, git: Git) -> Callable[[str], Oid]:
    def make(message: str) -> Oid:
        git("commit", "--quiet", "--allow-empty", "-m", message, cwd=repo)
        return parse_oid(git("rev-parse", "HEAD", cwd=repo).strip())

    return make


# Stock git pushes to our server half.


def push(
    work: Path, target: Path, *arguments: str, mode: str = "judge"
) -> subprocess.CompletedProcess[str]:
    source = Path(gitkv.__file__).parents[1]
    script = Path(__file__).with_name("stock_push_server.py")
    program = f"PYTHONPATH={quote(str(source))} {quote(sys.executable)} {quote(str(script))} {mode}"
    command = ["git", "push", "--receive-pack", program, str(target), *arguments]
    return subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=60)


def test_stock_git_pushes_a_transaction_and_reads_its_receipt(
    repo: Path, bare_repo: Path, commit: Callable[[str], Oid], git: Git
) -> None:
    for message in ("one", "two"):  # the second push starts from refs that our advertisement told
        tip = commit(message)
        done = push(repo, bare_repo, *TRANSACTION)
        assert done.returncode == 0, done.stderr
        assert "remote: accepted main@12 (receipt 000000000000)" in done.stderr
        assert (
            git("rev-parse", "refs/kv/main", "refs/kv-index/main", cwd=bare_repo).decode().split()
            == [tip.hex()] * 2
        )
    git("fsck", "--strict", cwd=bare_repo)


def test_stock_git_shows_every_reason_of_a_refusal(
    repo: Path, bare_repo: Path, commit: Callable[[str], Oid], git: Git
) -> None:
    commit("one")
    done = push(repo, bare_repo, "main:refs/heads/other", "main:refs/kv/a/b")
    assert done.returncode == 1
    assert "remote: [3 push.not-atomic]" in done.stderr
    assert "remote: [3 push.namespace] refs/kv/a/b" in done.stderr
    assert done.stderr.count("[remote rejected]") == 2
    assert git("for-each-ref", cwd=bare_repo) == b""


def test_stock_git_does_not_even_ask_for_a_deletion(
    repo: Path, bare_repo: Path, commit: Callable[[str], Oid]
) -> None:
    commit("one")
    assert push(repo, bare_repo, *TRANSACTION).returncode == 0
    done = push(repo, bare_repo, ":refs/kv/main")
    assert done.returncode == 1
    assert "remote does not support deleting refs" in done.stderr


def test_a_push_with_nothing_new_is_an_empty_list(
    repo: Path, bare_repo: Path, commit: Callable[[str], Oid]
) -> None:
    commit("one")
    push(repo, bare_repo, *TRANSACTION)
    done = push(repo, bare_repo, *TRANSACTION)
    assert (done.returncode, done.stderr.strip()) == (0, "Everything up-to-date")
    assert (bare_repo / "seen").read_text().startswith("ProposedCommands(commands=(), ")


def test_a_push_from_a_shallow_clone_is_seen_and_refused(
    repo: Path, bare_repo: Path, tmp_path: Path, commit: Callable[[str], Oid], git: Git
) -> None:
    commit("one")
    commit("two")
    git("clone", "--quiet", "--depth=1", repo.as_uri(), tmp_path / "shallow")
    done = push(tmp_path / "shallow", bare_repo, *TRANSACTION)
    assert done.returncode == 1
    assert "[5 push.shallow]" in done.stderr


def test_stock_git_prints_the_refusal_of_a_standby(
    repo: Path, bare_repo: Path, commit: Callable[[str], Oid]
) -> None:
    commit("one")
    done = push(repo, bare_repo, *TRANSACTION, mode="standby")
    assert done.returncode == 128
    assert "fatal: remote error: not leader: ask the other one" in done.stderr


def test_stock_git_takes_a_fatal_band_for_a_failure(
    repo: Path, bare_repo: Path, commit: Callable[[str], Oid]
) -> None:
    commit("one")
    done = push(repo, bare_repo, *TRANSACTION, mode="lost")
    assert done.returncode != 0
    assert "the disk is gone" in done.stderr


# Our client half pushes to stock git.


@contextmanager
def receive_pack(target: Path) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes], IO[bytes]]]:
    """A running stock server, with the ends to write to and to read from."""
    pipe, command = subprocess.PIPE, ["git", "receive-pack", str(target)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process, process.stdin, process.stdout
        finally:
            process.kill()


def advertised(output: IO[bytes]) -> Advertisement:
    reader = client.AdvertisementReader()
    while data := os.read(output.fileno(), 5):
        seen = reader.feed(data)
        if seen is not NEED_DATA:
            return seen
    raise AssertionError("the server hung up")


def exchange(
    repo: Path, target: Path, updates: list[RefUpdate], git: Git
) -> tuple[client.Answer, list[bytes]]:
    pack = git(
        "pack-objects",
        "--quiet",
        "--revs",
        "--stdout",
        cwd=repo,
        input=b"".join(b"%b\n" % entry.new.hex().encode() for entry in updates),
    )
    with receive_pack(target) as (_, to_server, from_server):
        assert set(WANTED[:4]) <= advertised(from_server).capabilities
        to_server.write(client.commands(updates, WANTED) + pack)
        to_server.close()
        reader, lines = AnswerReader(sideband=True), list[bytes]()
        while data := os.read(from_server.fileno(), 3):
            lines += reader.feed(data)
    return reader.finish(), lines


def test_stock_git_accepts_our_push(
    repo: Path, bare_repo: Path, commit: Callable[[str], Oid], git: Git
) -> None:
    one = commit("one")
    answer, _ = exchange(
        repo, bare_repo, [RefUpdate(LEDGER, ZERO_OID, one), RefUpdate(INDEX, ZERO_OID, one)], git
    )
    assert answer == client.Answer(b"ok", {LEDGER: None, INDEX: None})
    with receive_pack(bare_repo) as (_, _, from_server):
        assert advertised(from_server).refs == {LEDGER: one, INDEX: one}


def test_a_lying_old_id_comes_back_as_a_reason_for_each_ref(
    repo: Path, bare_repo: Path, commit: Callable[[str], Oid], git: Git
) -> None:
    one = commit("one")
    answer, _ = exchange(
        repo,
        bare_repo,
        [RefUpdate(LEDGER, one, commit("two")), RefUpdate(INDEX, ZERO_OID, one)],
        git,
    )
    assert answer.unpack == b"ok"
    assert set(answer.results) == {LEDGER, INDEX}
    assert all(answer.results.values())


def test_the_words_of_a_hook_come_as_progress(
    repo: Path, bare_repo: Path, commit: Callable[[str], Oid], git: Git
) -> None:
    hook = bare_repo / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho one; echo two >&2; exit 1\n")
    hook.chmod(0o755)
    answer, lines = exchange(repo, bare_repo, [RefUpdate(LEDGER, ZERO_OID, commit("one"))], git)
    assert sorted(lines) == [b"one", b"two"]
    assert answer == client.Answer(b"ok", {LEDGER: b"pre-receive hook declined"})


def test_a_server_killed_before_its_report_leaves_an_unknown_outcome(
    bare_repo: Path, repo: Path, commit: Callable[[str], Oid]
) -> None:
    tip = commit("one")
    reader = AnswerReader(sideband=True)
    with receive_pack(bare_repo) as (process, to_server, from_server):
        advertised(from_server)
        to_server.write(client.commands([RefUpdate(LEDGER, ZERO_OID, tip)], WANTED))
        to_server.flush()  # no pack: the server waits for one
        process.kill()
        reader.feed(from_server.read())
    with pytest.raises(TruncatedAnswer):
        reader.finish()
