"""The daemon's threads and loop: started once, and no error gets lost in them."""

from __future__ import annotations

import asyncio
import threading
from typing import cast

import pytest

from gitkv.daemon.ending import Ending, as_error, is_fatal
from gitkv.daemon.running import STACK_BYTES, SessionThreads, on_loop_error, run
from gitkv.errors import ToolError, UsageError
from gitkv.model.event import PythonError
from gitkv.testing.world import wait_until


class Failures:
    """What an `Ending` would hear."""

    def __init__(self) -> None:
        self.told: list[BaseException] = []
        self.error: Exception | None = None
        self.has_begun = False

    def fail(self, error: BaseException) -> None:
        self.told.append(error)
        self.error = self.error or as_error(error)


def test_all_threads_are_there_before_the_first_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine short of memory Thread.start may wait without end, and the loop with it."""
    threads = SessionThreads(cast(Ending, Failures()), 40)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    together = threading.Barrier(40, timeout=20)
    assert len({work.result(20) for work in [threads.submit(together.wait) for _ in range(40)]})
    assert threading.stack_size() != STACK_BYTES
    threads.shutdown()


def test_a_machine_that_has_not_so_many_threads_is_told_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start, started = threading.Thread.start, list[threading.Thread]()

    def start_five(thread: threading.Thread) -> None:
        if len(started) == 5:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_five)
    with pytest.raises(UsageError, match="expected 40 threads, got 5") as caught:
        SessionThreads(cast(Ending, Failures()), 40)
    assert "ulimit" in caught.value.hint
    wait_until(lambda: not any(thread.is_alive() for thread in started), 20)


@pytest.mark.parametrize("error", [SystemExit(0), KeyboardInterrupt(), BaseException("planted")])
def test_a_fatal_error_of_a_thread_is_told_though_nobody_asks(error: BaseException) -> None:
    failures = Failures()
    threads = SessionThreads(cast(Ending, failures), 1)

    def work() -> None:
        raise error

    threads.submit(work)
    threads.shutdown()
    assert failures.told == [error]


@pytest.mark.parametrize("error", [SystemExit(0), KeyboardInterrupt()])
def test_a_loop_that_a_callback_left_goes_on_for_the_way_out(error: BaseException) -> None:
    failures, ended = Failures(), []

    def callback() -> None:
        raise error

    async def main() -> None:
        asyncio.get_running_loop().call_soon(callback)
        await asyncio.sleep(0.01)
        ended.append(True)

    with pytest.raises(ToolError, match="daemon failed"):
        run(main(), cast(Ending, failures))
    assert failures.told == [error] and ended


def test_what_ends_one_task_is_not_fatal_and_the_rest_is() -> None:
    assert not any(is_fatal(one) for one in (OSError(), asyncio.CancelledError(), None))
    assert not is_fatal(GeneratorExit())
    assert all(is_fatal(one) for one in (SystemExit(0), KeyboardInterrupt(), BaseException()))
    assert as_error(SystemExit(0)) is not None


def test_an_error_that_no_callback_caught_is_told_or_ends_the_daemon() -> None:
    failures, told = Failures(), list[PythonError]()
    loop = asyncio.new_event_loop()
    for error in (OSError(24, "too many"), BaseException("planted")):
        on_loop_error(told.append, cast(Ending, failures), loop, {"exception": error})
    loop.close()
    [event] = told
    assert "LimitNOFILE" in event.hint and len(failures.told) == 1
