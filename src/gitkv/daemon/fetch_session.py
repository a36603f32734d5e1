"""A fetch over SSH: stock `git upload-pack`, its pipes pumped with back-pressure in both directions."""

from __future__ import annotations

import asyncio
from typing import IO

import asyncssh

from gitkv.gateway.stargate import Stargate
from gitkv.git.process import end_process, scratch_file

CHUNK_BYTES = 1 << 16
IDLE_TIMEOUT_S = 300

_PROTOCOLS = frozenset({"version=1", "version=2"})


async def serve_fetch(process: asyncssh.SSHServerProcess[bytes], stargate: Stargate, who: str) -> int:
    """Exit code for the client's session."""
    asked = process.env.get("GIT_PROTOCOL", "")
    git = stargate.git.with_extra({"GIT_PROTOCOL": asked} if asked in _PROTOCOLS else {})
    complaints = scratch_file()
    child = git.popen("upload-pack", "--strict", f"--timeout={IDLE_TIMEOUT_S}", stargate.git_dir, stderr=complaints)
    assert child.stdin is not None and child.stdout is not None
    feeding = asyncio.create_task(_feed(process, child.stdin))
    try:
        await _drain(process, child.stdout)
        return await asyncio.get_running_loop().run_in_executor(None, child.wait)
    finally:
        feeding.cancel()
        end_process(child)
        complaints.close()


async def _feed(process: asyncssh.SSHServerProcess[bytes], pipe: IO[bytes]) -> None:
    """Client to git."""
    transport, protocol = await asyncio.get_running_loop().connect_write_pipe(asyncio.streams.FlowControlMixin, pipe)
    writer = asyncio.StreamWriter(transport, protocol, None, asyncio.get_running_loop())
    try:
        while data := await process.stdin.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    except (ConnectionError, asyncssh.Error):  # git has ended, or the client has
        pass
    finally:
        writer.close()


async def _drain(process: asyncssh.SSHServerProcess[bytes], pipe: IO[bytes]) -> None:
    """Git to client."""
    reader = asyncio.StreamReader(limit=CHUNK_BYTES)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    try:
        while data := await reader.read(CHUNK_BYTES):
            process.stdout.write(data)
            await process.stdout.drain()
    finally:
        transport.close()
