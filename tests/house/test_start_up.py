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
    return _lines_of("-c", probe)[0].split()


def _environment() -> dict[str, str]:
    return {"PYTHONPATH": ":".join(entry for entry in sys.path if entry)}


def _lines_of(*words: str) -> list[str]:
    """What a fresh Python that is given `words` prints."""
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, env=_environment(), check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_command_line_loads_nothing_heavy_at_start() -> None:
    assert _heavy_modules_loaded_by("gitkv.cli.main") == []


def test_the_sdk_loads_nothing_heavy_at_import() -> None:
    assert _heavy_modules_loaded_by("gitkv") == []


def test_printing_the_version_loads_no_module_that_takes_long() -> None:
    code = """
import sys
from gitkv.cli.main import main
main(["--version"])
print(*sorted(name for name in sys.modules if name.startswith("gitkv")))
print(*sys.modules)
"""
    out = _lines_of("-S", "-c", code)
    assert out[1].split() == ["gitkv", "gitkv.cli", "gitkv.cli.main", "gitkv.version"]
    assert not {"argparse", "re", "json", "typing", "subprocess"}.intersection(out[2].split())


def test_an_ascii_key_does_not_load_the_table_of_unicode() -> None:
    code = (
        "import sys; from gitkv.model.key import encode_key, decode_name; "
        "decode_name(encode_key('a b%~')); print('gitkv.model.unicode14' in sys.modules); "
        "encode_key('é'); print('gitkv.model.unicode14' in sys.modules)"
    )
    assert _lines_of("-c", code) == ["False", "True"]
