"""How the process ends: on a signal, on an error, or by force when it does not end by itself.

The lock of the repository is held until the process is gone, so the process must go: whatever hangs
(a mirror, a client, a git) is killed when its time is over.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable

from gitkv.gateway.stargate import Report
from gitkv.git.process import end_children

DRAIN_S = 20.0  # for pushes under way
CHILDREN_S = 25.0  # then every git is killed, whatever it is at
PROCESS_S = 29.0  # then this process
FATAL_CHILDREN_S, FATAL_PROCESS_S = 3.0, 6.0  # after an error
HURRY_S = 1.0  # after a second signal
PARENT_CHECK_S = 1.0


class Ending:
    """One end of one process; `at_exit` runs even when it is ended by force."""

    def __init__(self, report: Report, at_exit: Callable[[], None]) -> None:
        self._report = report
        self._at_exit = at_exit
        self._is_over = threading.Event()
        self._timers: list[threading.Timer] = []

    def begin(self, code: int, children_s: float, process_s: float) -> None:
        """From now on the process has `process_s` seconds to end, its children `children_s`; by
        force it ends with `code`.
        """
        for delay_s, act in (
            (children_s, end_children),
            (process_s, lambda: self._force(code)),
        ):
            timer = threading.Timer(delay_s, act)
            timer.daemon = True
            timer.start()
            self._timers.append(timer)

    def finish(self) -> None:
        """The process ends by itself."""
        for timer in self._timers:
            timer.cancel()
        self._at_exit()

    def _force(self, code: int) -> None:
        end_children()
        self._report("stopped", {"by": "force", "hint": "something did not end in time"})
        self._at_exit()
        os._exit(code)


class Stop:
    """What ends the serving: a signal, the end of the git that started it, or a failure of ours.

    To be made in the running loop; `fail` may be called from any thread.
    """

    def __init__(self, ending: Ending) -> None:
        self._loop = asyncio.get_running_loop()
        self._ending = ending
        self._wanted = asyncio.Event()
        self._error: BaseException | None = None
        self.why = ""
        self.is_serving = False  # before that, what hangs is not worth waiting for
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) == signal.SIG_IGN:
                continue  # as nohup wants it
            self._loop.add_signal_handler(number, self._on_signal, signal.Signals(number).name)

    def fail(self, error: BaseException) -> None:
        """The daemon cannot go on."""
        self._loop.call_soon_threadsafe(self._fail, error)

    async def wait(self) -> None:
        """Until it is to stop. Raises what `fail` was given."""
        await self._wanted.wait()
        if self._error is not None:
            raise self._error

    async def watch(self, git: int) -> None:
        """Stops when the process `git`, our parent, is gone."""
        while os.getppid() == git:
            await asyncio.sleep(PARENT_CHECK_S)
        self._stop("the git that started it is gone")

    def _on_signal(self, name: str) -> None:
        if self._wanted.is_set():  # a second one: quicker
            end_children()
            self._ending.begin(0, HURRY_S, 2 * HURRY_S)
            return
        self._stop(name)

    def _stop(self, why: str) -> None:
        if not self._wanted.is_set():
            self.why = why
            self._wanted.set()
            self._ending.begin(0, CHILDREN_S if self.is_serving else HURRY_S, PROCESS_S)

    def _fail(self, error: BaseException) -> None:
        if self._error is None:
            self._error = error
        self._wanted.set()


def starting_git() -> int:
    """The process id of the `git` that runs this program as `git kv`, 0 when nothing of the kind
    does.

    git waits for us and passes signals on, but a SIGKILL to it leaves us running, unknown to
    whoever sent it. Any other parent (a shell, nohup, a service manager) may end on purpose. Where
    there is no /proc, nobody knows.
    """
    parent = os.getppid()
    try:
        with open(f"/proc/{parent}/comm", "rb") as file:
            return parent if file.read() == b"git\n" else 0
    except OSError:
        return 0
