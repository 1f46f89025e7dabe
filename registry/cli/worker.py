"""One serving process: opens the parts, listens, and on SIGTERM or SIGINT finishes what it has begun."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from typing import Any

import uvloop
from aiohttp import web

from registry import app, deliveries, janitor, metrics
from registry.cli.listener import BACKLOG, Connection, drain, stop_listening
from registry.db.migrate import available, outgrown
from registry.errors import Unavailable
from registry.services import Services
from registry.settings import Settings
from registry.siblings import Siblings
from registry.threads import BoundedThreads

log = logging.getLogger(__name__)

# What is cut off after the time for requests under way gets this long to clean up behind itself.
CUT_SECONDS = 1.0
LAG_SECONDS = 1.0
WATCH_SECONDS = 1.0
SCHEMA_SECONDS = 5.0
PR_SET_PDEATHSIG = 1  # prctl(2)


def run(
    settings: Settings,
    database_url: str,
    sockets: Sequence[socket.socket],
    *,
    ready: Callable[[], None],
    alive: Callable[[], bool],
    second: Callable[[], None] | None = None,
    siblings: Siblings | None = None,
) -> int:
    """Serve until told to stop; answers the exit code. `ready` is called once the sockets listen.

    When `alive` says no, something that this process depends on is gone: it stops and answers 1. For `second` see
    `stopped_by_signals`.
    """

    async def main() -> int:
        stop = asyncio.Event()
        with stopped_by_signals(stop, second=second):
            async with running(stop_when(stop, lambda: not alive())):
                await serve(settings, database_url, sockets, stop=stop, ready=ready, siblings=siblings)
        return 0 if alive() else 1

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


async def serve(
    settings: Settings,
    database_url: str,
    sockets: Sequence[socket.socket],
    *,
    stop: asyncio.Event,
    ready: Callable[[], None],
    siblings: Siblings | None = None,
) -> None:
    """Serve on bound sockets until `stop` is set; then say so, stop listening, and answer what is under way.

    How long each of the three may take is in the settings: `drain_seconds`, `shutdown_seconds` for reads, and
    `shutdown_upload_seconds`.
    """
    reads, uploads = settings.shutdown_seconds, settings.shutdown_upload_seconds
    loop = asyncio.get_running_loop()
    loop.set_default_executor(BoundedThreads())
    async with app.open_services(settings, database_url, siblings=siblings) as services:
        server = app.make_server(app.make_app(services))
        runner = web.ServerRunner(server, shutdown_timeout=CUT_SECONDS)
        await runner.setup()
        try:
            listening = [
                await loop.create_server(
                    lambda: Connection(
                        server, loop, keep_alive=settings.keep_alive_seconds, slowest=settings.slowest_client
                    ),
                    sock=sock,
                    backlog=BACKLOG,
                )
                for sock in sockets
            ]
            async with (
                running(janitor.work(services.db, services.store)),
                running(deliveries.work(services.db, settings)),
                running(_watch_schema(services)),
                running(_measure_lag()),
            ):
                ready()
                await stop.wait()
                log.info("Stopping: reads under way have %d s, uploads %d s", reads, uploads)
                services.draining.set()
                await asyncio.sleep(settings.drain_seconds)
                for one, sock in zip(listening, sockets, strict=True):
                    await stop_listening(server, one, sock)
                await drain(server, reads=reads, uploads=uploads)
        finally:
            await runner.cleanup()


@contextlib.contextmanager
def stopped_by_signals(stop: asyncio.Event, *, second: Callable[[], None] | None = None) -> Iterator[None]:
    """Set `stop` at SIGTERM or SIGINT. Once more calls `second`; without one it ends the process at once."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)

    def told() -> None:
        if stop.is_set():
            if second is not None:
                second()
            return
        stop.set()
        if second is None:
            for number in numbers:
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_DFL)

    for number in numbers:
        loop.add_signal_handler(number, told)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def stop_when(stop: asyncio.Event, gone: Callable[[], bool]) -> None:
    """Set `stop` as soon as `gone` says so, which is asked every second."""
    while not gone():  # noqa: ASYNC110  # a process that ends sets no event
        await asyncio.sleep(WATCH_SECONDS)
    if not stop.is_set():
        log.error("Stopping: what this process depends on is gone")
        stop.set()


@contextlib.asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """A task for the length of the block."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def follow(parent: int) -> None:
    """End with the process that started this one, whatever kills it. Only Linux knows how."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        # It died before the wish was heard.
        os._exit(1)


async def _watch_schema(services: Services) -> None:
    """See whether a newer release has taken something away that this one needs."""
    known = len(available())
    while True:
        # Postgres is away: what was seen last holds.
        with contextlib.suppress(Unavailable):
            if await outgrown(services.db, known):
                if not services.outgrown.is_set():
                    log.error("Not ready any more: the schema is too new for this release, which must be replaced")
                services.outgrown.set()
            else:
                services.outgrown.clear()
        await asyncio.sleep(SCHEMA_SECONDS)


async def _measure_lag() -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_SECONDS
        await asyncio.sleep(LAG_SECONDS)
        metrics.loop_lag.set(max(0.0, loop.time() - due))
