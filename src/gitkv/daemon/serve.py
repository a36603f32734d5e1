"""The daemon: one process for one repository, from start-up recovery to a clean drain."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import NamedTuple
from urllib.parse import urlsplit

import asyncssh

from gitkv.daemon.ending import (
    Ending,
    Stop,
    as_error,
    is_fatal,
)
from gitkv.daemon.opening import open_repository
from gitkv.daemon.preflight import (
    cannot_listen,
    check_limits,
    check_port_file,
    write_port_file,
)
from gitkv.daemon.running import SessionThreads, on_loop_error, run
from gitkv.daemon.serving import Serving
from gitkv.daemon.ssh_login import StrangerLog
from gitkv.daemon.ssh_server import SshServer, load_host_key
from gitkv.daemon.workers import Workers
from gitkv.gateway.followers.audit import Audit
from gitkv.gateway.followers.follower import Follower
from gitkv.gateway.followers.maintain import Maintenance
from gitkv.gateway.followers.mirror import Mirror
from gitkv.gateway.push_room import PushRoom
from gitkv.gateway.recover import recover
from gitkv.gateway.stargate import Stargate
from gitkv.gateway.telling import Step
from gitkv.git.fitness import MIRROR_SETTING
from gitkv.git.process import Git
from gitkv.git.remote import GitRemote
from gitkv.git.repository import discover
from gitkv.git.sole_lease import SoleLease
from gitkv.git.urls import refuse_secret
from gitkv.model.configuration import DEFAULTS, Configuration
from gitkv.model.event import DaemonDraining, DaemonServing, DaemonStopped, MirrorNone, Report

# An audit makes many small values and no circles: the collector's usual eagerness costs it a tenth
# of its time.
_COLLECTOR_THRESHOLDS = (50_000, 20, 50)


class Service(NamedTuple):
    """How to serve. `port` 0 picks a free one; `port_file` "" for none. `starting_git`: see
    `ending.starting_git`.
    """

    git_dir: str
    host: str
    port: int
    env: Mapping[str, str]
    port_file: str = ""
    starting_git: int = 0
    configuration: Configuration = DEFAULTS


def serve(service: Service, report: Report, step: Step = lambda name: None) -> None:
    """Serves until SIGTERM or SIGINT, then drains, within 30 s; the lock ends with the process.

    Raises IntegrityError when the repository is not fit to serve, UsageError when the process or
    the address is not, UnavailableError when it may be later.
    """
    gc.set_threshold(*_COLLECTOR_THRESHOLDS)
    if service.port_file:
        check_port_file(service.port_file)
    check_limits(report)
    lease = SoleLease(service.git_dir)
    opened = open_repository(service.git_dir, service.env, step, lease)
    host_key = load_host_key(service.git_dir)
    lease.take()
    ending = Ending(report, lambda: _remove(service.port_file), service.configuration.shutdown)
    try:
        stargate = Stargate(opened.adapters, report, step)
        push = service.configuration.push
        stargate.room = PushRoom(push.room_bytes, push.room_of_one_bytes)
        recover(stargate)
        run(_serve(service, Serving(stargate, opened.git), host_key, ending), ending)
    except BaseException as error:
        ending.begin_after(error)
        if is_fatal(error) and not isinstance(error, KeyboardInterrupt):  # a person's Ctrl-C
            raise as_error(error) from error
        raise
    finally:
        opened.close()
        ending.finish()


async def _serve(
    service: Service, serving: Serving, host_key: asyncssh.SSHKey, ending: Ending
) -> None:
    stargate = serving.stargate
    loop, report = asyncio.get_running_loop(), stargate.report
    configuration, timing = service.configuration, service.configuration.shutdown
    # A slow client's push holds two threads that only wait: enough for every session, so that none
    # waits for another.
    loop.set_default_executor(SessionThreads(ending, 2 * configuration.sessions.most))
    stop = Stop(ending)
    loop.set_exception_handler(partial(on_loop_error, StrangerLog(report), ending))
    names = _names(service.git_dir, stargate)
    server = SshServer(serving, names, host_key, ending.fail, configuration)
    mirror = _mirror(service, stargate)
    followers = _followers(configuration, stargate, mirror)
    workers = Workers(followers, report, ending.fail, retry=configuration.retry)
    stargate.announcements.on_move(workers.wake)
    if mirror is not None:
        await asyncio.to_thread(mirror.begin)
    try:
        port = await server.start(service.host, service.port)
    except (OSError, UnicodeError) as error:
        raise cannot_listen(service.host, service.port, error) from error
    drain_s = timing.fatal_children_s / 2
    try:
        workers.start()
        if service.starting_git:
            server.keep(stop.watch(service.starting_git))
        at = f"{service.host}:{port}"
        report(DaemonServing(at, service.git_dir, stargate.gate.namespaces()))
        if service.port_file:
            write_port_file(service.port_file, port)
        stop.is_serving = True
        await stop.wait()
        drain_s = timing.drain_s
        report(DaemonDraining(stop.why))
    except BaseException as error:
        ending.fail(error)
        raise
    finally:
        await server.drain(drain_s)
        await asyncio.to_thread(workers.stop, timing.process_s)
    report(DaemonStopped())


def _followers(
    configuration: Configuration, stargate: Stargate, mirror: Mirror | None
) -> list[Follower]:
    upkeep, retry = configuration.upkeep, configuration.retry
    own: list[Follower] = [
        Audit(stargate.auditing, stargate.hold, retry=retry),
        Maintenance(stargate.host, stargate.report, upkeep=upkeep, retry=retry),
    ]
    return own if mirror is None else [*own, mirror]


def _mirror(service: Service, stargate: Stargate) -> Mirror | None:
    discover(service.git_dir, service.env)  # git says whose repository it is
    url = stargate.host.settings().mirror
    if not url:
        stargate.report(MirrorNone())
        stargate.hold.end()
        return None
    refuse_secret(url, MIRROR_SETTING)
    # The operator's own credential helpers, ssh and proxies are for the mirror
    git = Git(service.git_dir, env=service.env).of_service()
    timing, retry = service.configuration.mirror, service.configuration.retry
    return Mirror(stargate.mirroring, GitRemote(git, url), timing, retry=retry)


def _remove(path: str) -> None:
    if path:
        with suppress(OSError):
            os.unlink(path)


def _names(git_dir: str, stargate: Stargate) -> frozenset[str]:
    """The paths a client may ask for: the directory's name, and the path of the policy's push
    URL.
    """
    name = os.path.basename(os.path.normpath(git_dir))
    url_path = urlsplit(stargate.gate.policy().policy.push_url).path.strip("/")
    return frozenset(
        {name, name.removesuffix(".git"), url_path, url_path.removesuffix(".git")} - {""}
    )
