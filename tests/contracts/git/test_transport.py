"""Fetch and push against real repositories: what moves, what is refused, and how a refusal
reads.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gitkv.errors import AccessError, IntegrityError, ToolError, UnavailableError
from gitkv.git.process import Git
from gitkv.git.transport import Push, fetch, ls_remote, parse_push_report, push
from gitkv.model.oid import Oid
from gitkv.model.refs import Ref
from gitkv.ports import PUSH_UNCLEAR, PUSHED, REJECTED, REMOTE_REJECTED, UP_TO_DATE, PushStatus

LEDGER, INDEX = Ref(b"refs/kv/main"), Ref(b"refs/kv-index/main")
_DECLINED = "hook declined; remote: error: hook declined to update refs/kv/main"


@pytest.fixture
def clone(repo: Path) -> Git:
    return Git(str(repo / ".git"), env=os.environ)


def _commit(git: Git, message: str, parent: Oid | None = None) -> Oid:
    tree = git.run("hash-object", "-t", "tree", "-w", "--stdin").stdout.decode().strip()
    parents = ["-p", parent.hex()] if parent else []
    return Oid(bytes.fromhex(git.run("commit-tree", "-m", message, *parents, tree).stdout.decode()))


def test_a_push_moves_refs_and_a_second_one_is_up_to_date(clone: Git, bare_repo: Path) -> None:
    first = _commit(clone, "1")
    moves = [Push(first, LEDGER), Push(first, INDEX)]
    assert push(clone, str(bare_repo), moves) == {
        LEDGER: PushStatus(PUSHED),
        INDEX: PushStatus(PUSHED),
    }
    assert ls_remote(clone, str(bare_repo)) == {LEDGER: first, INDEX: first}
    assert push(clone, str(bare_repo), moves) == {
        LEDGER: PushStatus(UP_TO_DATE),
        INDEX: PushStatus(UP_TO_DATE),
    }


def test_a_move_that_is_no_fast_forward_is_rejected_and_its_atomic_partner_stays(
    clone: Git, bare_repo: Path
) -> None:
    first = _commit(clone, "1")
    other, third = _commit(clone, "2"), _commit(clone, "3", first)
    push(clone, str(bare_repo), [Push(first, LEDGER), Push(first, INDEX)])
    report = push(clone, str(bare_repo), [Push(other, LEDGER), Push(third, INDEX)])
    assert report[LEDGER] == PushStatus(REJECTED, "non-fast-forward")
    assert report[INDEX].state == REJECTED
    assert ls_remote(clone, str(bare_repo)) == {LEDGER: first, INDEX: first}


def test_a_refusal_by_the_remote_is_an_answer(clone: Git, bare_repo: Path) -> None:
    hook = bare_repo / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    report = push(clone, str(bare_repo), [Push(_commit(clone, "1"), LEDGER)])
    assert report == {LEDGER: PushStatus(REMOTE_REJECTED, _DECLINED)}


def test_a_remote_that_is_not_there_is_unavailable_and_its_secret_stays_hidden(
    clone: Git, tmp_path: Path
) -> None:
    for attempt in (
        lambda: push(clone, str(tmp_path / "gone"), [Push(_commit(clone, "1"), LEDGER)]),
        lambda: ls_remote(clone, str(tmp_path / "gone")),
        lambda: fetch(clone, str(tmp_path / "gone"), ["+refs/kv/main:refs/x/main"]),
        lambda: ls_remote(clone, "https://me:s3cret@127.0.0.1:1/r.git"),
        lambda: push(
            clone, "https://me:s3cret@127.0.0.1:1/r.git", [Push(_commit(clone, "1"), LEDGER)]
        ),
    ):
        with pytest.raises((AccessError, UnavailableError)) as caught:
            attempt()
        assert "s3cret" not in str(caught.value)


def test_a_fetch_moves_only_the_refs_it_names(clone: Git, bare_repo: Path) -> None:
    first = _commit(clone, "1")
    clone.run("tag", "-a", "-m", "t", "v1", first.hex())
    clone.run("push", "--quiet", str(bare_repo), "refs/tags/v1", f"{first.hex()}:refs/kv/main")
    other = bare_repo.parent / "other"
    subprocess.run(["git", "init", "--quiet", "--bare", other], check=True)
    git = Git(str(other), env=os.environ)
    fetch(git, str(bare_repo), ["+refs/kv/*:refs/remotes/origin/kv/*"])
    assert git.run("for-each-ref", "--format=%(refname)").stdout == b"refs/remotes/origin/kv/main\n"
    assert not (other / "FETCH_HEAD").exists()


def test_a_fetch_of_malformed_objects_is_refused_and_no_ref_moves(
    bare_repo: Path, clone: Git
) -> None:
    blob = clone.run("hash-object", "-w", "--stdin").stdout.strip()
    raw = b"100644 .git\x00" + bytes.fromhex(blob.decode())
    tree = (
        clone.run("hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=raw)
        .stdout.decode()
        .strip()
    )
    bad = clone.run("commit-tree", "-m", "x", tree).stdout.decode().strip()
    clone.run("update-ref", "refs/kv/main", bad)
    git = Git(str(bare_repo), env=os.environ)
    with pytest.raises(IntegrityError, match="git refuses"):
        fetch(git, clone.git_dir, ["+refs/kv/main:refs/x/main"])
    assert git.run("for-each-ref").stdout == b""


def test_an_address_that_looks_like_an_option_is_an_address(clone: Git, tmp_path: Path) -> None:
    proof = tmp_path / "ran"
    for attempt in (
        lambda: ls_remote(clone, f"--upload-pack=touch {proof}"),
        lambda: fetch(clone, f"--upload-pack=touch {proof}", ["+a:refs/b"]),
        lambda: push(clone, f"--receive-pack=touch {proof}", [Push(_commit(clone, "1"), LEDGER)]),
        lambda: ls_remote(clone, f"ext::touch {proof}"),
    ):
        with pytest.raises((AccessError, ToolError, UnavailableError)):
            attempt()
    assert not proof.exists()


def test_every_kind_of_line_in_a_push_report_is_read() -> None:
    report = b"\n".join([
        b"To /somewhere",
        b" \tabc:refs/kv/a\t1..2",
        b"*\tabc:refs/kv/b\t[new reference]",
        b"-\t:refs/kv/c\t[deleted]",
        b"=\tabc:refs/kv/d\t[up to date]",
        b"!\tabc:refs/kv/e\t[rejected] (fetch first)",
        b"!\tabc:refs/kv/f\t[remote rejected] ([8 trailer.digest] x: expected a, got b (hint: c))",
        b"!\tabc:refs/kv/g\t[remote failure] (remote failed to report status)",
        b"!\tabc:refs/kv/h\tno brackets",
        b"Done",
        b"",
    ])  # fmt: skip
    states = {ref[-1:]: status for ref, status in parse_push_report(report).items()}
    assert [states[letter].state for letter in (b"a", b"b", b"c", b"d")] == [
        PUSHED,
        PUSHED,
        PUSHED,
        UP_TO_DATE,
    ]
    assert states[b"e"] == PushStatus(REJECTED, "fetch first")
    assert states[b"f"] == PushStatus(
        REMOTE_REJECTED, "[8 trailer.digest] x: expected a, got b (hint: c)"
    )
    assert states[b"g"] == PushStatus(PUSH_UNCLEAR, "remote failed to report status")
    assert states[b"h"] == PushStatus(PUSH_UNCLEAR, "no brackets")


def test_what_the_host_says_of_a_refusal_is_kept(clone: Git, bare_repo: Path) -> None:
    hook = bare_repo / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'error: GH006: Protected branch'; echo; exit 1\n")
    hook.chmod(0o755)
    statuses = push(clone, str(bare_repo), [Push(_commit(clone, "1"), LEDGER)])
    assert statuses[LEDGER].state == REMOTE_REJECTED
    assert statuses[LEDGER].reason == (
        "pre-receive hook declined; remote: error: GH006: Protected branch"
    )
