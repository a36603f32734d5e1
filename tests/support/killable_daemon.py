"""Starts the real daemon with faults planted at named steps: `killable_daemon.py FAULT... -- DIR
--ssh HOST:PORT --port-file FILE`.

A fault is `kill:STEP:N`, `hold:STEP:FILE`, `exit:STEP:N`, `raise:STEP:ERROR` or `end:HOW:`. kill:
SIGKILL to itself the N-th time the step is reached. hold: whoever reaches the step waits until FILE
exists; FILE with the suffix .reached says that somebody waits. exit: the thread that reaches the
step the N-th time dies. raise: whoever reaches the step raises ERROR; `ERROR@N`: from the N-th time
on. end: the end of the interpreter sleeps, or keeps all threads from running (`hogs`), for ever.

A step is one that the daemon reports, or `MODULE.NAME` or `MODULE.CLASS.NAME` below `gitkv`: the
beginning of that function.
"""

from __future__ import annotations

import argparse
import atexit
import errno
import functools
import importlib
import itertools
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
from gitkv.model.configuration import Configuration, MirrorTiming, ShutdownTiming
from gitkv.telemetry.log import EventLog

Plant = Callable[[int], None]  # gets how often the step has been reached
_PATIENCE_S = 30.0


def _kill(detail: str) -> Plant:
    def act(times: int) -> None:
        if times == int(detail):
            os.kill(os.getpid(), signal.SIGKILL)

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


class Planted(BaseException):
    """An error that no handler of ours expects."""


_ERRORS: dict[str, Callable[[str], BaseException]] = {
    error.__name__: error
    for error in (Planted, SystemExit, KeyboardInterrupt, MemoryError, OSError, RuntimeError)
}
_ERRORS["EMFILE"] = lambda text: OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def _raise(detail: str) -> Plant:
    name, _, first = detail.partition("@")

    def act(times: int) -> None:
        if times >= int(first or 1):
            raise _ERRORS[name]("planted")

    return act


_ENDS: dict[str, Callable[[], object]] = {
    "sleeps": lambda: time.sleep(300),
    "hogs": lambda: sum(itertools.repeat(0)),
}
_PLANTS = {"raise": _raise, "kill": _kill, "hold": _hold, "exit": _exit}


class Steps:
    """The daemon's step hook."""

    def __init__(self, orders: list[str]) -> None:
        self._reached: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._plants: dict[str, Plant] = {}
        for order in orders:
            kind, step, detail = order.split(":", 2)
            if kind == "end":
                atexit.register(_ENDS[step])
                continue
            self._plants[step] = _PLANTS[kind](detail)
            if "." in step:
                self._wrap(step)

    def __call__(self, name: str) -> None:
        with self._lock:
            self._reached[name] += 1
            times = self._reached[name]
        if name in self._plants:
            self._plants[name](times)

    def _wrap(self, path: str) -> None:
        """The function at this path reports its beginning as a step."""
        words = path.split(".")
        depth = next(n for n, word in enumerate(words) if word[:1].isupper() or n == len(words) - 1)
        owner: object = importlib.import_module(".".join(["gitkv", *words[:depth]]))
        for word in words[depth:-1]:
            owner = getattr(owner, word)
        original = getattr(owner, words[-1])

        @functools.wraps(original)
        def reporting(*args: object, **kwargs: object) -> object:
            self(path)
            return original(*args, **kwargs)

        setattr(owner, words[-1], reporting)


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
        args.port_file,
        configuration=Configuration(
            mirror=MirrorTiming(interval_s=args.mirror_interval),
            shutdown=ShutdownTiming(fatal_children_s=0.5, fatal_process_s=1.5),
        ),
    )
    try:
        serve(service, EventLog("json"), Steps(arguments[:at]))
    except GitKvError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
