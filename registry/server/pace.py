"""Pace: how slow a client may be.

The time spent waiting for a client is counted in windows. A window ends as soon as enough bytes have moved, and must
not take longer than `WINDOW_SECONDS` of waiting: so a pause, a byte now and then, and too low a rate are one and the
same. Waiting for a store or a database of ours is never held against a client.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from aiohttp import web

from registry import metrics

WINDOW_SECONDS = 60.0
# Bytes per second where nothing else was chosen.
DEFAULT = 1024

SLOWEST = web.AppKey("slowest_client", int)


class Pace:
    """One client sending a body, or taking one."""

    __slots__ = ("_left", "_missing", "_quota")

    def __init__(self, slowest: int) -> None:
        """`slowest` is in bytes per second."""
        self._quota = quota(slowest)
        self._missing = self._quota
        self._left = WINDOW_SECONDS

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """Around a wait for the client. Raises TimeoutError when the window is over."""
        loop = asyncio.get_running_loop()
        since = loop.time()
        try:
            async with asyncio.timeout(max(0.0, self._left)):
                yield
        finally:
            self._left -= loop.time() - since

    @property
    def too_slow(self) -> bool:
        """The window is over, and too little has moved."""
        return self._left <= 0

    def moved(self, size: int) -> None:
        """Note bytes that were sent or taken."""
        self._missing -= size
        if self._missing <= 0:
            self._missing, self._left = self._quota, WINDOW_SECONDS


def queued(sock: socket.socket) -> int:
    """Bytes that the kernel still has to send, or to see acknowledged; 0 where it does not tell (tcp(7), SIOCOUTQ).

    It may hold megabytes and take no more until a third of them have left: a slow client seems to stand still.
    """
    if sys.platform != "linux":
        return 0
    try:
        return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except OSError:
        return 0


def cut(transport: asyncio.Transport) -> None:
    """End the connection of a client that is too slow, and forget what the kernel still has to send on it."""
    metrics.slow_clients.inc()
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def quota(slowest: int) -> float:
    """Bytes that make a window."""
    return slowest * WINDOW_SECONDS


def of(request: web.BaseRequest) -> Pace:
    """The pace expected of who sent a request."""
    app = request.app if isinstance(request, web.Request) else None
    return Pace(DEFAULT if app is None else app.get(SLOWEST, DEFAULT))
