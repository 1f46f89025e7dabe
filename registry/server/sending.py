"""Sending files by the kernel, on any event loop.

The stock loop has a `sendfile` of its own; uvloop has none, and copying through Python costs four times the CPU.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import BinaryIO

from aiohttp import ClientConnectionResetError, web

from registry.server import pace
from registry.server.pace import Pace

# What the kernel is asked for at once; a socket takes less than that before it is full.
_SPAN = 1024 * 1024


async def sendfile(request: web.BaseRequest, file: BinaryIO, start: int, end: int) -> None:
    """Send the bytes [start, end) of a file behind the head, which is written but may not have left yet.

    Raises ConnectionError when the client is gone, or takes it too slowly, or the file is shorter than it should be.
    """
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ClientConnectionResetError("the client is gone")
    # Nothing of ours may be left in the transport, or the file would overtake it.
    transport.set_write_buffer_limits(high=0)
    await request.writer.drain()
    # A descriptor of its own, because event loops do not let anybody watch those of their transports.
    with transport.get_extra_info("socket").dup() as out:
        out.setblocking(False)
        try:
            await _send(out, file, start, end, pace.of(request))
        except TimeoutError:
            pace.cut(transport)
            raise ClientConnectionResetError("the client takes the file too slowly") from None
    transport.set_write_buffer_limits()


async def _send(out: socket.socket, file: BinaryIO, start: int, end: int, expected: Pace) -> None:
    source, taken = file.fileno(), start - pace.queued(out)
    while start < end:
        try:
            sent = os.sendfile(out.fileno(), source, start, min(_SPAN, end - start))
        except BlockingIOError:
            taken = await _writable(out, start, taken, expected)
            continue
        if sent == 0:
            raise ClientConnectionResetError("the file is shorter than its row says")
        start += sent
        await asyncio.sleep(0)


async def _writable(out: socket.socket, start: int, taken: int, expected: Pace) -> int:
    """Wait until the socket takes more than the bytes up to `start`; how many the client has `taken` then.

    Raises TimeoutError when the client takes them too slowly.
    """
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_writer(out.fileno(), lambda: None if ready.done() else ready.set_result(None))
    try:
        while not ready.done():
            try:
                async with expected.waiting():
                    await asyncio.shield(ready)
            except TimeoutError:
                pass
            before, taken = taken, start - pace.queued(out)
            expected.moved(taken - before)
            if expected.too_slow:
                raise TimeoutError
    finally:
        loop.remove_writer(out.fileno())
    return taken
