"""Stargate's packed-refs: what a kill between two steps, a torn file or a stock git beside us may
do.
"""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkv.errors import IntegrityError, ToolError, UnavailableError
from gitkv.git.packed_refs import HEADER, format_packed_refs, is_ref, parse_packed_refs
from gitkv.git.process import Git
from gitkv.git.ref_store import GitRefStore, PackedRefStore
from gitkv.model.oid import ZERO_OID, Oid
from gitkv.model.refs import Ref, RefUpdate

LEDGER, INDEX = Ref(b"refs/kv/main"), Ref(b"refs/kv-index/main")
OLD, NEW = Oid(b"\x01" * 20), Oid(b"\x02" * 20)
BIRTH = [RefUpdate(LEDGER, ZERO_OID, OLD), RefUpdate(INDEX, ZERO_OID, OLD)]
MOVE = [RefUpdate(LEDGER, OLD, NEW), RefUpdate(INDEX, OLD, NEW)]

_LETTERS = st.text(st.characters(codec="utf-8"), max_size=12).map(str.encode)


@given(_LETTERS)
def test_our_ref_grammar_is_gits(name: bytes) -> None:
    ref = b"refs/" + name
    if b"\0" not in ref:
        told = (
            subprocess.run([b"git", b"check-ref-format", ref], capture_output=True).returncode == 0
        )
        assert is_ref(ref) == told


_CORNERS = [
    b"a.lock",
    b"a.lock/b",
    b".a",
    b"a/.b",
    b"a..b",
    b"a.",
    b"a/",
    b"/a",
    b"a//b",
    b"@",
    b"a@{b",
    b"a\x7f",
    b"-a",
    b"\xff",
    b"a.b",
]


@pytest.mark.parametrize("name", _CORNERS)
def test_our_ref_grammar_is_gits_in_the_known_corners(name: bytes) -> None:
    told = (
        subprocess.run(
            [b"git", b"check-ref-format", b"refs/" + name], capture_output=True
        ).returncode
        == 0
    )
    assert is_ref(b"refs/" + name) == told


@given(
    st.dictionaries(
        _LETTERS.map(lambda name: b"refs/" + name).filter(is_ref),
        st.binary(min_size=20, max_size=20),
    )
)
def test_what_is_written_reads_back(refs: dict[Ref, Oid]) -> None:
    assert parse_packed_refs(format_packed_refs(refs)) == refs


@given(st.integers(min_value=1))
def test_a_file_cut_inside_a_line_is_never_read_as_fewer_refs(cut: int) -> None:
    text = format_packed_refs({LEDGER: OLD, INDEX: NEW})
    torn = text[: cut % len(text)]
    if torn.endswith(b"\n"):
        return  # cut between lines: the rename, not the parser, guards against this
    with pytest.raises(IntegrityError):
        parse_packed_refs(torn)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        b"\0" * 100 + b"\n",
        b"0" * 40 + b" refs/kv/main\n",
        HEADER + b"\n",
        HEADER + b"01" * 20 + b" refs/kv/b\n" + b"01" * 20 + b" refs/kv/a\n",
        HEADER + b"01" * 20 + b" refs/kv/a\n" + b"01" * 20 + b" refs/kv/a\n",
        HEADER + b"01" * 20 + b" refs/kv/a\r\n",
        HEADER + b"^" + b"01" * 20 + b"\n",
        HEADER + b"AB" * 20 + b" refs/kv/a\n",
    ],
)
def test_a_file_that_git_would_not_write_is_refused(text: bytes) -> None:
    with pytest.raises(IntegrityError):
        parse_packed_refs(text)


def test_stock_git_reads_our_file_and_we_read_its(repo: Path) -> None:
    _git(repo, "commit", "--quiet", "--allow-empty", "-m", "first")
    _git(repo, "tag", "-a", "-m", "annotated", "v1")
    _git(repo, "pack-refs", "--all")
    tip = Oid(bytes.fromhex(_git(repo, "rev-parse", "HEAD").decode()))
    store = PackedRefStore(str(repo / ".git"))
    assert store.read(Ref(b"refs/heads/main")) == tip
    store.move([RefUpdate(LEDGER, ZERO_OID, tip)])
    assert _git(repo, "for-each-ref", "--format=%(refname)").split() == [
        b"refs/heads/main",
        LEDGER,
        b"refs/tags/v1",
    ]
    _git(repo, "pack-refs", "--all")
    store.check()


def test_a_missing_store_is_new_but_an_empty_file_is_never_a_guess(bare_repo: Path) -> None:
    store = PackedRefStore(str(bare_repo))
    assert store.read_all() == {}
    (bare_repo / "packed-refs").touch()
    with pytest.raises(IntegrityError):
        store.read(LEDGER)
    with pytest.raises(IntegrityError):
        store.move(BIRTH)
    assert not (bare_repo / "packed-refs.lock").exists()


