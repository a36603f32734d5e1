"""The loop and the threads of the daemon, so that no error gets lost in them.

asyncio lets SystemExit and KeyboardInterrupt of any callback out of the running loop, which then
stands still with its sockets open; other errors that are no Exception it keeps for whoever asks. A
thread of an executor keeps all of them. Here each of them ends the daemon.
"""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from gitkv.daemon.ending import Ending, is_fatal
from gitkv.errors import UsageError
from gitkv.model.event import PythonError

STACK_BYTES = 1 << 20  # of address space, for each thread: there are hundreds

_T = TypeVar("_T")


class SessionThreads(ThreadPoolExecutor):
    """Threads whose fatal errors are told at once, whether anybody waits for the work or not.

    All of them start at once, before anything is served: one that gets no memory while it starts is
    waited for without end (Thread.start), by the loop. Raises UsageError when they cannot.
    """

    def __init__(self, ending: Ending, max_workers: int) -> None:
        super().__init__(max_workers, thread_name_prefix="session")
        self._ending = ending
        before = threading.stack_size(STACK_BYTES)
        try:
            self._start_all(max_workers)
        finally:
            threading.stack_size(before)

    def _start_all(self, count: int) -> None:
        """Raises UsageError when the process may not have so many."""
        all_here = threading.Barrier(count + 1)
        for started in range(count):
            try:
                self.submit(all_here.wait)
            except (RuntimeError, MemoryError):
                all_here.abort()
                self.shutdown(wait=False)
                raise UsageError(
                    f"the limits of this process are too low to serve: expected {count} threads, "
                    f"got {started}",
                    hint="raise them: ulimit -v and -u, or LimitAS= and LimitNPROC= in the unit",
                ) from None
        all_here.wait()

    def submit(self, work: Callable[..., _T], /, *args: Any, **kwargs: Any) -> Future[_T]:
        return super().submit(self._watched, work, *args, **kwargs)

    def _watched(self, work: Callable[..., _T], /, *args: Any, **kwargs: Any) -> _T:
        try:
            return work(*args, **kwargs)
        except BaseException as error:
            if is_fatal(error):
                self._ending.fail(error)
            raise


def run(main: Coroutine[Any, Any, None], ending: Ending) -> None:
    """Runs `main` to its end. What a callback lets out of the loop fails the daemon, and the loop
    goes on, for the way out. Raises what the daemon failed of, or what `main` raises.
    """
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        task = loop.create_task(main)
        while not task.done():
            try:
                loop.run_until_complete(task)
            except BaseException as error:
                if is_fatal(error) or ending.has_begun or not task.done():
                    ending.fail(error)
        if ending.error is not None:
            raise ending.error
        task.result()


def on_loop_error(
    report: Callable[[PythonError], None],
    ending: Ending,
    loop: asyncio.AbstractEventLoop,
    context: dict[str, object],
) -> None:
    """What failed in a callback that nobody waits for, mostly on accepting a connection."""
    error = context.get("exception")
    if isinstance(error, BaseException) and is_fatal(error):
        ending.fail(error)
        return
    report(_event_of(error, context.get("message")))


def _event_of(error: object, message: object) -> PythonError:
    is_short = isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)
    hint = "too many open files: LimitNOFILE= in the systemd unit" if is_short else ""
    told = f"{type(error).__name__}: {error}"
    return PythonError("asyncio", str(message or ""), told, hint=hint)
