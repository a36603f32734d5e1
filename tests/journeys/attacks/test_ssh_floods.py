"""What one connection may cost: floods of everything SSH lets a client send, before and after the
log-in. The daemon stays small, writes few lines, and serves the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Coroutine
from typing import Any

import asyncssh
import pytest
from asyncssh.constants import (
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_WINDOW_ADJUST,
    MSG_DEBUG,
    MSG_GLOBAL_REQUEST,
    MSG_IGNORE,
    MSG_KEXINIT,
    MSG_USERAUTH_REQUEST,
)
from asyncssh.packet import Boolean, Byte, NameList, String, UInt32
from support.forge import Forge

from gitkv.testing.world import Person, World, wait_until

MEMORY_MIB = 40  # what one connection may make the daemon grow by
LINES = 30  # and what it may make it log

Connection = asyncssh.SSHClientConnection


async def _connect(world: World, person: Person, **more: Any) -> Connection:
    return await asyncssh.connect(
        "127.0.0.1",
        world.port,
        username="git",
        client_keys=[str(person.key)],
        known_hosts=None,
        config=None,
        **more,
    )


async def _channel(connection: Connection) -> asyncssh.SSHClientChannel[bytes]:
    """A session's channel without a command."""
    chan: asyncssh.SSHClientChannel[bytes] = asyncssh.SSHClientChannel(
        connection, asyncio.get_running_loop(), "strict", None, "strict", 1 << 30, 1 << 15
    )
    await chan._open(b"session")
    chan._session = asyncssh.SSHClientSession()
    return chan


async def _is_cut_off(connection: Connection) -> bool:
    """Whether the server ends the connection, now that it was flooded."""
    try:
        await asyncio.wait_for(connection.wait_closed(), 20)
    except TimeoutError:
        return False
    finally:
        connection.abort()
    return True


async def _flood(
    world: World, person: Person, send: Callable[[Connection], Coroutine[Any, Any, None]]
) -> bool:
    connection = await _connect(world, person)
    with contextlib.suppress(asyncssh.Error, OSError):
        await send(connection)
    return await _is_cut_off(connection)


async def _pace(connection: Connection, number: int) -> None:
    """Lets bytes out, and answers in, now and then."""
    if number % 100 == 0:
        await asyncio.sleep(0)
        if connection.is_closed():
            raise asyncssh.ConnectionLost("cut off")


async def _global_requests(connection: Connection) -> None:
    for number in range(6_000):
        connection.send_packet(MSG_GLOBAL_REQUEST, String("x" * 1000), Boolean(False))
        await _pace(connection, number)


async def _keepalives(connection: Connection) -> None:
    for number in range(6_000):
        connection.send_packet(MSG_GLOBAL_REQUEST, String("keepalive@openssh.com"), Boolean(False))
        await _pace(connection, number)


async def _forwards(connection: Connection) -> None:
    for number in range(6_000):
        listen = String("127.0.0.1") + UInt32(0)
        connection.send_packet(MSG_GLOBAL_REQUEST, String("tcpip-forward"), Boolean(False), listen)
        await _pace(connection, number)


async def _ignored(connection: Connection) -> None:
    for number in range(6_000):
        connection.send_packet(MSG_IGNORE, String(b"x" * 100))
        await _pace(connection, number)


async def _debug(connection: Connection) -> None:
    for number in range(6_000):
        connection.send_packet(MSG_DEBUG, Boolean(True), String("x" * 100), String(""))
        await _pace(connection, number)


async def _key_exchanges(connection: Connection) -> None:
    for _ in range(2000):
        connection._send_kexinit()
        connection._kexinit_sent = True
        while not connection._kex_complete:
            await asyncio.sleep(0.001)
            if connection.is_closed():
                return


async def _channel_requests(connection: Connection, name: str, rest: bytes) -> None:
    chan = await _channel(connection)
    for number in range(6_000):
        chan.send_packet(MSG_CHANNEL_REQUEST, String(name), Boolean(False), rest)
        await _pace(connection, number)


async def _variables(connection: Connection) -> None:
    chan = await _channel(connection)
    for number in range(6_000):
        pair = String(f"NAME{number}") + String("x" * 1000)
        chan.send_packet(MSG_CHANNEL_REQUEST, String("env"), Boolean(False), pair)
        await _pace(connection, number)


