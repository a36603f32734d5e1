"""TCP sockets that acknowledge what arrives at once.

An ssh client collects small packets (Nagle) until the last one is acknowledged, and Linux likes to
delay that by 40 ms in the hope of an answer to send along. A log-in has two such moments: together
they cost more than all the cryptography and the push itself.
"""

from __future__ import annotations

import socket
from typing import Any

_QUICKACK = getattr(socket, "TCP_QUICKACK", None)  # Linux; elsewhere these are plain sockets
_BACKLOG = 100


class PromptSocket(socket.socket):
    """A listening socket, or one connection of it. Linux forgets the wish whenever it sends, so it
    is told again after each read.
    """

    def accept(self) -> tuple[socket.socket, Any]:
        fd, address = self._accept()  # type: ignore[attr-defined]
        connection = PromptSocket(self.family, self.type, self.proto, fileno=fd)
        return connection, address

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        data = super().recv(size, flags)
        if _QUICKACK is not None:
            self.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        return data


def listen_promptly(host: str, port: int) -> list[PromptSocket]:
    """A listening socket for each address of `host`, all on one port; 0 picks it. Raises
    OSError.
    """
    sockets: list[PromptSocket] = []
    try:
        for family, kind, number, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            one = PromptSocket(family, kind, number)
            sockets.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            chosen = port or (sockets[0].getsockname()[1] if len(sockets) > 1 else 0)
            one.bind((address[0], chosen, *address[2:]))
            one.listen(_BACKLOG)
    except BaseException:
        for one in sockets:
            one.close()
        raise
    return sockets