def test_refs_that_another_hand_took_out_stop_it_until_they_are_back(bare_repo: Path) -> None:
    """A file cut at a line break reads well; it would lose a ledger with the next move."""
    store, path = PackedRefStore(str(bare_repo)), bare_repo / "packed-refs"
    store.move(BIRTH)
    whole = path.read_bytes()
    for cut in (HEADER, whole[: whole.index(b"refs/kv/main") - 41], None):
        path.unlink()
        if cut is not None:
            path.write_bytes(cut)
        with pytest.raises(IntegrityError, match="missing"):
            store.read_all()
        with pytest.raises(IntegrityError, match="missing"):
            store.move(MOVE)
        assert cut is None or path.read_bytes() == cut
        path.write_bytes(whole)
        assert store.read_all() == {LEDGER: OLD, INDEX: OLD}
    store.move(MOVE)
    store.move([RefUpdate(LEDGER, NEW, ZERO_OID)])
    assert store.read_all() == {INDEX: NEW}, "its own deletions are no loss"


def test_loose_refs_are_named_not_merged(bare_repo: Path) -> None:
    store = PackedRefStore(str(bare_repo))
    store.move(BIRTH)
    store.check()
    (bare_repo / "refs" / "kv").mkdir()
    (bare_repo / "refs" / "kv" / "main").write_bytes(NEW.hex().encode() + b"\n")
    with pytest.raises(IntegrityError, match="refs/kv/main"):
        store.check()


def test_another_process_move_is_seen_at_the_next_read(bare_repo: Path) -> None:
    reader, writer = PackedRefStore(str(bare_repo)), PackedRefStore(str(bare_repo))
    writer.move(BIRTH)
    for _ in range(20):  # fast enough that inode numbers and time stamps repeat
        assert reader.read(LEDGER) == OLD
        writer.move(MOVE)
        assert reader.read(LEDGER) == NEW
        writer.move([RefUpdate(LEDGER, NEW, OLD), RefUpdate(INDEX, NEW, OLD)])


@pytest.mark.parametrize("call", ["write 1", "fsync 1", "rename 1", "fsync 2"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_step_both_refs_moved_or_none_and_recovery_needs_no_hand(
    bare_repo: Path, call: str, when: str
) -> None:
    store = PackedRefStore(str(bare_repo))
    store.move(BIRTH)
    _move_and_die(store, call, when)
    after = PackedRefStore(str(bare_repo))
    seen = after.read_all()
    assert seen in ({LEDGER: OLD, INDEX: OLD}, {LEDGER: NEW, INDEX: NEW})
    assert (seen[LEDGER] == NEW) == (call == "fsync 2" or (call, when) == ("rename 1", "after"))
    if seen[LEDGER] == OLD:
        with pytest.raises(UnavailableError, match=r"packed-refs\.lock"):
            after.move(MOVE)
        assert after.recover() == ["packed-refs.lock"]
        after.move(MOVE)
    assert after.recover() == []
    assert after.read_all() == {LEDGER: NEW, INDEX: NEW}


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_a_full_disk_moves_nothing_and_leaves_no_lock(
    bare_repo: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    store = PackedRefStore(str(bare_repo))
    store.move(BIRTH)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(OSError, match="No space left"):
            store.move(MOVE)
    assert PackedRefStore(str(bare_repo)).read_all() == {LEDGER: OLD, INDEX: OLD}
    assert not (bare_repo / "packed-refs.lock").exists()


def test_a_lock_that_the_disk_would_not_remove_blocks_nobody_later(
    bare_repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PackedRefStore(str(bare_repo))
    store.move(BIRTH)

    def failing(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        patch.setattr(os, "unlink", failing)
        with pytest.raises(OSError, match="Input/output"):
            store.move(MOVE)
    assert (bare_repo / "packed-refs.lock").exists()
    store.move(MOVE)
    assert store.read(LEDGER) == NEW


def test_a_clones_move_runs_no_hook(repo: Path) -> None:
    _git(repo, "commit", "--quiet", "--allow-empty", "-m", "first")
    tip = Oid(bytes.fromhex(_git(repo, "rev-parse", "HEAD").decode()))
    hook = repo / ".git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    GitRefStore(Git(str(repo / ".git"), env=os.environ)).move([RefUpdate(LEDGER, ZERO_OID, tip)])
    assert _git(repo, "rev-parse", "refs/kv/main").strip() == tip.hex().encode()


def test_a_clones_failure_that_is_no_conflict_is_gits_own(repo: Path) -> None:
    with pytest.raises(ToolError, match=NEW.hex()):
        GitRefStore(Git(str(repo / ".git"), env=os.environ)).move(
            [RefUpdate(LEDGER, ZERO_OID, NEW)]
        )


def _move_and_die(store: PackedRefStore, call: str, when: str) -> None:
    """`call`: which call to the operating system it dies at, "NAME N"."""
    name, _, number = call.partition(" ")
    pid = os.fork()
    if pid == 0:
        real, calls = getattr(os, name), []

        def dying(*arguments: object) -> object:
            calls.append(name)
            if len(calls) < int(number):
                return real(*arguments)
            if when == "after":
                real(*arguments)
            os._exit(9)  # no finally, no except: what kill -9 leaves

        setattr(os, name, dying)
        store.move(MOVE)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9


def _git(cwd: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=cwd, check=True, capture_output=True).stdout
