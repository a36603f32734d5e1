"""The log-in: which keys open the door, and one connection's way through it.

A key opens it when the policy has it for a principal and it is neither revoked nor over. What is
logged of a stranger is one line a connection, and a few a second of all of them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace

import asyncssh

from gitkv.daemon.allowance import Allowance
from gitkv.daemon.door import LoggedIn, Ruling, Waiting, source_of
from gitkv.daemon.ssh_connection import LOGIN_FAILURES_MAX, BoundedConnection
from gitkv.errors import GitKvError
from gitkv.gateway.stargate import Stargate
from gitkv.model.configuration import ConnectionLimits, LoginLimits
from gitkv.model.event import (
    ConnectionDropped,
    ConnectionFailed,
    Event,
    LoginFailed,
    LoginRefused,
    PythonError,
    Report,
)
from gitkv.model.identity import PublicKey
from gitkv.model.policy import Principal
from gitkv.model.public_key import is_sound

STRANGER_LINES_BURST, STRANGER_LINES_PER_S = 20, 1


class StrangerLog:
    """Log lines that anybody on the network can cause: some at once, then one a second. `unlogged`
    on a line says how many before it were left out.
    """

    def __init__(self, report: Report, now: Callable[[], float] = time.monotonic) -> None:
        self._report = report
        self._allowance = Allowance(STRANGER_LINES_BURST, STRANGER_LINES_PER_S, now)
        self._unlogged = 0

    def __call__(self, event: LoginRefused | LoginFailed | PythonError) -> None:
        if not self._allowance.take():
            self._unlogged += 1
            return
        unlogged, self._unlogged = self._unlogged, 0
        self._report(replace(event, unlogged=unlogged or None))


class Lobby:
    """Who waits and who is in, of one server."""

    def __init__(
        self, stargate: Stargate, logins: LoginLimits, connections: ConnectionLimits
    ) -> None:
        self.stargate = stargate
        self.strangers = StrangerLog(stargate.report)
        self.waiting: Waiting[Login] = Waiting(random.random, logins)
        self.logged_in: LoggedIn[Login] = LoggedIn(time.monotonic, connections)

    def send_idle_away(self) -> None:
        """To be called now and then."""
        for one in self.logged_in.overdue():
            one.send_away("no command for too long")


class Login(asyncssh.SSHServer):
    """One connection: knows after the log-in which principal it belongs to."""

    def __init__(self, lobby: Lobby, peer: str) -> None:
        self._lobby = lobby
        self._peer = peer
        self._connection: BoundedConnection | None = None
        self._refused_keys: list[str] = []
        self.principal = ""  # until the log-in

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        assert isinstance(conn, BoundedConnection)
        self._connection = conn

    def connection_lost(self, exc: Exception | None) -> None:
        self._lobby.waiting.leave(self)
        self._lobby.logged_in.leave(self)
        if self.principal:
            if isinstance(exc, asyncssh.ProtocolError):
                self._report(ConnectionDropped(self._peer, self.principal, str(exc)))
        elif self._refused_keys or isinstance(exc, asyncssh.DisconnectError):
            why = "" if self._refused_keys and exc is None else str(exc or "")
            keys = tuple(self._refused_keys)
            self._lobby.strangers(LoginRefused(self._peer, keys=keys, why=why))

    def auth_completed(self) -> None:
        assert self._connection is not None
        self._lobby.waiting.log_in(self)
        who = str(self._connection.get_extra_info("principal"))
        is_admin = bool(self._connection.get_extra_info("is_admin"))
        ruling = self._lobby.logged_in.enter(self, who, is_admin=is_admin)
        if not ruling.admitted:
            self._report(LoginRefused(self._peer, who, why="too many connections"))
            self._disconnect(asyncssh.DISC_TOO_MANY_CONNECTIONS, "too many connections at once")
            return
        self.principal = who
        if ruling.leaves is not None:
            ruling.leaves.send_away("idle while others come")

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        principal = principal_of(self._lobby.stargate, key.public_data)
        if principal is None or self._connection is None:
            if len(self._refused_keys) <= LOGIN_FAILURES_MAX:
                self._refused_keys.append(key.get_fingerprint())
            return False
        self._connection.set_extra_info(
            principal=principal.name, is_admin=principal.admin, key_blob=key.public_data
        )
        return True

    def send_away(self, why: str) -> None:
        """Ends a connection that does nothing wrong."""
        self._disconnect(asyncssh.DISC_BY_APPLICATION, why)

    def abort(self) -> None:
        """Ends a connection that waits for its log-in, without a word."""
        if self._connection is not None:
            self._connection.abort()

    def fault(self, error: BaseException) -> None:
        """Something failed on our side; the connection ends."""
        hint = error.hint if isinstance(error, GitKvError) else ""
        told = f"{type(error).__name__}: {error}"
        if self.principal:
            self._report(ConnectionFailed(self._peer, self.principal, told, hint))
        else:
            self._lobby.strangers(LoginFailed(self._peer, told, hint))

    def _disconnect(self, code: int, why: str) -> None:
        self._lobby.logged_in.leave(self)
        if self._connection is not None:
            self._connection.disconnect(code, why)

    def _report(self, event: Event) -> None:
        self._lobby.stargate.report(event)


def admit(lobby: Lobby, login: Login, address: str) -> Ruling[Login]:
    """Whether a connection from `address` may wait for its log-in; another may have to go."""
    ruling = lobby.waiting.arrive(login, source_of(address))
    if ruling.leaves is not None:
        ruling.leaves.abort()
    return ruling


def principal_of(stargate: Stargate, key_blob: bytes) -> Principal | None:
    """The principal whose SSH key this is, if the key may be used now."""
    now_s = stargate.own_key.clock.now_s()
    for principal in stargate.gate.policy().policy.principals:
        if any(_opens(key, key_blob, now_s) for key in principal.keys):
            return principal
    return None


def _opens(key: PublicKey, blob: bytes, now_s: int) -> bool:
    return (
        key.kind == "ssh"
        and key.material == blob
        and not key.revoked
        and not 0 < key.not_after_s <= now_s
        and is_sound(key)
    )
