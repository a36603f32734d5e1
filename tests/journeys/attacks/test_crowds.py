"""Crowds at the door: neither strangers nor writers keep the others out."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

import asyncssh
import pytest
from support.forge import FLUSH, Forge, talk

from gitkv.model.configuration import DEFAULTS
from gitkv.testing.world import Person, World

ONE_WAY_S = 0.075  # of a client at the other end of an ocean
CROWD = 600


def _greeting(world: World, person: Person) -> bytes:
    return talk(world, person, "git-receive-pack '/gate.git'", FLUSH).stdout


async def _log_in(port: int, person: Person) -> asyncssh.SSHClientConnection:
    return await asyncssh.connect(
        "127.0.0.1",
        port,
        username="git",
        client_keys=[str(person.key)],
        known_hosts=None,
        config=None,
    )


def test_strangers_who_only_stand_at_the_door_keep_nobody_out(world: World, forge: Forge) -> None:
    with ExitStack() as held:
        for _ in range(DEFAULTS.logins.waiting_max + 20):
            held.enter_context(socket.create_connection(("127.0.0.1", world.port), timeout=10))
        assert b"refs/kv/main" in _greeting(world, forge.person)
    forge.push_good()


class _Ocean:
    """A relay that delivers everything late, in order."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    async def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(ONE_WAY_S)
        back, forth = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, forth]
        self._start(self._carry(reader, forth))
        self._start(self._carry(back, writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                asyncio.get_running_loop().call_later(ONE_WAY_S, writer.write, data)
        asyncio.get_running_loop().call_later(ONE_WAY_S, writer.close)

    def _start(self, work: object) -> None:
        task = asyncio.ensure_future(work)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _knock(world: World, address: str, held: list[socket.socket]) -> None:
    """Bare connections, one after another, as fast as they are taken."""
    while len(held) < CROWD:
        one = socket.socket()
        held.append(one)
        one.setblocking(False)
        one.bind((address, 0))
        with suppress(OSError):
            await asyncio.get_running_loop().sock_connect(one, ("127.0.0.1", world.port))


async def _log_in_from_afar(world: World, person: Person, attackers: list[str]) -> bytes:
    """What a distant client gets to read while strangers knock without end."""
    held: list[socket.socket] = []
    ocean = _Ocean(world.port)
    relay = await asyncio.start_server(ocean.accept, "127.0.0.1", 0)
    crowd = [asyncio.create_task(_knock(world, address, held)) for address in attackers]
    try:
        while len(held) < DEFAULTS.logins.waiting_max:
            await asyncio.sleep(0)
        connection = await _log_in(relay.sockets[0].getsockname()[1], person)
        done = await connection.run("git-receive-pack '/gate.git'", input=FLUSH, encoding=None)
        connection.abort()
        return bytes(done.stdout or b"")
    finally:
        for task in crowd:
            task.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)
        for one in held:
            one.close()
        relay.close()
        await ocean.close()


@pytest.mark.parametrize("count", [1, 6])
def test_a_distant_client_gets_in_while_strangers_knock_without_end(
    world: World, forge: Forge, count: int
) -> None:
    attackers = [f"127.0.0.{number}" for number in range(2, 2 + count)]

    greeting = asyncio.run(_log_in_from_afar(world, forge.person, attackers))

    assert b"refs/kv/main" in greeting
    assert world.log.read_bytes().count(b"too many wait to log in") < CROWD / 4
    forge.push_good()


async def _log_in_until_refused(world: World, person: Person, others: Person) -> tuple[int, bytes]:
    """How many connections one principal holds at most, and what another is greeted with then.

    A slow run may see an old one sent away instead of a new one refused.
    """
    held: list[asyncssh.SSHClientConnection] = []
    try:
        while len(held) < DEFAULTS.connections.all_max and not any(one.is_closed() for one in held):
            held.append(await _log_in(world.port, person))
            await held[-1].run("id")  # refused as a command, by a connection that stands
    except (asyncssh.Error, OSError):
        pass
    try:
        greeting = await asyncio.to_thread(_greeting, world, others)
        return sum(not one.is_closed() for one in held), greeting
    finally:
        for one in held:
            one.abort()


def test_one_principal_does_not_take_every_place(world: World, forge: Forge) -> None:
    count, greeting = asyncio.run(_log_in_until_refused(world, forge.person, world.person("alice")))

    assert DEFAULTS.connections.of_one_max - 1 <= count <= DEFAULTS.connections.of_one_max
    assert b"refs/kv/main" in greeting


async def _fill(world: World, people: list[Person], then: list[Person]) -> list[bytes]:
    held: list[asyncssh.SSHClientConnection] = []
    try:
        for person in people:
            for _ in range(DEFAULTS.connections.of_one_max):
                with suppress(asyncssh.Error, OSError):
                    held.append(await _log_in(world.port, person))
        return [await asyncio.to_thread(_greeting, world, person) for person in then]
    finally:
        for one in held:
            one.abort()


def test_writers_who_hold_all_they_may_keep_out_neither_another_nor_the_admin(
    tmp_path: Path,
) -> None:
    crowded = World(tmp_path).create(writers=("bob", "carol", "dave", "erin", "zoe"))
    try:
        crowded.start()
        people = [crowded.person(name) for name in ("bob", "carol", "dave", "erin")]
        then = [crowded.person(name) for name in ("zoe", "alice")]

        greetings = asyncio.run(_fill(crowded, people, then))
    finally:
        crowded.close()

    assert all(b"refs/kv/main" in greeting for greeting in greetings)
