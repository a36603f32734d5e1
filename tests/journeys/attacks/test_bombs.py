"""Packs of some kilobytes that ask for hours or gigabytes: chains of deltas, many middling objects,
deltas that make much of little. Each is refused by what it would cost, before it costs it.
"""

from __future__ import annotations

import hashlib
import zlib

import pytest
from support.forge import (
    PLAIN_CAPABILITIES,
    Forge,
    assert_refused,
    commands,
    entry,
    pack_of_entries,
)

from gitkv.testing.world import World

pytestmark = pytest.mark.usefixtures("unharmed")

MIB = 1 << 20
BLOB, OFS_DELTA, REF_DELTA = 3, 6, 7
CPU_S_MAX = 5  # of the daemon and its children; a bomb let in costs a minute or more


def children_cpu_s(world: World) -> float:
    """Processor time that the daemon and all its ended children have used."""
    assert world.daemon is not None
    with open(f"/proc/{world.daemon.pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / 100


def number(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def distance(value: int) -> bytes:
    out = [value & 127]
    while value := value >> 7:
        value -= 1
        out.append(value & 127 | 128)
    return bytes(out[::-1])


def oid(body: bytes) -> bytes:
    return hashlib.sha1(b"blob %d\0" % len(body) + body).digest()


def chain(length: int, *, named: bool) -> bytes:
    """A value, and values each made from the one before it."""
    body = b"v" * 64
    entries = [entry(BLOB, body)]
    for count in range(length):
        made = b"v" * 64 + b"%08d" % count
        text = number(len(body)) + number(72) + b"\x90\x40" + b"\x08" + made[64:]
        kind, before = (REF_DELTA, oid(body)) if named else (OFS_DELTA, distance(len(entries[-1])))
        entries.append(entry(kind, text, before=before))
        body = made
    return pack_of_entries(entries)


def many_zeros(count: int) -> bytes:
    """Values of 16 MiB, all different, in some hundred bytes each... as far as deflate goes."""
    packer = zlib.compressobj(9)
    head = b"".join([packer.compress(bytes(MIB)) for _ in range(15)])
    entries = []
    for at in range(count):
        last = packer.copy()
        body = head + last.compress(bytes(MIB - 8) + b"%08d" % at) + last.flush()
        entries.append(entry(BLOB, b"", size=16 * MIB)[: -len(zlib.compress(b"", 1))] + body)
    return pack_of_entries(entries)


def copies(count: int) -> bytes:
    """Deltas that each make 64 MiB of a base of 64 KiB."""
    base = bytes(1 << 16)
    deltas = [
        number(1 << 16) + number((1024 + at) << 16) + b"\x80" * (1024 + at) for at in range(count)
    ]
    return pack_of_entries(
        [entry(BLOB, base), *[entry(REF_DELTA, text, before=oid(base)) for text in deltas]]
    )


BOMBS = {
    "a chain by place": lambda: chain(10_000, named=False),
    "a chain by id": lambda: chain(10_000, named=True),
    "a chain of 251": lambda: chain(251, named=True),
    "500 times 16 MiB": lambda: many_zeros(500),
    "deltas that make 64 MiB each": lambda: copies(200),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_by_what_it_would_cost(world: World, forge: Forge, name: str) -> None:
    pack, before = BOMBS[name](), children_cpu_s(world)
    updates = forge.transaction().updates

    answered = forge.send(commands(updates, PLAIN_CAPABILITIES) + pack)

    assert_refused(answered, 3, "pack.refused")
    assert children_cpu_s(world) - before < CPU_S_MAX


@pytest.mark.parametrize("named", [False, True], ids=["by place", "by id"])
def test_a_chain_that_git_could_have_made_is_judged_by_what_is_in_it(
    forge: Forge, named: bool
) -> None:
    updates = forge.transaction().updates

    answered = forge.send(commands(updates, PLAIN_CAPABILITIES) + chain(250, named=named))

    assert not answered.accepted and "pack.refused" not in answered.rules