async def _one_huge_variable(connection: Connection) -> None:
    for _ in range(8):
        chan = await _channel(connection)
        pair = String("NAME") + String("x" * 200_000)
        chan.send_packet(MSG_CHANNEL_REQUEST, String("env"), Boolean(False), pair)
        await asyncio.sleep(0)


async def _data_without_command(connection: Connection) -> None:
    for _ in range(200):
        chan = await _channel(connection)
        for _ in range(64):
            chan.send_packet(MSG_CHANNEL_DATA, String(bytes(1 << 15)))
        await asyncio.sleep(0)


async def _window_adjusts(connection: Connection) -> None:
    chan = await _channel(connection)
    for number in range(40_000):
        chan.send_packet(MSG_CHANNEL_WINDOW_ADJUST, UInt32(1))
        await _pace(connection, number)


FLOODS: dict[str, Callable[[Connection], Coroutine[Any, Any, None]]] = {
    "global requests": _global_requests,
    "keepalives": _keepalives,
    "forwarded ports": _forwards,
    "ignored messages": _ignored,
    "debug messages": _debug,
    "key exchanges": _key_exchanges,
    "variables": _variables,
    "huge variables": _one_huge_variable,
    "data without a command": _data_without_command,
    "window adjustments": _window_adjusts,
    "terminals": lambda one: _channel_requests(
        one, "pty-req", String("x" * 500) + bytes(16) + String("")
    ),
    "X11": lambda one: _channel_requests(
        one, "x11-req", bytes(1) + String("MIT") + String("00") + bytes(4)
    ),
    "agents": lambda one: _channel_requests(one, "auth-agent-req@openssh.com", b""),
    "subsystems": lambda one: _channel_requests(one, "subsystem", String("sftp")),
    "signals": lambda one: _channel_requests(one, "signal", String("TERM")),
    "window sizes": lambda one: _channel_requests(one, "window-change", bytes(16)),
    "unknown requests": lambda one: _channel_requests(one, "x" * 1000, b""),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_after_the_log_in_ends_the_connection_and_nothing_else(
    world: World, forge: Forge, name: str, rss_mib: Callable[[], float]
) -> None:
    before, lines = rss_mib(), _lines(world)

    assert asyncio.run(_flood(world, forge.person, FLOODS[name]))

    assert rss_mib() - before < MEMORY_MIB
    assert _lines(world) - lines <= LINES
    forge.push_good()


async def _open_channels(world: World, person: Person) -> int:
    """How many channels without a command one connection gets."""
    connection = await _connect(world, person)
    count = 0
    try:
        for _ in range(3000):
            await _channel(connection)
            count += 1
    except (asyncssh.Error, OSError):
        pass
    connection.abort()
    return count


def test_a_connection_gets_ten_channels(
    world: World, forge: Forge, rss_mib: Callable[[], float]
) -> None:
    before = rss_mib()

    assert asyncio.run(_open_channels(world, forge.person)) == 10

    assert rss_mib() - before < MEMORY_MIB
    forge.push_good()


async def _small_messages(connection: Connection, want: bytes) -> None:
    """A fetch that asks for the same commit again and again, two bytes a message."""
    chan = await _channel(connection)
    await chan._make_request(b"exec", String("git-upload-pack '/gate.git'"))
    for number in range(100_000):
        at = 2 * number % len(want)
        chan.send_packet(MSG_CHANNEL_DATA, String(want[at : at + 2]))
        await _pace(connection, number)


def test_a_command_that_is_fed_byte_by_byte_ends(
    world: World, forge: Forge, rss_mib: Callable[[], float]
) -> None:
    want = b"0032want " + bytes(forge.tip().ledger.oid).hex().encode() + b"\n"
    before = rss_mib()

    assert asyncio.run(_flood(world, forge.person, lambda one: _small_messages(one, want)))

    assert rss_mib() - before < MEMORY_MIB


def test_a_client_that_does_not_read_costs_no_memory(
    world: World, forge: Forge, rss_mib: Callable[[], float]
) -> None:
    big = forge.transaction({b"big:%d" % n: _put(1 << 20) for n in range(48)})
    assert forge.push(big).accepted
    before = rss_mib()

    async def fetch() -> None:
        connection = await _connect(world, forge.person)
        chan = await _channel(connection)
        await chan._make_request(b"exec", String("git-upload-pack '/gate.git'"))
        transport = connection._transport
        assert transport is not None
        transport.pause_reading()
        want = b"want %b no-progress ofs-delta" % bytes(big.ledger).hex().encode()
        data = b"%04x%b\n0000" % (len(want) + 5, want) + b"0009done\n"
        chan.send_packet(MSG_CHANNEL_DATA, String(data))
        for _ in range(30):
            await asyncio.sleep(0.1)
            assert rss_mib() - before < MEMORY_MIB
        connection.abort()

    asyncio.run(fetch())
    forge.push_good()


def _put(size: int) -> Any:
    import os

    from gitkv.ledger.plan import Put

    return Put(os.urandom(size))


async def _try_keys(world: World, count: int) -> tuple[int, str]:
    """How many keys one connection may try, and how it ends."""
    tried = 0

    class Client(asyncssh.SSHClient):
        def public_key_auth_requested(self) -> asyncssh.SSHKey | None:
            nonlocal tried
            if tried == count:
                return None
            tried += 1
            return keys[tried % len(keys)]

    keys = [asyncssh.generate_private_key("ssh-ed25519") for _ in range(3)]
    try:
        await asyncssh.connect(
            "127.0.0.1",
            world.port,
            username="git",
            client_factory=Client,
            client_keys=None,
            known_hosts=None,
            config=None,
            agent_path=None,
        )
    except (asyncssh.Error, OSError) as error:
        return tried, str(error)
    raise AssertionError("a stranger's key opened the door")


def test_a_connection_may_try_six_keys_and_leaves_one_line(world: World, forge: Forge) -> None:
    lines = _lines(world)

    tried, why = asyncio.run(_try_keys(world, 600))

    assert tried <= 7, why
    assert "Too many authentication failures" in why
    wait_until(lambda: _lines(world) == lines + 1, 10)
    forge.push_good()


def _raw_packet(payload: bytes) -> bytes:
    padding = 16 - (len(payload) + 5) % 8
    return struct.pack(">IB", len(payload) + padding + 1, padding) + payload + bytes(padding)


def _kexinit(names: int) -> bytes:
    lists = [NameList([b"a%d" % n for n in range(names)])] * 10
    return Byte(MSG_KEXINIT) + bytes(16) + b"".join(lists) + bytes(5)


BEFORE_LOG_IN = {
    "a huge first key exchange": _raw_packet(_kexinit(3000)),
    "key exchanges": _raw_packet(_kexinit(2)) * 500,
    "ignored messages": _raw_packet(Byte(MSG_IGNORE) + String(b"x")) * 5000,
    "log-ins in the clear": _raw_packet(Byte(MSG_USERAUTH_REQUEST) + String("git")) * 500,
    "garbage": bytes(200_000),
}


@pytest.mark.parametrize("name", BEFORE_LOG_IN)
def test_a_flood_before_the_log_in_is_cut_off(
    world: World, forge: Forge, name: str, rss_mib: Callable[[], float]
) -> None:
    before, lines = rss_mib(), _lines(world)

    with socket.create_connection(("127.0.0.1", world.port), timeout=15) as one:
        try:
            one.sendall(b"SSH-2.0-flood\r\n" + BEFORE_LOG_IN[name])
            while one.recv(1 << 16):
                pass
        except ConnectionError:
            pass

    assert rss_mib() - before < MEMORY_MIB
    assert _lines(world) - lines <= 2
    forge.push_good()


@pytest.mark.parametrize("first", [b"SSH-1.0-old\r\n", b"GET / HTTP/1.1\r\n\r\n", b"x" * 9000])
def test_whoever_is_no_ssh_client_is_cut_off(world: World, forge: Forge, first: bytes) -> None:
    with socket.create_connection(("127.0.0.1", world.port), timeout=15) as one:
        one.sendall(first)
        try:
            while one.recv(1 << 16):
                pass
        except ConnectionError:
            pass
    forge.push_good()


def _lines(world: World) -> int:
    return world.log.read_bytes().count(b"\n")
