"""The daemon: one process for one repository, from start-up recovery to a clean drain."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import os
import signal
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from urllib.parse import urlsplit

from gitkv.daemon.ssh_server import SESSIONS_MAX, SESSIONS_OF_ADMINS, SshServer, load_host_key
from gitkv.errors import ToolError, UnavailableError
from gitkv.gateway import background_audit, maintain
from gitkv.gateway.fitness import MIRROR_SETTING, read_settings
from gitkv.gateway.mirror import Mirror
from gitkv.gateway.recover import recover
from gitkv.gateway.stargate import Adapters, Report, Stargate, Step
from gitkv.git.object_store import GitObjectStore
from gitkv.git.process import Git
from gitkv.git.ref_store import PackedRefStore
from gitkv.git.repository import discover
from gitkv.git.urls import refuse_secret
from gitkv.sign.gateway_key import Ed25519Signer
from gitkv.sign.verifier import SignatureVerifier
from gitkv.telemetry.clock import SystemClock

DRAIN_TIMEOUT_S = 30.0
WORKER_PAUSE_S = 1.0
# An audit makes many small values and no circles: the collector's usual eagerness costs it a tenth
# of its time.
_COLLECTOR_THRESHOLDS = (50_000, 20, 50)
LOCAL_MIRROR_INTERVAL_S = 0.05
REMOTE_MIRROR_INTERVAL_S = 10.0  # GitHub asks for at most six pushes a minute to one repository


class Service(NamedTuple):
    """How to serve. `port` 0 picks a free one; `mirror_interval_s` None suits the kind of mirror;
    `on_ready` gets the port.
    """

    git_dir: str
    host: str
    port: int
    env: Mapping[str, str]
    mirror_interval_s: float | None = None
    on_ready: Callable[[int], None] = lambda port: None


def open_adapters(git_dir: str, env: Mapping[str, str]) -> Adapters:
    """The adapters of a Stargate repository. Raises ToolError when it is none."""
    try:
        with open(os.path.join(git_dir, "kv", "gateway_key"), "rb") as file:
            signer = Ed25519Signer(file.read())
    except FileNotFoundError:
        raise ToolError(
            f"{git_dir} is not a Stargate repository", hint="create one with: git kv stargate init"
        ) from None
    git = Git(git_dir, env=env).sealed()
    verifier = SignatureVerifier(os.path.join(git_dir, "kv", "gnupg"), env)
    return Adapters(
        git, GitObjectStore(git), PackedRefStore(git_dir), signer, verifier, SystemClock()
    )


def lock_repository(git_dir: str) -> int:
    """The daemon's own lock, held by an open file until the process ends. Raises UnavailableError
    when another daemon runs.
    """
    fd = os.open(
        os.path.join(git_dir, "kv", "daemon.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
    )
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise UnavailableError(
            f"another Stargate serves {git_dir}", hint="stop it first, or connect to it"
        ) from None
    return fd


def serve(service: Service, report: Report, step: Step = lambda name: None) -> None:
    """Serves until SIGTERM or SIGINT, then drains. Raises IntegrityError when the repository is not
    fit to serve.
    """
    gc.set_threshold(*_COLLECTOR_THRESHOLDS)
    adapters = open_adapters(service.git_dir, service.env)
    lock = lock_repository(service.git_dir)
    try:
        stargate = Stargate(adapters, report, step)
        recover(stargate)
        asyncio.run(_serve(service, stargate, _Workers(service, stargate)))
    finally:
        adapters.objects.close()
        adapters.refs.close()
        os.close(lock)


async def _serve(service: Service, stargate: Stargate, workers: _Workers) -> None:
    stopping = asyncio.Event()
    # A slow client's push holds two threads that only wait: enough for every session, so that none
    # waits for another.
    asyncio.get_running_loop().set_default_executor(
        ThreadPoolExecutor(2 * (SESSIONS_MAX + SESSIONS_OF_ADMINS), thread_name_prefix="session")
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    host_key = load_host_key(os.path.join(service.git_dir, "kv", "host_key"))
    server = SshServer(stargate, _names(service.git_dir, stargate), host_key)
    try:
        port = await server.start(service.host, service.port)
    except OSError as error:
        raise UnavailableError(
            f"cannot listen on {service.host}:{service.port}: {error.strerror}"
        ) from error
    workers.start()
    stargate.report(
        "serving",
        {
            "ssh": f"{service.host}:{port}",
            "repository": service.git_dir,
            "namespaces": stargate.namespaces(),
        },
    )
    service.on_ready(port)
    await stopping.wait()
    stargate.report("draining", {})
    await server.drain(DRAIN_TIMEOUT_S)
    await asyncio.get_running_loop().run_in_executor(None, workers.stop)
    stargate.report("stopped", {})


def _names(git_dir: str, stargate: Stargate) -> frozenset[str]:
    """The paths a client may ask for: the directory's name, and the path of the policy's push
    URL.
    """
    name = os.path.basename(os.path.normpath(git_dir))
    url_path = urlsplit(stargate.policy().policy.push_url).path.strip("/")
    return frozenset(
        {name, name.removesuffix(".git"), url_path, url_path.removesuffix(".git")} - {""}
    )


class _Workers:
    """The threads beside the server: background audit, mirror, maintenance."""

    def __init__(self, service: Service, stargate: Stargate) -> None:
        self._stargate = stargate
        self._stopping = threading.Event()
        discover(service.git_dir, service.env)  # git says whose repository it is
        url = read_settings(stargate.git).mirror
        refuse_secret(url, MIRROR_SETTING)
        interval = service.mirror_interval_s
        if interval is None:
            interval = (
                LOCAL_MIRROR_INTERVAL_S
                if url.startswith(("/", "file://"))
                else REMOTE_MIRROR_INTERVAL_S
            )
        git = Git(service.git_dir, env=service.env)
        mirror = Mirror(stargate, git, url, interval)
        works: dict[str, Callable[[], None]] = {
            "audit": lambda: background_audit.run(stargate, self._stopping),
            "maintenance": lambda: maintain.run(stargate, self._stopping),
        }
        if url:
            mirror.begin()
            works["mirror"] = lambda: mirror.run(self._stopping)
        else:
            stargate.report("mirror.none", {})
            stargate.release_writes()
        self._threads = [
            threading.Thread(target=self._keep, args=(name, work), name=name)
            for name, work in works.items()
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Lets every worker finish what it is at."""
        self._stopping.set()
        self._stargate.announce_move()
        for thread in self._threads:
            thread.join(DRAIN_TIMEOUT_S)

    def _keep(self, name: str, work: Callable[[], None]) -> None:
        """A worker outlives whatever fails in it, a defect of ours too: without it nothing would be
        published or rolled up any more.
        """
        while not self._stopping.is_set():
            try:
                work()
            except Exception as error:
                self._stargate.report(
                    f"{name}.failed", {"detail": f"{type(error).__name__}: {error}"}
                )
                self._stopping.wait(WORKER_PAUSE_S)
