"""Sending files by the kernel, on any event loop.

The stock loop has a `sendfile` of its own; uvloop has none, and copying through Python costs four times the CPU.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import BinaryIO

from aiohttp import ClientConnectionResetError, web

# What the kernel is asked for at once; a socket takes less than that before it is full.
_SPAN = 1024 * 1024
# A client that takes nothing for so long is given up.
STALL_SECONDS = 60.0


async def sendfile(request: web.BaseRequest, file: BinaryIO, start: int, end: int) -> None:
    """Send the bytes [start, end) of a file behind the head, which is written but may not have left yet.

    Raises ConnectionError when the client is gone, or stands still, or the file is shorter than it should be.
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
        await _send(out, file, start, end)
    transport.set_write_buffer_limits()


async def _send(out: socket.socket, file: BinaryIO, start: int, end: int) -> None:
    target, source = out.fileno(), file.fileno()
    while start < end:
        try:
            sent = os.sendfile(target, source, start, min(_SPAN, end - start))
        except BlockingIOError:
            await _writable(target)
            continue
        if sent == 0:
            raise ClientConnectionResetError("the file is shorter than its row says")
        start += sent
        await asyncio.sleep(0)


async def _writable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_writer(descriptor, lambda: None if ready.done() else ready.set_result(None))
    try:
        async with asyncio.timeout(STALL_SECONDS):
            await ready
    except TimeoutError:
        raise ClientConnectionResetError("the client takes nothing any more") from None
    finally:
        loop.remove_writer(descriptor)
