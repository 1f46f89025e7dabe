"""A TCP proxy for things to go wrong in: in front of Postgres or of an object store."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# With this a close is a reset, as of a peer that crashed.
_RESET = struct.pack("ii", 1, 0)

Upstream = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


@dataclass
class Way:
    """What happens to one direction of every connection; changed by a test at any time.

    `cut_after`: after so many bytes, `100 Continue` not counted, the connection is reset, and this is None again.
    `delay` is in seconds, before each piece; `rate` in bytes per second.
    """

    cut_after: int | None = None
    delay: float = 0
    rate: float | None = None


@dataclass
class Proxy:
    """What the proxy does. It passes everything on until told otherwise.

    `blackhole`: nothing is passed on in either direction and nothing closed, new connections included.
    """

    upstream: Upstream
    port: int = 0
    connections: int = 0
    requests: Way = field(default_factory=Way)
    answers: Way = field(default_factory=Way)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _flowing: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None

    async def listen(self) -> None:
        """Accept connections, on the same port as before."""
        self._flowing.set()
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def blackhole(self) -> None:
        """Swallow everything from now on, until `heal`."""
        self._flowing.clear()

    def reset(self) -> None:
        """Reset every connection, now."""
        for writer in tuple(self._open):
            _reset(writer)

    async def refuse(self) -> None:
        """Be away, as a server that was stopped: connections are reset, and new ones refused until `heal`."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.reset()
        await asyncio.sleep(0)

    async def heal(self) -> None:
        """Pass everything on again."""
        self.requests, self.answers = Way(), Way()
        self._flowing.set()
        if self._server is None:
            await self.listen()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        await self._flowing.wait()
        ends = {writer}
        try:
            upstream_reader, upstream_writer = await self.upstream()
            ends.add(upstream_writer)
            self._open.add(upstream_writer)
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._pass_on(lambda: self.requests, reader, upstream_writer, ends))
                ways.create_task(self._pass_on(lambda: self.answers, upstream_reader, writer, ends))
        except* (ConnectionError, OSError):
            pass
        finally:
            self._open -= ends
            for end in ends:
                end.transport.abort()

    async def _pass_on(
        self,
        way_now: Callable[[], Way],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        ends: set[asyncio.StreamWriter],
    ) -> None:
        while data := await reader.read(2**14):
            await self._flowing.wait()
            way = way_now()
            if way.delay:
                await asyncio.sleep(way.delay)
            if way.rate:
                await asyncio.sleep(len(data) / way.rate)
            if way.cut_after is not None and data != _CONTINUE:
                if len(data) >= way.cut_after:
                    writer.write(data[: way.cut_after])
                    way.cut_after = None
                    with suppress(ConnectionError):
                        await writer.drain()
                    for end in ends:
                        _reset(end)
                    return
                way.cut_after -= len(data)
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.family != socket.AF_UNIX:
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


@asynccontextmanager
async def running(upstream: Upstream) -> AsyncIterator[Proxy]:
    """A proxy on a port of its own."""
    proxy = Proxy(upstream)
    await proxy.listen()
    try:
        yield proxy
    finally:
        await proxy.refuse()
        proxy._flowing.set()
        await asyncio.sleep(0.01)


@asynccontextmanager
async def before_postgres(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy before the Postgres of a URL, and the URL that leads through it."""
    parts = urlsplit(url)
    path = Path(parse_qs(parts.query)["host"][0]) / ".s.PGSQL.5432"
    async with running(lambda: asyncio.open_unix_connection(path)) as proxy:
        credentials = parts.netloc.rpartition("@")[0]
        yield proxy, f"postgresql://{credentials}@127.0.0.1:{proxy.port}{parts.path}?sslmode=disable"


@asynccontextmanager
async def before_store(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy before the endpoint of a storage URL, and the URL that leads through it."""
    parts = urlsplit(url)
    endpoint = urlsplit(parse_qs(parts.query)["endpoint_url"][0])
    host, port = endpoint.hostname or "", endpoint.port or 80
    async with running(lambda: asyncio.open_connection(host, port)) as proxy:
        through = quote(f"http://127.0.0.1:{proxy.port}", safe=":/")
        yield proxy, f"{parts.scheme}://{parts.netloc}{parts.path}?endpoint_url={through}&region=us-east-1"
