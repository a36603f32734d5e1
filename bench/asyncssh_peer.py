"""A bare SSH server on asyncssh that runs stock `git receive-pack` and `git upload-pack`:
Stargate's transport without Stargate.

    python asyncssh_peer.py HOST_KEY AUTHORIZED_KEYS PORT_FILE

Serves whatever repository it is asked for; for measurements on loopback only.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import sys
from pathlib import Path

import asyncssh

_SERVICES = ("git-receive-pack", "git-upload-pack")
_CHUNK = 1 << 16


async def _serve(process: asyncssh.SSHServerProcess[bytes]) -> None:
    words = shlex.split(process.command or "")
    if len(words) != 2 or words[0] not in _SERVICES:
        process.exit(1)
        return
    child = await asyncio.create_subprocess_exec(
        "git",
        words[0].removeprefix("git-"),
        words[1],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdin is not None and child.stdout is not None
    feeding = asyncio.ensure_future(_pump(process.stdin, child.stdin))
    while data := await child.stdout.read(_CHUNK):
        process.stdout.write(data)
        await process.stdout.drain()
    code = await child.wait()
    feeding.cancel()
    process.exit(code)


async def _pump(source: asyncssh.SSHReader[bytes], sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        while data := await source.read(_CHUNK):
            sink.write(data)
            await sink.drain()
        sink.close()


async def main(host_key: str, authorized_keys: str, port_file: str) -> None:
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[host_key],
        authorized_client_keys=authorized_keys,
        process_factory=_serve,
        encoding=None,
    )
    draft = Path(port_file + ".draft")
    draft.write_text(f"{server.get_port()}\n")
    draft.rename(port_file)
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
