"""A store leaves as one text and comes back the same, by the commands a person types."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gitkv import Put, Store
from gitkv.client.init import init_store

Kv = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def kv() -> Kv:
    def run(
        folder: Path, *words: str, code: int = 0, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            [sys.executable, "-m", "gitkv", "-C", str(folder), *words],
            input=stdin,
            capture_output=True,
        )
        assert done.returncode == code, done.stderr
        return done

    return run


@pytest.fixture
def full(repo: Path) -> Path:
    init_store(repo)
    with Store.open(repo) as store:
        store.write(
            {
                "a/text": Put("grüß\n".encode(), "text/plain"),
                "b/bytes": Put(bytes(range(256)), expires=4_000_000_000),
                "c/empty": Put(b""),
                "é": Put(b"x", 't "q"'),
                "gone": Put(b"x", expires=1_000_000_000),
            }
        )
    return repo


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    folder = tmp_path / "other"
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    init_store(folder)
    return folder


def _contents(folder: Path) -> list[tuple[str, bytes, str, int]]:
    with Store.open(folder) as store:
        values = store.values_under("", allow_expired=True)
        return [(value.key, value.value, value.ctype, value.expires) for value in values]


def test_a_store_comes_back_exactly_and_makes_the_same_snapshot_again(
    full: Path, empty: Path, tmp_path: Path, kv: Kv
) -> None:
    first, second = tmp_path / "s.jsonl", tmp_path / "t.jsonl"
    assert (
        b"5 keys of main@1"
        in kv(full, "snapshot", "--export", str(first), "--allow-expired").stderr
    )
    commit = kv(empty, "import", str(first)).stdout.decode().strip()
    assert _contents(empty) == _contents(full)
    with Store.open(empty) as store:
        assert next(store.log(limit=1)).commit == commit
        assert next(store.log(limit=1)).text == "import main@1"
    kv(empty, "snapshot", "--export", str(second), "--allow-expired")
    assert first.read_bytes().splitlines()[1:-1] == second.read_bytes().splitlines()[1:-1]
    assert kv(full, "snapshot", "--allow-expired").stdout == first.read_bytes()
    assert b"all of it is there already" in kv(empty, "import", str(first)).stderr


def test_expired_keys_and_those_beyond_the_prefix_stay_behind(full: Path, kv: Kv) -> None:
    lines = kv(full, "snapshot").stdout.splitlines()
    assert [json.loads(line)["key"] for line in lines[1:-1]] == [
        "é",
        "a/text",
        "b/bytes",
        "c/empty",
    ]
    lines = kv(full, "snapshot", "--prefix", "b/").stdout.splitlines()
    assert [json.loads(line)["key"] for line in lines[1:-1]] == ["b/bytes"]
    assert json.loads(kv(full, "snapshot", "--at", "@0").stdout.splitlines()[-1])["keys"] == 0


def test_batches_come_through_a_pipe_and_a_second_run_goes_on(
    full: Path, empty: Path, kv: Kv
) -> None:
    text = kv(full, "snapshot").stdout
    commits = kv(empty, "import", "-", "--batch", "3", stdin=text).stdout.split()
    assert len(commits) == 2
    with Store.open(empty) as store:
        assert [(entry.seq, entry.keys_set) for entry in store.log()] == [(2, 1), (1, 3), (0, 0)]
        store.delete(["a/text"])
    kv(empty, "import", "-", "--batch", "3", stdin=text)
    with Store.open(empty) as store:
        assert (store.entry("a/text").mod, store.entry("é").mod) == (4, 1)


def test_a_dry_run_tells_new_changed_and_same_and_writes_nothing(
    full: Path, empty: Path, kv: Kv
) -> None:
    text = kv(full, "snapshot").stdout
    with Store.open(empty) as store:
        store.write({"c/empty": Put(b""), "b/bytes": Put(bytes(range(256))), "own": Put(b"")})
    told = kv(empty, "import", "-", "--dry-run", "--json", stdin=text).stdout
    assert json.loads(told) == {"new": 2, "changed": 1, "same": 1}
    with Store.open(empty) as store:
        assert next(store.log()).seq == 1


def test_a_spoiled_snapshot_writes_nothing_even_in_batches(full: Path, empty: Path, kv: Kv) -> None:
    text = kv(full, "snapshot").stdout
    for spoiled in (text[:-1], text[: len(text) // 2], text.replace(b"text/plain", b"text/plaim")):
        for words in ([], ["--batch", "1"], ["--dry-run"]):
            told = kv(empty, "import", "-", *words, stdin=spoiled, code=8).stderr
            assert b"export it again" in told
    kv(empty, "import", "-", stdin=b"no snapshot", code=129)
    kv(empty, "import", "-", "--batch", "0", stdin=text, code=129)
    kv(empty, "import", str(full / "absent"), code=5)
    assert _contents(empty) == []


def test_an_export_that_fails_leaves_the_file_as_it_was(full: Path, tmp_path: Path, kv: Kv) -> None:
    target = tmp_path / "s.jsonl"
    target.write_bytes(b"before")
    kv(full, "snapshot", "--export", str(target), "--at", "@99", code=129)
    assert target.read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir() if "s.jsonl" in path.name] == ["s.jsonl"]
