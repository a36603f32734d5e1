"""A fetch over SSH: the pipes of stock `git upload-pack`, pumped with back-pressure in both
directions.
"""

from __future__ import annotations

import asyncio
import time
from typing import IO

import asyncssh

from gitkv.daemon.serving import Serving
from gitkv.daemon.ssh_connection import flush
from gitkv.gateway.pace import Pace
from gitkv.git.upload_pack import UploadPack
from gitkv.model.configuration import FetchBounds

CHUNK_BYTES = 1 << 16


async def serve_fetch(
    process: asyncssh.SSHServerProcess[bytes], serving: Serving, bounds: FetchBounds
) -> int:
    """Exit code for the client's session."""
    upload = UploadPack(serving.git, process.env.get("GIT_PROTOCOL", ""), bounds.idle_s)
    feeding = asyncio.create_task(_feed(process, upload.requests))
    pace = Pace(bounds.slow_s, bounds.least_bytes)
    try:
        await _drain(process, upload.answers, pace)
        async with asyncio.timeout(pace.left_s):
            return await asyncio.get_running_loop().run_in_executor(None, upload.wait)
    except TimeoutError:
        raise ConnectionAbortedError("the fetch is too slow") from None
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


async def _drain(process: asyncssh.SSHServerProcess[bytes], pipe: IO[bytes], pace: Pace) -> None:
    """Git to client. Raises TimeoutError when it goes too slowly: whoever takes a byte now and then
    holds a git.
    """
    reader = asyncio.StreamReader(limit=CHUNK_BYTES)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        while True:
            began_s = time.monotonic()
            async with asyncio.timeout(pace.left_s):
                data = await reader.read(CHUNK_BYTES)
                if not data:
                    return
                process.stdout.write(data)
                await flush(process)
            if not pace.is_kept(time.monotonic() - began_s, len(data)):
                raise TimeoutError
    finally:
        transport.close()
