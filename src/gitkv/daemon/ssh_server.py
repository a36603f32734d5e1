"""The SSH face of Stargate: the listening sockets, and the two commands there are.

Only public keys of the policy's principals (`ssh_login`), only `git-receive-pack` and
`git-upload-pack` of this one repository; no shell, environment, subsystem, forwarding or terminal.
What a connection may cost is bounded in `ssh_connection`, how many there may be in `door`. A
session's bytes are pumped by `receive_session` and `fetch_session`.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Coroutine

import asyncssh

from gitkv.daemon.fetch_session import serve_fetch
from gitkv.daemon.preflight import FROM_BACKUP, read_secret
from gitkv.daemon.prompt_socket import listen_promptly
from gitkv.daemon.receive_session import serve_push
from gitkv.daemon.serving import Serving
from gitkv.daemon.ssh_connection import BoundedChannel, BoundedConnection
from gitkv.daemon.ssh_login import Lobby, Login, admit, principal_of
from gitkv.daemon.turn_session import Resting
from gitkv.errors import GitKvError, IntegrityError, ToolError
from gitkv.git.shortage import shortage_of
from gitkv.model.configuration import DEFAULTS, Configuration
from gitkv.model.event import LoginRefused, SessionFailed, SessionRefused

LOOK_AROUND_S = 5.0

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
# What a client's own acts raise in the middle of a session
_CLIENTS_DOING = (
    asyncssh.Error,
    asyncssh.SignalReceived,
    asyncssh.BreakReceived,
    asyncssh.TerminalSizeChanged,
    ConnectionError,
    asyncio.IncompleteReadError,
)

Fail = Callable[[BaseException], None]


class _Door(asyncio.Protocol):
    """A connection that was just accepted: it costs next to nothing until it is let in."""

    def __init__(self, server: SshServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._server.receive(transport)


class SshServer:
    """Listens until closed. `names`: the repository paths that are answered, without slashes at
    their ends.
    """

    def __init__(
        self,
        serving: Serving,
        names: frozenset[str],
        host_key: asyncssh.SSHKey,
        fail: Fail,
        configuration: Configuration = DEFAULTS,
    ) -> None:
        self._configuration = configuration
        self._fail = fail
        self._serving, self._stargate = serving, serving.stargate
        self._names = names
        self._host_key = host_key
        self._lobby = Lobby(serving.stargate, configuration.logins, configuration.connections)
        self._sessions: dict[asyncio.Task[object], str] = {}
        self._resting = Resting()
        self._servers: list[asyncio.Server] = []
        self._options: asyncssh.SSHServerConnectionOptions | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, host: str, port: int) -> int:
        """The port it listens on. Raises OSError."""
        loop = asyncio.get_running_loop()
        sockets = listen_promptly(host, port)
        self._options = self._make_options()
        for listening in sockets:
            self._servers.append(await loop.create_server(lambda: _Door(self), sock=listening))
        self.keep(self._look_around())
        bound: int = sockets[0].getsockname()[1]
        return bound

    def keep(self, work: Coroutine[None, None, None]) -> None:
        """Runs it beside the sessions; when it fails, the daemon does."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.append(task)
        task.add_done_callback(self._on_end)

    def _on_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def receive(self, transport: asyncio.Transport) -> None:
        """Lets a new connection in, or closes it."""
        peername = transport.get_extra_info("peername")
        if not peername:  # it was gone before it was accepted
            transport.abort()
            return
        address, port = peername[:2]
        login = Login(self._lobby, f"{address}:{port}")
        if not admit(self._lobby, login, address).admitted:
            transport.abort()
            self._lobby.strangers(LoginRefused(f"{address}:{port}", why="too many wait to log in"))
            return
        assert self._options is not None
        connection = BoundedConnection(
            asyncio.get_running_loop(),
            self._options,
            login,
            login.fault,
            lambda stage: self._lobby.waiting.advance(login, stage),
        )
        transport.set_protocol(connection)
        connection.connection_made(transport)

    def _make_options(self) -> asyncssh.SSHServerConnectionOptions:
        return asyncssh.SSHServerConnectionOptions(
            server_host_keys=[self._host_key],
            process_factory=self._serve,
            encoding=None,
            allow_pty=False,
            agent_forwarding=False,
            x11_forwarding=False,
            login_timeout=self._configuration.logins.timeout_s,
            keepalive_interval=30,
            encryption_algs=_ENCRYPTION,
            kex_algs=_EXCHANGE,
            compression_algs=None,
            server_version="Stargate",
            gss_host=None,
        )

    async def _look_around(self) -> None:
        while True:
            await asyncio.sleep(LOOK_AROUND_S)
            self._lobby.send_idle_away()
            self._stargate.lease.fence()
            if not all(server.is_serving() for server in self._servers):
                raise ToolError("a listening socket is closed: nobody could connect any more")

    async def drain(self, timeout_s: float) -> None:
        """Stops listening, waits for the sessions under way, and ends those that are left."""
        for task in self._tasks:
            task.cancel()
        for server in self._servers:
            server.close()
        self._resting.end()
        if self._sessions:
            await asyncio.wait(self._sessions, timeout=timeout_s)
        for session in self._sessions:
            session.cancel()

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        task = asyncio.current_task()
        assert task is not None
        connection = process.channel.get_connection()
        login = connection.get_owner()
        assert isinstance(login, Login)
        self._sessions[task] = login.principal
        self._lobby.logged_in.begin(login)
        try:
            code = await self._run(process, login.principal)
            process.exit(code)
        except _CLIENTS_DOING:
            process.channel.abort()
        # A defect of ours ends one session and is logged; asyncssh would end the connection.
        except Exception as error:
            short = self._report_failure(login.principal, error)
            if not short:
                process.channel.abort()
                return
            process.stderr.write(f"Stargate's machine: {short}: try again later\n".encode())
            process.exit(128)
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:  # nothing that anybody could go on after
            self._fail(error)
            process.channel.abort()
        finally:
            del self._sessions[task]
            self._lobby.logged_in.end(login)

    def _report_failure(self, who: str, error: Exception) -> str:
        """What the machine is short of, if that is why."""
        known, short = isinstance(error, GitKvError), shortage_of(error)
        detail = str(error) if known else f"{type(error).__name__}: {error}"
        hint = (error.hint if isinstance(error, GitKvError) else "") or (
            f"the machine is short of something: {short}"
            if short
            else "look at the disk and at git fsck"
            if known or isinstance(error, OSError)
            else "a defect of git-kv: report it, with this line"
        )
        self._stargate.report(SessionFailed(who, detail, short, hint))
        return short

    async def _run(self, process: asyncssh.SSHServerProcess[bytes], who: str) -> int:
        principal = principal_of(self._stargate, process.get_extra_info("key_blob"))
        if principal is None or principal.name != who:  # the policy moved on since the log-in
            why = "the key does not open this connection any more"
            self._stargate.report(SessionRefused(who, why))
            process.stderr.write(b"this key is not valid any more\n")
            return 128
        crowd = self._crowd(who, is_admin=principal.admin)
        if crowd:
            process.stderr.write(b"too many sessions at once: expected at most %d\n" % crowd)
            return 128
        match = _COMMAND.fullmatch(process.command or "") if process.subsystem is None else None
        if match is None or match[2].strip("/") not in self._names:
            command = (process.command or "")[:100]
            self._stargate.report(SessionRefused(who, command=command))
            process.stderr.write(b"Stargate serves git push and git fetch of one repository only\n")
            return 128
        assert isinstance(process.channel, BoundedChannel)
        process.channel.open_window()
        if match[1] == "receive-pack":
            bounds = self._configuration.push
            return await serve_push(process, self._serving, who, self._resting, bounds)
        return await serve_fetch(process, self._serving, self._configuration.fetch)

    def _crowd(self, who: str, *, is_admin: bool) -> int:
        """The limit that this session is beyond, 0 when it is not."""
        counts = Counter(self._sessions.values())
        limits = self._configuration.sessions
        if counts[who] > limits.of_one_max:
            return limits.of_one_max
        limit = limits.most if is_admin else limits.all_max
        return limit if counts.total() > limit else 0


def load_host_key(git_dir: str) -> asyncssh.SSHKey:
    """The SSH host key. Raises IntegrityError when there is none that only the daemon can read."""
    content = read_secret(git_dir, "host_key")
    try:
        return asyncssh.import_private_key(content)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError) as error:
        raise IntegrityError(
            f"{git_dir}/kv/host_key is not an SSH host key without a passphrase: {error}",
            hint=FROM_BACKUP,
        ) from None
