"""One SSH connection within bounds: what a peer may send, open, ask for and leave unread.

asyncssh speaks the protocol and bounds a packet. It does not bound how many there are: channels,
requests, variables, attempts to log in, key exchanges, answers that nobody reads. Here each of
these has a limit, near those of sshd; who breaks one is disconnected and loses what it held. Some
of the names that are overridden here are asyncssh's own (they begin with an underscore);
`tests/journeys/attacks/test_ssh_floods.py` shows that each limit is in force.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Any

import asyncssh
from asyncssh.constants import (
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_WINDOW_ADJUST,
    MSG_KEXINIT,
)
from asyncssh.packet import SSHPacket, UInt32

from gitkv.daemon.allowance import Allowance
from gitkv.daemon.door import ENCRYPTED, SPEAKING

CHANNELS_MAX = 10  # at once, as sshd's MaxSessions
LOGIN_FAILURES_MAX = 6  # as sshd's MaxAuthTries; the question which methods there are is one more
LOGIN_BYTES_MAX = 64 << 10  # before the log-in: some kilobytes are usual
LOGIN_MESSAGES_MAX = 64
CONTROL_BURST, CONTROL_PER_S = 512, 64  # messages that carry no data, after the log-in
ADJUST_BURST, ADJUST_PER_S = 1 << 14, 2000  # "I have read so much", while data flows to the client
REKEY_BURST, REKEY_PER_S = 32, 1
REQUEST_BYTES_MAX = 32 << 10  # variables and the command of one channel, together
SMALL_MESSAGES_MAX = 1 << 14  # of one channel, and one more for each 512 bytes
INPUT_BYTES_MAX = 1 << 20  # that wait for an answer to be computed
SLICE_BYTES = 1 << 14  # asyncssh copies what it has not looked at for each message
WINDOW_BYTES = 2 << 20  # of one running command; before it there is none
PACKET_BYTES_MAX = 32 << 10  # of one message with data
STALL_S = 60.0  # a peer that takes nothing of what is to be sent, or leaves new keys half agreed

_CONTROL = "too many messages"
_COUNTED_APART = (MSG_CHANNEL_DATA, MSG_CHANNEL_WINDOW_ADJUST)

Fault = Callable[[BaseException], None]
Advance = Callable[[int], None]


class BoundedChannel(asyncssh.SSHServerChannel[bytes]):
    """A session's channel: it may send data only while a command runs."""

    def __init__(self, connection: BoundedConnection, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            connection, loop, False, False, False, 0, 0, None, "strict", 0, PACKET_BYTES_MAX
        )
        self._request_bytes = 0
        self._messages = 0
        self._data_bytes = 0

    def get_recv_window(self) -> int:
        return WINDOW_BYTES

    def open_window(self) -> None:
        """The command runs: its input may come."""
        self._init_recv_window = self._recv_window = WINDOW_BYTES
        self.send_packet(MSG_CHANNEL_WINDOW_ADJUST, UInt32(WINDOW_BYTES))

    def process_packet(self, pkttype: int, pktid: int, packet: SSHPacket) -> Any:
        connection = self.get_connection()
        assert isinstance(connection, BoundedConnection)
        connection.count(pkttype)
        size = len(packet.get_remaining_payload())
        if pkttype == MSG_CHANNEL_REQUEST:
            self._request_bytes += size
            _expect(self._request_bytes <= REQUEST_BYTES_MAX, "requests of one session too large")
        elif pkttype == MSG_CHANNEL_DATA:
            self._messages += 1
            self._data_bytes += size
            allowed = SMALL_MESSAGES_MAX + self._data_bytes // 512
            _expect(self._messages <= allowed, "too many small messages")
        return super().process_packet(pkttype, pktid, packet)


