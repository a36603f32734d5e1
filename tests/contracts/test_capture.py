"""Whatever Python or a library wants to print becomes an event: in a process of its own, for hooks
are the whole process's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import asyncio, gc, logging, sys, threading, warnings
from gitkv.telemetry.capture import capture
from gitkv.telemetry.log import EventLog

capture(EventLog("json"))
logging.getLogger("asyncio").error("a task\\nof %s", "many lines")
logging.getLogger("a.library").warning("\\x1b[31mred")
logging.getLogger("a.library").info("nobody wants to know")
warnings.warn("old", DeprecationWarning, stacklevel=1)
warnings.warn("odd", UserWarning, stacklevel=1)

def fail():
    raise ValueError("in a thread")

thread = threading.Thread(target=fail, name="worker")
thread.start()
thread.join()

class Finalized:
    def __del__(self):
        raise KeyError("in a finalizer")

Finalized()
gc.collect()

async def forgotten():
    asyncio.get_running_loop().create_task(fails())
    await asyncio.sleep(0)
    await asyncio.sleep(0)

async def fails():
    raise RuntimeError("in a task")

asyncio.run(forgotten())
gc.collect()
raise OSError("at the end")
"""


def test_every_line_is_an_event_and_nothing_is_lost() -> None:
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", PROGRAM],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )

    events = [json.loads(line) for line in done.stderr.splitlines()]
    said = json.dumps(events)
    for words in (
        "a task\\nof many lines",
        "u001b[31mred",
        "DeprecationWarning: old",
        "UserWarning: odd",
        "ValueError: in a thread",
        "KeyError: 'in a finalizer'",
        "RuntimeError: in a task",
        "OSError: at the end",
    ):
        assert words in said, words
    assert "nobody wants to know" not in said
    assert {event["event"] for event in events} == {"python.error", "python.warning"}
    assert done.stdout == "" and done.returncode == 1
