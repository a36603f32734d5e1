"""A fetch over SSH: the pipes of stock `git upload-pack`, pumped with back-pressure in both
directions.
"""

from __future__ import annotations

import asyncio
from typing import IO

import asyncssh

from gitkv.daemon.serving import Serving
from gitkv.daemon.ssh_connection import flush
from gitkv.git.upload_pack import UploadPack
from gitkv.model.configuration import FetchBounds

CHUNK_BYTES = 1 << 16


async def serve_fetch(
    process: asyncssh.SSHServerProcess[bytes], serving: Serving, bounds: FetchBounds
) -> int:
    """Exit code for the client's session."""
    upload = UploadPack(serving.git, process.env.get("GIT_PROTOCOL", ""), bounds.idle_s)
    feeding = asyncio.create_task(_feed(process, upload.requests))
    try:
        async with asyncio.timeout(bounds.whole_s):
            await _drain(process, upload.answers)
            return await asyncio.get_running_loop().run_in_executor(None, upload.wait)
    except TimeoutError:
        raise ConnectionAbortedError("the fetch took too long") from None
    finally:
        feeding.cancel()
        upload.end()


async def _feed(process: asyncssh.SSHServerProcess[bytes], pipe: IO[bytes]) -> None:
    """Client to git."""
    transport, protocol = await asyncio.get_running_loop().connect_write_pipe(
        asyncio.streams.FlowControlMixin, pipe
    )
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
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        while data := await reader.read(CHUNK_BYTES):
            process.stdout.write(data)
            await flush(process)
    finally:
        transport.close()
