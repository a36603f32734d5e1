"""Large values in a store of one's own: cut, found again, proved on their way out."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from conftest import GitRunner
from support.command import Command

from gitkv import Expect, IntegrityError, Put, Store
from gitkv.client.init import init_store

MEBI = 1 << 20
VALUE = Random(3).randbytes(3 * MEBI + 5)


@pytest.fixture
def store(repo: Path) -> Iterator[Store]:
    init_store(repo)
    with Store.open(repo) as opened:
        yield opened


def _objects(repo: Path, git: GitRunner) -> int:
    """Bytes of all objects, as they lie on the disk."""
    listing = git("cat-file", "--batch-all-objects", "--batch-check=%(objectsize:disk)", cwd=repo)
    return sum(map(int, listing.split()))


def _lose_a_chunk(repo: Path, git: GitRunner, replacement: bytes | None = None) -> str:
    """Drops the first chunk, as a damaged disk does, or puts something else in its place."""
    listing = git("ls-tree", "-r", "refs/kv-chunks/main@e1", cwd=repo).splitlines()
    oid = listing[0].split()[2].decode()
    packs = repo / ".git" / "objects" / "pack"
    for pack in [*packs.glob("*.pack")]:
        body = pack.read_bytes()
        for other in packs.glob(f"{pack.stem}.*"):
            other.unlink()
        git("unpack-objects", "-q", cwd=repo, input=body)
    path = repo / ".git" / "objects" / oid[:2] / oid[2:]
    path.unlink()
    if replacement is not None:
        made = git("hash-object", "-w", "--stdin", cwd=repo, input=replacement).decode().strip()
        (repo / ".git" / "objects" / made[:2] / made[2:]).rename(path)
    return oid


def test_a_large_value_comes_back_bit_for_bit_with_its_own_size(store: Store) -> None:
    store.set("m", io.BytesIO(VALUE), ctype="application/octet-stream")
    entry = store.entry("m")
    assert (entry.size, entry.ctype) == (len(VALUE), "application/octet-stream")
    assert store["m"] == VALUE == store.value("m").value
    assert [found.size for found in store.list()] == [len(VALUE)]
    assert dict(store.items()) == {"m": VALUE}
    assert [value.value for value in store.values_of(["m"])] == [VALUE]


def test_the_same_bytes_have_the_same_etag_and_a_second_put_stores_no_chunk(
    store: Store, repo: Path, git: GitRunner, tmp_path: Path
) -> None:
    path = tmp_path / "weights"
    path.write_bytes(VALUE)
    store.set("one", VALUE)
    before = _objects(repo, git)
    assert before > len(VALUE)
    store.set("two", path)
    store.write({"three": Put(VALUE), "small": Put(b"x")})
    with store.transaction() as tx:
        tx.set("four", io.BytesIO(VALUE))
        assert tx["four"] == VALUE
    assert len({store.entry(key).etag for key in ("one", "two", "three", "four")}) == 1
    assert _objects(repo, git) - before < 20_000
    assert not store.set("one", path).changed


def test_an_insertion_at_the_front_stores_little(store: Store, repo: Path, git: GitRunner) -> None:
    store.set("m", VALUE)
    before = _objects(repo, git)
    store.set("m", b"x" + VALUE)
    assert _objects(repo, git) - before < 600_000
    assert store["m"] == b"x" + VALUE
    assert store.value("m", at="@1").value == VALUE
    assert [revision.size for revision in store.history("m")] == [len(VALUE) + 1, len(VALUE)]
    (change,) = store.diff("@1")
    assert (change.old_size, change.new_size) == (len(VALUE), len(VALUE) + 1)


def test_a_limit_is_a_limit_and_not_a_byte_less(store: Store, repo: Path, git: GitRunner) -> None:
    store.write({"at": Put(VALUE[:MEBI]), "above": Put(VALUE[: MEBI + 1])})
    tree = git("ls-tree", "-r", "--name-only", "refs/kv/main", cwd=repo).decode().split()
    assert [name.split("/")[0] for name in tree] == ["data", "manifests"]
    assert store["at"] == VALUE[:MEBI]
    assert store["above"] == VALUE[: MEBI + 1]
    store.write({"at": Put(VALUE[: MEBI + 1]), "above": Put(b"short")})
    assert (store["at"], store["above"]) == (VALUE[: MEBI + 1], b"short")
    store.delete(["at"])
    assert [entry.key for entry in store.list()] == ["above"]


def test_expectations_hold_for_large_values(store: Store) -> None:
    store.set("m", VALUE)
    etag = store.entry("m").etag
    store.set("m", VALUE[1:], expect=Expect(if_match=etag))
    with pytest.raises(Exception, match="has changed"):
        store.set("m", VALUE[2:], expect=Expect(if_match=etag))
    with store.transaction() as tx:
        tx["seen"] = b"%d" % len(tx["m"])
    assert store["seen"] == b"%d" % (len(VALUE) - 1)


def test_a_value_opens_as_a_file_that_others_can_read_in_place(store: Store) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("large", VALUE)
        made.writestr("small", b"hello")
    store.set("archive", archive.getvalue())
    with store.open_value("archive") as file, zipfile.ZipFile(file) as found:
        assert found.read("small") == b"hello"
        assert found.read("large") == VALUE
    with store.open_value("archive") as file:
        assert file.seek(-4, io.SEEK_END) == len(archive.getvalue()) - 4
        assert file.read() == archive.getvalue()[-4:]
        assert file.seek(10**12) == 10**12
        assert file.read(1) == b""
        file.seek(0)
        assert file.read() == archive.getvalue()
    store["short"] = b"short"
    with store.open_value("short") as file:
        assert (file.read(2), file.tell(), file.read()) == (b"sh", 2, b"ort")


def test_files_and_pipes_go_in_and_out_of_the_command_line(store: Store, repo: Path) -> None:
    command = Command(repo)
    (repo / "in").write_bytes(VALUE)
    command("set", "f", "--file", "in")
    command("set", "p", "-", stdin=VALUE)
    command("mset", "-", stdin=b'{"op":"set","key":"b","file":"in"}\n{"op":"del","key":"f"}\n')
    command("get", "p", "-o", "out")
    assert (repo / "out").read_bytes() == VALUE
    assert command("get", "b").out == VALUE
    assert command("get", "b", "--range", "5:25").out == VALUE[5:25]
    assert command("get", "b", "--range", f"{MEBI}:", "-o", "out").out == b""
    assert (repo / "out").read_bytes() == VALUE[MEBI:]
    assert command("get", "b", "--range", ":0").out == b""
    for wrong in ("5", "9:5", "a:b", "-1:5", "1:2:3"):
        command("get", "b", "--range", wrong, code=129)
    (line,) = command("get", "b", "-o", "out", "--json").lines()
    assert line["etag"] == store.entry("b").etag
    assert "value" not in line


def test_several_values_go_into_a_folder_large_ones_among_them(store: Store, repo: Path) -> None:
    store.write({"large": Put(VALUE), "small": Put(b"x")})
    command = Command(repo)
    command("get", "large", "small", "--output-dir", "named")
    command("get", "--prefix", "", "--output-dir", "all")
    for folder in ("named", "all"):
        assert (repo / folder / "large").read_bytes() == VALUE
        assert (repo / folder / "small").read_bytes() == b"x"
    lines = command("get", "large", "small", "--output-dir", "json", "--json").lines()
    assert [(line["key"], line["file"]) for line in lines] == [
        ("large", "large"),
        ("small", "small"),
    ]


@pytest.mark.parametrize("replacement", [None, b"another chunk"])
def test_a_missing_or_wrong_chunk_is_named_and_leaves_no_file(
    store: Store, repo: Path, git: GitRunner, replacement: bytes | None
) -> None:
    store.set("models/m", VALUE)
    store.close()
    lost = _lose_a_chunk(repo, git, replacement)
    command = Command(repo)
    failed = command("get", "models/m", "-o", "out", code=8)
    assert f"value of models/m: chunk {lost} at byte 0" in failed.err
    assert not list(repo.glob("*out*")) and not list(repo.glob(".out*"))
    (repo / "out").write_bytes(b"as it was")
    command("get", "models/m", "-o", "out", code=8)
    assert (repo / "out").read_bytes() == b"as it was"
    with pytest.raises(IntegrityError):
        store.value("models/m")
    assert command("get", "models/m", "--range", f"{len(VALUE) - 9}:").out == VALUE[-9:]


def test_nothing_is_left_when_a_content_fails_half_way(store: Store, repo: Path) -> None:
    class Failing(io.BytesIO):
        def read(self, bytes_max: int | None = -1, /) -> bytes:
            if self.tell() > 2 * MEBI:
                raise OSError(5, "Input/output error")
            return super().read(bytes_max)

    tip = next(store.log()).commit
    with pytest.raises(OSError, match="Input/output error"):
        store.set("m", Failing(VALUE))
    assert next(store.log()).commit == tip
    assert not [name for name in os.listdir(repo / ".git") if "spool" in name]
    assert not list((repo / ".git" / "objects" / "pack").iterdir())
    store.set("m", b"the next write works")
