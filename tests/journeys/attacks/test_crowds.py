"""Crowds at the door: neither strangers nor one writer keep the others out."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack

import asyncssh
from support.forge import FLUSH, Forge, talk

from gitkv.daemon.ssh_server import CONNECTIONS_MAX, CONNECTIONS_OF_ONE_MAX, WAITING_MAX
from gitkv.testing.world import Person, World


def _greeting(world: World, person: Person) -> bytes:
    return talk(world, person, "git-receive-pack '/gate.git'", FLUSH).stdout


def test_strangers_who_only_stand_at_the_door_keep_nobody_out(world: World, forge: Forge) -> None:
    with ExitStack() as held:
        for _ in range(WAITING_MAX + 20):
            held.enter_context(socket.create_connection(("127.0.0.1", world.port), timeout=10))
        assert b"refs/kv/main" in _greeting(world, forge.person)
    forge.push_good()


async def _log_in_until_refused(world: World, person: Person, others: Person) -> tuple[int, bytes]:
    """How many connections one principal gets, and what another is greeted with meanwhile."""
    held: list[asyncssh.SSHClientConnection] = []
    try:
        while len(held) < CONNECTIONS_MAX:
            one = await asyncssh.connect(
                "127.0.0.1",
                world.port,
                username="git",
                client_keys=[str(person.key)],
                known_hosts=None,
                config=None,
            )
            held.append(one)
            await one.run("id")  # refused as a command, by a connection that stands
        return len(held), b""
    except (asyncssh.Error, OSError):
        return len(held), await asyncio.to_thread(_greeting, world, others)
    finally:
        for one in held:
            one.abort()


def test_one_principal_does_not_take_every_place(world: World, forge: Forge) -> None:
    count, greeting = asyncio.run(_log_in_until_refused(world, forge.person, world.person("alice")))

    assert CONNECTIONS_OF_ONE_MAX <= count <= CONNECTIONS_OF_ONE_MAX + 1
    assert b"refs/kv/main" in greeting
    assert b"too many connections" in world.log.read_bytes()