class BoundedConnection(asyncssh.SSHServerConnection):
    """A connection that keeps within the limits of this module, or ends.

    `login` is told of it and asked for keys, `on_fault` gets what failed on our side, `on_advance`
    how far a log-in has come (see `door`).
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        options: asyncssh.SSHServerConnectionOptions,
        login: asyncssh.SSHServer,
        on_fault: Fault,
        on_advance: Advance,
    ) -> None:
        super().__init__(loop, options)
        self._protocol_factory = lambda: login
        now = time.monotonic
        self._control = Allowance(CONTROL_BURST, CONTROL_PER_S, now)
        self._adjusts = Allowance(ADJUST_BURST, ADJUST_PER_S, now)
        self._rekeys = Allowance(REKEY_BURST, REKEY_PER_S, now)
        self._on_fault, self._on_advance = on_fault, on_advance
        self.login_failures = 0
        self._login_bytes = self._login_messages = 0
        self._is_logged_in = False
        self._writable = asyncio.Event()  # neither the socket is full nor new keys are half agreed
        self._writable.set()
        self._is_full = self._is_rekeying = False
        self._stall_timer: asyncio.TimerHandle | None = None

    # What comes in

    def data_received(self, data: bytes, datatype: int | None = None) -> None:
        if not self._is_logged_in:
            self._login_bytes += len(data)
            if self._login_bytes > LOGIN_BYTES_MAX:
                self._force_close(asyncssh.ProtocolError("too many bytes before the log-in"))
                return
            self._on_advance(SPEAKING)
        for start in range(0, len(data), SLICE_BYTES):
            if self._transport is None:
                return
            if len(self._inpbuf) > INPUT_BYTES_MAX:
                self._force_close(asyncssh.ProtocolError("too much input at once"))
                return
            super().data_received(data[start : start + SLICE_BYTES], datatype)

    def process_packet(self, pkttype: int, pktid: int, packet: SSHPacket) -> Any:
        self.count(pkttype)
        if pkttype == MSG_KEXINIT:
            _expect(self._rekeys.take(), "too many key exchanges")
        return super().process_packet(pkttype, pktid, packet)

    def count(self, pkttype: int) -> None:
        """Every message passes here, also those of a channel. Raises ProtocolError."""
        if not self._is_logged_in:
            self._login_messages += 1
            _expect(self._login_messages <= LOGIN_MESSAGES_MAX, _CONTROL)
        elif pkttype == MSG_CHANNEL_WINDOW_ADJUST:
            _expect(self._adjusts.take(), _CONTROL)
        elif pkttype not in _COUNTED_APART:
            _expect(self._control.take(), _CONTROL)

    def create_server_channel(
        self,
        encoding: str | None = "",
        errors: str = "",
        window: int = 0,
        max_pktsize: int = 0,
    ) -> asyncssh.SSHServerChannel[bytes]:
        if len(self._channels) >= CHANNELS_MAX:
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_RESOURCE_SHORTAGE, f"expected at most {CHANNELS_MAX} sessions"
            )
        return BoundedChannel(self, self._loop)

    # The log-in

    async def reload_config(self) -> None:
        """There is no configuration that depends on the user: asyncssh would read it again in a
        thread, and log-ins would wait for the pushes that hold all of these.
        """

    def send_userauth_failure(self, partial_success: bool) -> None:
        self.login_failures += 1
        if self.login_failures > LOGIN_FAILURES_MAX:
            raise asyncssh.ProtocolError("Too many authentication failures")
        super().send_userauth_failure(partial_success)

    async def send_userauth_success(self) -> None:
        self._is_logged_in = True
        await super().send_userauth_success()

    def internal_error(self, exc_info: Any = None, error_logger: Any = None) -> None:
        error = (exc_info or sys.exc_info())[1]
        if error is not None:
            self._on_fault(error)
        super().internal_error(exc_info, error_logger)

    # What goes out

    async def drained(self) -> None:
        """Until more may be written without piling up here. Raises ConnectionAbortedError when the
        connection is gone.
        """
        await self._writable.wait()
        if self.is_closed():
            raise ConnectionAbortedError("the client is gone")

    def pause_writing(self) -> None:
        self._is_full = True
        self._watch_output()

    def resume_writing(self) -> None:
        self._is_full = False
        self._watch_output()

    def _send_kexinit(self) -> None:
        self._is_rekeying = True
        self._watch_output()
        super()._send_kexinit()

    def send_newkeys(self, k: bytes, h: bytes) -> None:
        super().send_newkeys(k, h)
        self._is_rekeying = False
        self._watch_output()
        self._on_advance(ENCRYPTED)

    def _watch_output(self) -> None:
        if not (self._is_full or self._is_rekeying):
            self._writable.set()
            self._forget_stall()
            return
        self._writable.clear()
        if self._stall_timer is None and self._is_logged_in:
            self._stall_timer = self._loop.call_later(STALL_S, self._end_stalled)

    def _end_stalled(self) -> None:
        self._force_close(asyncssh.ConnectionLost("the client takes nothing"))

    def _forget_stall(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _cleanup(self, exc: Exception | None) -> None:
        super()._cleanup(exc)
        self._forget_stall()
        self._writable.set()


async def flush(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """Until the client has taken so much of the output that more may follow. Raises
    ConnectionAbortedError when it takes nothing for STALL_S seconds.
    """
    connection = process.channel.get_connection()
    assert isinstance(connection, BoundedConnection)
    try:
        async with asyncio.timeout(STALL_S):
            await process.stdout.drain()
            await connection.drained()
    except TimeoutError:
        raise ConnectionAbortedError("the client takes nothing") from None


def _expect(holds: bool, why: str) -> None:
    if not holds:
        raise asyncssh.ProtocolError(why)
