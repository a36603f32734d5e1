"""How the process ends: on a signal, on an error, or by force when it does not end by itself.

The lock of the repository is held until the process is gone, so the process must go: whatever hangs
(a mirror, a client, a git, Python's own end) is killed when its time is over. Where no thread of
ours gets to run any more, the kernel's alarm ends the process.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress

from gitkv.errors import GitKvError, ToolError
from gitkv.git.process import end_children
from gitkv.model.configuration import DEFAULTS, ShutdownTiming
from gitkv.model.event import DaemonFailed, DaemonStopped, Report

FAILED = 5  # the exit code of a daemon that failed for a reason of no family
LAST_WORDS_S = 1.0  # whoever reads the log may read no more
ALARM_S = 2.0  # after the time of the process: nothing of Python's gets to run
PARENT_CHECK_S = 1.0


class Ending:
    """One end of one process; `at_exit` runs even when it is ended by force. To be made in the main
    thread.

    `error` is what the daemon failed of, None while it has not. `wake` is called when it fails.
    """

    def __init__(
        self,
        report: Report,
        at_exit: Callable[[], None],
        timing: ShutdownTiming = DEFAULTS.shutdown,
    ) -> None:
        self._report = report
        self.timing = timing
        self._at_exit = at_exit
        self._failing = threading.Lock()
        self._code = 0
        self.has_begun = False
        self.error: Exception | None = None
        self.wake: Callable[[], None] = lambda: None
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})

    def begin(self, code: int, children_s: float, process_s: float) -> None:
        """From now on the process has `process_s` seconds to end, its children `children_s`; by
        force it ends with `code`, or that of an earlier failure.
        """
        self.has_begun = True
        self._code = self._code or code
        left_s, _ = signal.getitimer(signal.ITIMER_REAL)
        if not left_s or process_s + ALARM_S < left_s:
            signal.setitimer(signal.ITIMER_REAL, process_s + ALARM_S)
        for delay_s, act in ((children_s, end_children), (process_s, self._force)):
            timer = threading.Timer(delay_s, act)
            timer.daemon = True
            timer.start()

    def fail(self, error: BaseException) -> None:
        """The daemon cannot go on; the first error counts and is told. From any thread."""
        with self._failing:
            if self.error is not None:
                return
            self.error = as_error(error)
        self.begin_after(self.error)
        self.wake()
        self._report(DaemonFailed(f"{type(error).__name__}: {error}"))

    def begin_after(self, error: BaseException) -> None:
        """From now on the process has the time that is left after an error."""
        code = error.exit_code if isinstance(error, GitKvError) else FAILED
        self.begin(code, self.timing.fatal_children_s, self.timing.fatal_process_s)

    def finish(self) -> None:
        """The process ends by itself, and is still ended by force when that takes too long."""
        self._at_exit()

    def _force(self) -> None:
        try:
            end_children()
            event = DaemonStopped("force", "something did not end in time")
            telling = threading.Thread(target=self._report, args=(event,), daemon=True)
            telling.start()
            telling.join(LAST_WORDS_S)
            self._at_exit()
        finally:
            os._exit(self._code)


def is_fatal(error: BaseException | None) -> bool:
    """Whether the process is to end of it: what is no Exception, and no mere end of a task."""
    return error is not None and not isinstance(
        error, (Exception, asyncio.CancelledError, GeneratorExit)
    )


def as_error(error: BaseException) -> Exception:
    """What may be raised to the command line: an exit code of its own making is not success."""
    if isinstance(error, Exception):
        return error
    return ToolError(f"the daemon failed: {type(error).__name__}: {error}")


class Stop:
    """What ends the serving: a signal, the end of the git that started it, or a failure of ours
    (`ending.fail`). To be made in the running loop.
    """

    def __init__(self, ending: Ending) -> None:
        self._loop = asyncio.get_running_loop()
        self._ending = ending
        self._wanted = asyncio.Event()
        self.why = ""
        self.is_serving = False  # before that, what hangs is not worth waiting for
        ending.wake = self._wake
        if ending.error is not None:
            self._wanted.set()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) == signal.SIG_IGN:
                continue  # as nohup wants it
            self._loop.add_signal_handler(number, self._on_signal, signal.Signals(number).name)

    async def wait(self) -> None:
        """Until it is to stop. Raises what the daemon failed of."""
        await self._wanted.wait()
        if self._ending.error is not None:
            raise self._ending.error

    async def watch(self, git: int) -> None:
        """Stops when the process `git`, our parent, is gone."""
        while os.getppid() == git:
            await asyncio.sleep(PARENT_CHECK_S)
        self._stop("the git that started it is gone")

    def _on_signal(self, name: str) -> None:
        if self._wanted.is_set():  # a second one: quicker
            end_children()
            hurry_s = self._ending.timing.hurry_s
            self._ending.begin(0, hurry_s, 2 * hurry_s)
            return
        self._stop(name)

    def _stop(self, why: str) -> None:
        if not self._wanted.is_set():
            self.why = why
            self._wanted.set()
            timing = self._ending.timing
            children_s = timing.children_s if self.is_serving else timing.hurry_s
            self._ending.begin(0, children_s, timing.process_s)

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: the process is about to end
            self._loop.call_soon_threadsafe(self._wanted.set)


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
