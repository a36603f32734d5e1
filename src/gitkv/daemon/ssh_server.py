"""The SSH face of Stargate: who gets in, and which two commands there are.

Only public keys of the policy's principals, only `git-receive-pack` and `git-upload-pack` of this
one repository; no shell, environment, subsystem, forwarding or terminal. A session's bytes are
pumped by `receive_session` and `fetch_session`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

import asyncssh

from gitkv.daemon.fetch_session import serve_fetch
from gitkv.daemon.prompt_socket import PromptSocket, listen_promptly
from gitkv.daemon.receive_session import serve_push
from gitkv.gateway.stargate import Stargate
from gitkv.model.identity import PublicKey

LOGIN_TIMEOUT_S = 20
WAITING_MAX = 128  # connections that have not logged in yet
CONNECTIONS_MAX = 128  # that have
CONNECTIONS_OF_ONE_MAX = 32  # of one principal: nobody keeps out those who could stop them
SESSIONS_MAX = 16  # at once, of one principal

_COMMAND = re.compile(r"git[ -](receive-pack|upload-pack) '?/?([A-Za-z0-9._/~-]{1,255})'?")
# Ed25519 and AES-GCM first: on one core the handshake is the larger part of a small push.
_ENCRYPTION = [
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
]
_EXCHANGE = [
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "diffie-hellman-group16-sha512",
]

Session = Callable[["asyncssh.SSHServerProcess[bytes]", Stargate, str], Awaitable[int]]


class Connections:
    """Who stands at the door and who is in: a stranger takes nobody's place."""

    def __init__(self) -> None:
        self._waiting: dict[PolicyKeys, asyncssh.SSHServerConnection] = {}  # the oldest first
        self._inside: dict[PolicyKeys, str] = {}  # to the principal's name

    def knock(self, one: PolicyKeys, connection: asyncssh.SSHServerConnection) -> None:
        """When too many wait, the one that has waited longest goes: whoever has a key is through in
        a moment.
        """
        if len(self._waiting) >= WAITING_MAX:
            self._waiting.pop(next(iter(self._waiting))).abort()
        self._waiting[one] = connection

    def enter(self, one: PolicyKeys, principal: str) -> bool:
        """Whether there is room for one more of this principal's."""
        self._waiting.pop(one, None)
        if (
            len(self._inside) >= CONNECTIONS_MAX
            or list(self._inside.values()).count(principal) >= CONNECTIONS_OF_ONE_MAX
        ):
            return False
        self._inside[one] = principal
        return True

    def leave(self, one: PolicyKeys) -> None:
        """Harmless for one that was sent away before."""
        self._waiting.pop(one, None)
        self._inside.pop(one, None)


class PolicyKeys(asyncssh.SSHServer):
    """One connection: knows after the log-in which principal it belongs to."""

    def __init__(self, stargate: Stargate, connections: Connections) -> None:
        self._stargate = stargate
        self._connections = connections
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._connections.knock(self, conn)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.leave(self)

    def auth_completed(self) -> None:
        assert self._connection is not None
        who = str(self._connection.get_extra_info("principal"))
        if not self._connections.enter(self, who):
            self._stargate.report(
                "login.refused",
                {"peer": _peer(self._connection), "who": who, "why": "too many connections"},
            )
            self._connection.disconnect(
                asyncssh.DISC_TOO_MANY_CONNECTIONS, "too many connections at once"
            )

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        name = principal_of(self._stargate, key.public_data)
        if name is None or self._connection is None:
            self._stargate.report(
                "login.refused", {"peer": _peer(self._connection), "key": key.get_fingerprint()}
            )
            return False
        self._connection.set_extra_info(principal=name, key_blob=key.public_data)
        return True


def principal_of(stargate: Stargate, key_blob: bytes) -> str | None:
    """The principal whose SSH key this is, if the key may be used now."""
    now_s = stargate.clock.now_s()
    for principal in stargate.policy().policy.principals:
        if any(_opens(key, key_blob, now_s) for key in principal.keys):
            return principal.name
    return None


def _opens(key: PublicKey, blob: bytes, now_s: int) -> bool:
    return (
        key.kind == "ssh"
        and key.material == blob
        and not key.revoked
        and not 0 < key.not_after_s <= now_s
    )


class SshServer:
    """Listens until closed. `names`: the repository paths that are answered, without slashes at
    their ends.
    """

    def __init__(self, stargate: Stargate, names: frozenset[str], host_key: bytes) -> None:
        self._stargate = stargate
        self._names = names
        self._host_key = host_key
        self._connections = Connections()
        self._sessions: dict[asyncio.Task[object], str] = {}
        self._acceptors: list[asyncssh.SSHAcceptor] = []

    async def start(self, host: str, port: int) -> int:
        """The port it listens on. Raises OSError."""
        for listening in listen_promptly(host, port):
            self._acceptors.append(await self._accept_from(listening))
        return self._acceptors[0].get_port()

    async def _accept_from(self, listening: PromptSocket) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            sock=listening,
            server_factory=lambda: PolicyKeys(self._stargate, self._connections),
            server_host_keys=[asyncssh.import_private_key(self._host_key)],
            process_factory=self._serve,
            encoding=None,
            allow_pty=False,
            agent_forwarding=False,
            x11_forwarding=False,
            login_timeout=LOGIN_TIMEOUT_S,
            keepalive_interval=30,
            encryption_algs=_ENCRYPTION,
            kex_algs=_EXCHANGE,
            compression_algs=None,
            server_version="Stargate",
            gss_host=None,
        )

    async def drain(self, timeout_s: float) -> None:
        """Stops listening, and waits for the sessions under way."""
        for acceptor in self._acceptors:
            acceptor.close()
        if self._sessions:
            await asyncio.wait(self._sessions, timeout=timeout_s)

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        task = asyncio.current_task()
        assert task is not None
        who = str(process.get_extra_info("principal"))
        self._sessions[task] = who
        try:
            code = await self._run(process, who)
            process.exit(code)
        except (asyncssh.Error, ConnectionError, asyncio.IncompleteReadError):
            process.channel.abort()
        # A defect of ours ends one session and is logged; asyncssh would end the connection.
        except Exception as error:
            self._stargate.report(
                "session.failed", {"who": who, "error": f"{type(error).__name__}: {error}"}
            )
            process.channel.abort()
        finally:
            del self._sessions[task]

    async def _run(self, process: asyncssh.SSHServerProcess[bytes], who: str) -> int:
        if list(self._sessions.values()).count(who) > SESSIONS_MAX:
            process.stderr.write(b"too many sessions at once: expected at most %d\n" % SESSIONS_MAX)
            return 128
        if (
            principal_of(self._stargate, process.get_extra_info("key_blob")) != who
        ):  # the policy has moved on since the log-in
            self._stargate.report(
                "session.refused",
                {"who": who, "why": "the key does not open this connection any more"},
            )
            process.stderr.write(b"this key is not valid any more\n")
            return 128
        match = _COMMAND.fullmatch(process.command or "") if process.subsystem is None else None
        if match is None or match[2].strip("/") not in self._names:
            self._stargate.report(
                "session.refused", {"who": who, "command": (process.command or "")[:100]}
            )
            process.stderr.write(b"Stargate serves git push and git fetch of one repository only\n")
            return 128
        session: Session = serve_push if match[1] == "receive-pack" else serve_fetch
        return await session(process, self._stargate, who)


def _peer(connection: asyncssh.SSHServerConnection | None) -> str:
    peer = connection.get_extra_info("peername") if connection is not None else None
    return f"{peer[0]}:{peer[1]}" if peer else ""
