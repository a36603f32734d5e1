"""Where and from what the numbers come: a number without its machine and its commit says
nothing.
"""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def describe(work: Path) -> dict[str, str]:
    """The machine, as far as it decides speeds; `work` is where the stores of the benches lie. To
    be asked before a bench loads it.
    """
    return {
        "cpu": _cpu(),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "file system": _said("stat", "-f", "-c", "%T", str(work)),
        "fsync": f"{_fsync_ms(work):.2f} ms",
        "load": f"{os.getloadavg()[0]:.1f}",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "git": _said("git", "--version").removeprefix("git version "),
        "ssh": _said("ssh", "-V").partition(",")[0],
    }


def commit() -> str:
    """The commit of this checkout, marked when the sources differ from it."""
    oid = _said("git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD")
    dirty = _said("git", "-C", str(ROOT), "status", "--porcelain", "--", "src", "bench")
    return f"{oid}+changes" if dirty else oid


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except FileNotFoundError:
        return ""
    return (done.stdout or done.stderr).strip()


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().split("\n"):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _fsync_ms(work: Path) -> float:
    """The median of a few small durable writes: half of what a durable push waits for."""
    times = []
    with (work / "fsync").open("wb") as file:
        for _ in range(21):
            file.write(b"x" * 512)
            file.flush()
            started = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - started)
    return sorted(times)[10] * 1000
