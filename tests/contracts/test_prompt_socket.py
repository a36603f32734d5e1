"""Sockets that acknowledge at once: they listen where they are told, and a client's small packets
are not kept waiting.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from gitkv.daemon.prompt_socket import PromptSocket, listen_promptly

DELAYED_S = 0.040  # how long Linux likes to sit on an acknowledgement
EXCHANGES = 5


@pytest.fixture
def listening() -> Iterator[PromptSocket]:
    [one] = listen_promptly("127.0.0.1", 0)
    with one:
        yield one


def test_what_is_accepted_is_as_prompt_as_the_listener(listening: PromptSocket) -> None:
    with socket.create_connection(listening.getsockname()) as client:
        connection, address = listening.accept()
        with connection:
            assert isinstance(connection, PromptSocket)
            assert address == client.getsockname()


@pytest.mark.skipif(
    not hasattr(socket, "TCP_QUICKACK"), reason="only Linux lets a program ask for it"
)
def test_a_client_that_collects_small_packets_never_waits_for_a_delayed_acknowledgement(
    listening: PromptSocket,
) -> None:
    with socket.create_connection(listening.getsockname()) as client:
        connection, _ = listening.accept()
        with connection:
            waits = [_seconds_of_two_small_packets(client, connection) for _ in range(EXCHANGES)]
    assert (
        min(waits[1:]) < DELAYED_S / 2
    )  # the first is prompt anywhere; of the others, some may have met a busy machine


def _seconds_of_two_small_packets(client: socket.socket, server: socket.socket) -> float:
    """A question in two packets, then its answer: the second waits in the client until the first is
    acknowledged.
    """
    started = time.perf_counter()
    client.send(b"a")
    client.send(b"b")
    got = b""
    while len(got) < 2:
        got += server.recv(2)
    server.send(b"answer")
    assert client.recv(6) == b"answer"
    return time.perf_counter() - started


def test_a_port_that_is_taken_is_an_os_error_and_leaves_nothing_open(
    listening: PromptSocket,
) -> None:
    with pytest.raises(OSError, match="in use"):
        listen_promptly("127.0.0.1", listening.getsockname()[1])


def test_every_address_of_a_name_gets_the_same_port() -> None:
    sockets = listen_promptly("localhost", 0)
    try:
        assert len({one.getsockname()[1] for one in sockets}) == 1
    finally:
        for one in sockets:
            one.close()
