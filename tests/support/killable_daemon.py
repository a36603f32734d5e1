"""Starts the real daemon with faults planted at named steps: `killable_daemon.py FAULT... -- DIR
--ssh HOST:PORT --port-file FILE`.

A fault is `kill:STEP:N`, `meet:STEP:N`, `hold:STEP:FILE` or `exit:STEP:N`. kill: SIGKILL to itself
the N-th time the step is reached. meet: the first N threads that reach the step wait for each
other. hold: whoever reaches the step waits until FILE exists; FILE with the suffix .reached says
that somebody waits. exit: the thread that reaches the step the N-th time dies.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from gitkv.daemon.serve import Service, serve
from gitkv.errors import GitKvError
from gitkv.telemetry.log import EventLog

Plant = Callable[[int], None]  # gets how often the step has been reached
_PATIENCE_S = 30.0


def _kill(detail: str) -> Plant:
    def act(times: int) -> None:
        if times == int(detail):
            os.kill(os.getpid(), signal.SIGKILL)

    return act


def _meet(detail: str) -> Plant:
    barrier = threading.Barrier(int(detail), timeout=_PATIENCE_S)

    def act(times: int) -> None:
        if times <= barrier.parties:
            barrier.wait()

    return act


def _hold(detail: str) -> Plant:
    def act(times: int) -> None:
        Path(detail).with_suffix(".reached").touch()
        deadline = time.monotonic() + _PATIENCE_S
        while not Path(detail).exists() and time.monotonic() < deadline:
            time.sleep(0.01)

    return act


def _exit(detail: str) -> Plant:
    """The thread that gets here dies, as no handler of ours expects."""

    def act(times: int) -> None:
        if times == int(detail):
            raise SystemExit("planted")

    return act


_PLANTS = {"kill": _kill, "meet": _meet, "hold": _hold, "exit": _exit}


class Steps:
    """The daemon's step hook."""

    def __init__(self, orders: list[str]) -> None:
        self._reached: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._plants: dict[str, Plant] = {}
        for order in orders:
            kind, step, detail = order.split(":", 2)
            self._plants[step] = _PLANTS[kind](detail)

    def __call__(self, name: str) -> None:
        with self._lock:
            self._reached[name] += 1
            times = self._reached[name]
        if name in self._plants:
            self._plants[name](times)


def main(arguments: list[str]) -> int:
    at = arguments.index("--")
    parser = argparse.ArgumentParser()
    parser.add_argument("directory")
    parser.add_argument("--ssh", required=True)
    parser.add_argument("--port-file", required=True)
    parser.add_argument("--mirror-interval", type=float, default=None)
    args = parser.parse_args(arguments[at + 1 :])
    host, _, port = args.ssh.rpartition(":")

    service = Service(
        args.directory,
        host,
        int(port),
        dict(os.environ),
        args.mirror_interval,
        args.port_file,
    )
    try:
        serve(service, EventLog("json"), Steps(arguments[:at]))
    except GitKvError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
