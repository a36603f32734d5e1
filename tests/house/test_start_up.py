"""A command pays only for what it uses: `git kv get` must not load a server, a cryptographic
library or a parser it does not need.
"""

from __future__ import annotations

import subprocess
import sys

HEAVY = (
    "asyncio",
    "asyncssh",
    "cryptography",
    "json",
    "yaml",
    "logging",
    "pathlib",
    "dataclasses",
    "typing_extensions",
    "inspect",
)

_PROBE = """
import sys
before = set(sys.modules)
import {module}
print(*sorted((set(sys.modules) - before) & set({heavy!r})))
"""


def _heavy_modules_loaded_by(module: str) -> list[str]:
    probe = _PROBE.format(module=module, heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, env=_environment()
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def _environment() -> dict[str, str]:
    return {"PYTHONPATH": ":".join(entry for entry in sys.path if entry)}


def test_the_command_line_loads_nothing_heavy_at_start() -> None:
    assert _heavy_modules_loaded_by("gitkv.cli.main") == []


def test_the_sdk_loads_nothing_heavy_at_import() -> None:
    assert _heavy_modules_loaded_by("gitkv") == []
