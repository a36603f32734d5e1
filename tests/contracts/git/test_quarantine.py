"""Hostile packs: each is refused in bounded memory and leaves nothing behind; honest ones become
visible only by adoption.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import zlib
from collections.abc import Iterable
from pathlib import Path

import pytest

from gitkv.git import quarantine_folder
from gitkv.git.journal import adopt_pack
from gitkv.git.object_store import GitObjectStore
from gitkv.git.pack import PackWriter, _entry_header, pack_header
from gitkv.git.process import Git
from gitkv.git.quarantine import PackRefused, Quarantine
from gitkv.git.quarantine_folder import sweep
from gitkv.model.oid import BLOB, TREE, Oid, hash_object
from gitkv.ports import IntakeLimits, QuarantinedPack
from gitkv.testing.world import wait_until

MIB = 1 << 20
_BLOB, _TREE, _REF_DELTA = 3, 2, 7


def _pack(entries: Iterable[bytes], count: int) -> bytes:
    body = pack_header(count) + b"".join(entries)
    return body + hashlib.sha1(body).digest()


def _entry(kind: int, body: bytes, base: bytes = b"") -> bytes:
    return _entry_header(kind, len(body)) + base + zlib.compress(body)


def _written(directory: Path, *bodies: tuple[bytes, bytes]) -> bytes:
    writer = PackWriter(str(directory))
    for kind, body in bodies:
        writer.add(kind, body)
    return b"".join(writer.finish().chunks())


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes((*out, number))


def _repeated(size: int, times: int) -> bytes:
    """A delta that copies a base of `size` bytes (below 16 MiB) `times` times: some bytes that mean
    very many.
    """
    copy = b"\xf0" + size.to_bytes(3, "little")  # copy from offset 0
    return _varint(size) + _varint(size * times) + copy * times


def _received(quarantine: Quarantine, data: bytes, step: int = 1 << 16) -> QuarantinedPack:
    for start in range(0, len(data), step):
        quarantine.feed(data[start : start + step])
    return quarantine.finish()


def _git(bare: Path) -> Git:
    return Git(str(bare), env=os.environ)


def _files(bare: Path) -> list[Path]:
    return [
        path
        for folder in ("objects", "kv")
        for path in (bare / folder).rglob("*")
        if path.is_file()
    ]


def _refusal(bare: Path, data: bytes, limits: IntakeLimits | None = None) -> str:
    with pytest.raises(PackRefused) as caught:
        _received(Quarantine(_git(bare), limits), data)
    assert _files(bare) == []
    assert list((bare / "kv" / "quarantine").glob("*")) == []
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_an_honest_pack_is_invisible_until_adopted_and_nothing_else_stays(bare_repo: Path) -> None:
    value, tree = b"value", b"100644 key\x00" + hash_object(BLOB, b"value")
    quarantine = Quarantine(_git(bare_repo))
    pack = _received(quarantine, _written(bare_repo, (TREE, tree), (BLOB, value)), step=1)
    blob = hash_object(BLOB, value)
    assert pack.oids == tuple(sorted([hash_object(TREE, tree), blob]))
    with (
        GitObjectStore(_git(bare_repo)) as outside,
        GitObjectStore(_git(bare_repo), quarantine_dir=quarantine.objects_dir) as inside,
    ):
        assert inside.read(blob, BLOB) == value
        assert not outside.has(blob)
        adopt_pack(str(bare_repo), pack.pack_path)
        quarantine.discard()
        outside.close()
        assert outside.read(blob, BLOB) == value
    assert {path.suffix for path in _files(bare_repo)} <= {".pack", ".idx", ".rev"}
    subprocess.run(["git", "fsck", "--strict"], cwd=bare_repo, check=True, capture_output=True)


def test_a_discarded_pack_leaves_nothing(bare_repo: Path) -> None:
    quarantine = Quarantine(_git(bare_repo))
    _received(quarantine, _written(bare_repo, (BLOB, b"value")))
    quarantine.discard()
    quarantine.discard()
    assert _files(bare_repo) == []


def test_an_empty_pack_is_valid_and_adopts_nothing(bare_repo: Path) -> None:
    quarantine = Quarantine(_git(bare_repo))
    pack = _received(quarantine, _pack([], 0))
    assert pack.oids == ()
    adopt_pack(str(bare_repo), pack.pack_path)
    quarantine.discard()
    assert _files(bare_repo) == []


def test_adopting_the_same_pack_again_is_harmless(bare_repo: Path) -> None:
    data = _written(bare_repo, (BLOB, b"value"))
    for _ in range(2):
        quarantine = Quarantine(_git(bare_repo))
        adopt_pack(str(bare_repo), _received(quarantine, data).pack_path)
        quarantine.discard()
    subprocess.run(["git", "fsck", "--strict"], cwd=bare_repo, check=True, capture_output=True)


def test_a_thin_pack_is_completed_and_says_which_objects_were_sent(bare_repo: Path) -> None:
    base = os.urandom(500)
    first = Quarantine(_git(bare_repo))
    pack = _received(first, _written(bare_repo, (BLOB, base)))
    adopt_pack(str(bare_repo), pack.pack_path)
    first.discard()
    thin = _pack([_entry(_REF_DELTA, _repeated(500, 2), hash_object(BLOB, base))], 1)
    quarantine = Quarantine(_git(bare_repo))
    pack = _received(quarantine, thin)
    assert pack.oids == (hash_object(BLOB, base * 2),)
    assert pack.bases == (hash_object(BLOB, base),)
    with pytest.raises(PackRefused, match="bytes"):
        _received(Quarantine(_git(bare_repo)), thin + b"x")
    quarantine.discard()


def test_a_thin_pack_without_its_base_is_refused(bare_repo: Path) -> None:
    assert "unresolved delta" in _refusal(
        bare_repo, _pack([_entry(_REF_DELTA, _repeated(500, 2), b"\x01" * 20)], 1)
    )


def test_two_deltas_on_each_other_are_refused(bare_repo: Path) -> None:
    deltas = [_entry(_REF_DELTA, _repeated(500, 2), bytes([number]) * 20) for number in (1, 2)]
    assert "unresolved delta" in _refusal(bare_repo, _pack(deltas, 2))


def test_a_link_to_an_object_that_is_nowhere_is_refused(bare_repo: Path) -> None:
    assert "pack:" in _refusal(
        bare_repo, _written(bare_repo, (TREE, b"100644 key\x00" + b"\x01" * 20))
    )


@pytest.mark.parametrize("name", [b".git", b"..", b".GIT", b"a/b"])
def test_a_tree_with_a_name_git_fears_is_refused(bare_repo: Path, name: bytes) -> None:
    blob = hash_object(BLOB, b"")
    assert _refusal(
        bare_repo, _written(bare_repo, (BLOB, b""), (TREE, b"100644 %b\x00%b" % (name, blob)))
    )


@pytest.mark.parametrize("trailing", [b"\0", b"PACK", b"x" * 5000, b"x" * MIB])
def test_bytes_after_the_pack_are_refused_however_many(bare_repo: Path, trailing: bytes) -> None:
    data = _written(bare_repo, (BLOB, b"value"))
    assert "end" in _refusal(bare_repo, data + trailing)
    with pytest.raises(PackRefused):
        quarantine = Quarantine(_git(bare_repo))
        quarantine.feed(data)
        quarantine.feed(trailing)
        quarantine.finish()


def test_bytes_after_an_empty_pack_are_refused(bare_repo: Path) -> None:
    assert "end" in _refusal(bare_repo, _pack([], 0) + b"x")


@pytest.mark.parametrize("cut", [0, 1, 11, 12, 13, 30, -20, -1])
def test_a_truncated_pack_is_refused(bare_repo: Path, cut: int) -> None:
    assert _refusal(bare_repo, _written(bare_repo, (BLOB, b"some value that is long enough"))[:cut])


@pytest.mark.parametrize("count", [1, 3, 0])
def test_a_wrong_object_count_is_refused(bare_repo: Path, count: int) -> None:
    assert _refusal(bare_repo, _pack([_entry(_BLOB, b"one"), _entry(_BLOB, b"two")], count))


def test_a_wrong_checksum_is_refused(bare_repo: Path) -> None:
    pack = _written(bare_repo, (BLOB, b"value"))
    assert _refusal(bare_repo, pack[:-1] + bytes([pack[-1] ^ 1]))


def test_one_object_twice_is_refused(bare_repo: Path) -> None:
    assert _refusal(bare_repo, _pack([_entry(_BLOB, b"one")] * 2, 2))


def test_too_many_objects_are_refused_by_the_header_alone(bare_repo: Path) -> None:
    quarantine = Quarantine(_git(bare_repo), IntakeLimits(objects_max=1000))
    with pytest.raises(PackRefused, match="at most 1000 objects, got 1001"):
        quarantine.feed(pack_header(1001))
    assert _files(bare_repo) == []


def test_too_many_bytes_are_refused_while_they_come(bare_repo: Path) -> None:
    assert "at most 1000 bytes" in _refusal(
        bare_repo, _written(bare_repo, (BLOB, os.urandom(2000))), IntakeLimits(pack_bytes_max=1000)
    )


def test_a_blob_bomb_streams_through_little_memory(bare_repo: Path) -> None:
    bomb = _pack([_entry(_BLOB, bytes(256 * MIB))], 1)
    assert len(bomb) < MIB
    quarantine = Quarantine(
        _git(bare_repo), IntakeLimits(memory_bytes_max=160 * MIB, blob_bytes_max=256 * MIB)
    )
    pack = _received(quarantine, bomb)
    with GitObjectStore(_git(bare_repo), quarantine_dir=quarantine.objects_dir) as store:
        assert list(store.sizes(pack.oids)) == [
            256 * MIB
        ]  # so the rules can refuse it without reading it
    quarantine.discard()


def test_objects_are_as_large_as_their_headers_say_at_most(bare_repo: Path) -> None:
    assert "inflates to 2097152 bytes" in _refusal(
        bare_repo,
        _pack([_entry(_BLOB, bytes(2 * MIB))], 1),
        IntakeLimits(blob_bytes_max=2 * MIB - 1),
    )
    assert _files(bare_repo) == []


def test_a_tree_bomb_meets_the_memory_limit(bare_repo: Path) -> None:
    assert "memory" in _refusal(
        bare_repo,
        _pack([_entry(_TREE, bytes(256 * MIB))], 1),
        IntakeLimits(memory_bytes_max=160 * MIB, other_bytes_max=256 * MIB),
    )


def test_a_delta_bomb_meets_the_memory_limit(bare_repo: Path) -> None:
    base = bytes(MIB // 2)
    bomb = _pack(
        [
            _entry(_BLOB, base),
            _entry(_REF_DELTA, _repeated(len(base), 1000), hash_object(BLOB, base)),
        ],
        2,
    )
    assert len(bomb) < MIB
    assert "memory" in _refusal(
        bare_repo, bomb, IntakeLimits(memory_bytes_max=160 * MIB, blob_bytes_max=1 << 30)
    )


def test_a_processor_time_limit_ends_git(bare_repo: Path) -> None:
    bomb = _pack([_entry(_BLOB, bytes(100 * MIB))] * 40, 40)
    assert "limit" in _refusal(bare_repo, bomb, IntakeLimits(cpu_s_max=1))


def test_a_pack_that_takes_too_long_is_refused(bare_repo: Path) -> None:
    bomb = _pack([_entry(_BLOB, bytes(100 * MIB))] * 20, 20)
    assert "within" in _refusal(bare_repo, bomb, IntakeLimits(work_s_max=0.1))


def test_what_a_killed_daemon_left_is_swept(
    bare_repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quarantine = Quarantine(_git(bare_repo))
    quarantine.feed(
        _written(bare_repo, (BLOB, b"value"))[:20]
    )  # git runs and makes files while the sweep goes on
    (Path(quarantine.objects_dir) / "link").symlink_to(bare_repo / "refs")
    monkeypatch.setattr(quarantine_folder, "_live", set())  # as the next process finds it
    try:
        assert sweep(str(bare_repo)) == [os.path.basename(quarantine.objects_dir)]
        # git may have made its folder anew meanwhile: that goes with a later sweep
        wait_until(lambda: sweep(str(bare_repo)) == [], 20)
    except BaseException:
        quarantine.discard()
        raise
    assert (bare_repo / "refs" / "heads").is_dir()
    quarantine.discard()


def test_a_repository_path_with_a_colon_still_finds_its_own_objects(tmp_path: Path) -> None:
    bare = tmp_path / 'odd:na"me.git'
    subprocess.run(["git", "init", "--quiet", "--bare", bare], check=True)
    blob = subprocess.run(
        ["git", "hash-object", "-w", "--stdin"],
        cwd=bare,
        input=b"here",
        capture_output=True,
        check=True,
    ).stdout
    tree = b"100644 key\x00" + bytes.fromhex(blob.decode())
    quarantine = Quarantine(_git(bare))
    pack = _received(quarantine, _written(tmp_path, (TREE, tree)))
    assert pack.oids == (Oid(hash_object(TREE, tree)),)
    quarantine.discard()


def _chain(length: int, *, named: bool) -> bytes:
    """A blob, and deltas each made from the one before it."""
    base = os.urandom(64)
    entries, body, start, last = [_entry(_BLOB, base)], base, 0, 0
    for number in range(length):
        instructions = b"\x90\x40" + b"\x04" + number.to_bytes(4, "big")  # copy 64, add 4
        delta = _varint(len(body)) + _varint(68) + instructions
        start = last + len(entries[-1])
        before = hash_object(BLOB, body) if named else _back(start - last)
        entries.append(
            _entry_header(_REF_DELTA if named else 6, len(delta)) + before + zlib.compress(delta)
        )
        body, last = body[:64] + number.to_bytes(4, "big"), start
    return _pack(entries, len(entries))


def _back(distance: int) -> bytes:
    out = [distance & 127]
    while distance := distance >> 7:
        distance -= 1
        out.append(distance & 127 | 128)
    return bytes(out[::-1])


@pytest.mark.parametrize("named", [False, True], ids=["by place", "by id"])
def test_a_chain_of_deltas_has_a_greatest_length(bare_repo: Path, named: bool) -> None:
    quarantine = Quarantine(_git(bare_repo), IntakeLimits(chain_max=20))
    assert len(_received(quarantine, _chain(20, named=named)).oids) == 21
    quarantine.discard()

    refusal = _refusal(bare_repo, _chain(21, named=named), IntakeLimits(chain_max=20))

    assert "chains of at most 20 deltas" in refusal


def test_a_chain_by_place_is_refused_before_git_has_read_it(bare_repo: Path) -> None:
    quarantine = Quarantine(_git(bare_repo))

    with pytest.raises(PackRefused, match="chains of at most 250 deltas") as caught:
        quarantine.feed(_chain(300, named=False)[:-100])

    assert caught.value.exit_code == 3
    assert _files(bare_repo) == []


def test_many_middling_objects_are_refused_by_what_they_come_to(bare_repo: Path) -> None:
    pack = _pack([_entry(_BLOB, bytes(MIB) + bytes([number])) for number in range(50)], 50)
    quarantine = Quarantine(_git(bare_repo), IntakeLimits(inflated_bytes_max=51 * MIB))
    assert len(_received(quarantine, pack).oids) == 50
    quarantine.discard()

    refusal = _refusal(bare_repo, pack, IntakeLimits(inflated_bytes_max=50 * MIB))

    assert "inflate to more than 52428800 bytes" in refusal


def test_what_deltas_make_counts_before_git_makes_it(bare_repo: Path) -> None:
    base = os.urandom(MIB)
    deltas = [
        _entry(_REF_DELTA, _repeated(MIB, 50 + number), hash_object(BLOB, base))
        for number in range(40)
    ]
    data = _pack([_entry(_BLOB, base), *deltas], 41)
    quarantine = Quarantine(_git(bare_repo), IntakeLimits(inflated_bytes_max=1 << 30))

    with pytest.raises(PackRefused, match="inflate to more than"):
        quarantine.feed(data[:-20])

    assert _files(bare_repo) == []
