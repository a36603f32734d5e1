"""What a command costs before it does anything: `git-kv --version` and a `get`, against Python
alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bench.measure import Case, Outcome, Row, interleave, median
from bench.stage import BIN, Stage, kv, pairs

ROUNDS = 40
BOUND_S = 0.060
PYTHON, VERSION, GET, CAT = "python -c pass", "git-kv --version", "git kv get", "git cat-file"


def run(work: Path) -> Outcome:
    root = work / "startup"
    root.mkdir()
    bob = Stage(root).person("bob")
    bob.clone_dir.mkdir()
    bob.git("init", "--quiet")
    kv(bob, "init")
    for key, value in pairs(20, "app"):
        kv(bob, "set", key, value)
    etag = (
        bob.git("hash-object", "--stdin", stdin=pairs(1, "app")[0][1].encode()).out.decode().strip()
    )

    def command(*words: str) -> Case:
        env = {**bob.env, "PATH": f"{BIN}{os.pathsep}{bob.env['PATH']}"}
        return lambda at: (
            subprocess.run(words, env=env, cwd=bob.clone_dir, check=True, stdout=subprocess.DEVNULL)
            and None
        )

    cases = {
        PYTHON: command(sys.executable, "-c", "pass"),
        VERSION: command("git-kv", "--version"),
        GET: command("git", "kv", "get", pairs(1, "app")[0][0]),
        CAT: command("git", "cat-file", "blob", etag),
    }
    samples = interleave(cases, ROUNDS, warmups=2)
    times = {name: median(of) for name, of in samples.items()}
    rows = [
        Row(
            f"{VERSION} vs {PYTHON}",
            "within 60 ms of it",
            times[VERSION],
            times[PYTHON],
            bound_s=BOUND_S,
        ),
        Row(f"{GET} vs {PYTHON}", "within 60 ms of it", times[GET], times[PYTHON], bound_s=BOUND_S),
        Row(f"{GET} vs {CAT} of the value's id", "", times[GET], times[CAT]),
    ]
    return Outcome(
        rows, samples, ["Modules are compiled; `git kv` includes git's own dispatch to `git-kv`."]
    )
