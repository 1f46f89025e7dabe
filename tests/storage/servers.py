"""Servers for things to go wrong: a proxy in front of moto, and some that hardly serve."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

from registry.storage import S3Location, parse_url
from registry.storage.s3 import S3Store, connect
from registry.storage.s3_client import Deadlines

Answer = Callable[[web.Request, bytes], Awaitable[web.StreamResponse | None]]


async def s3_store(url: str, deadlines: Deadlines | None = None) -> S3Store:
    location = parse_url(url)
    assert isinstance(location, S3Location)
    return await connect(location, deadlines=deadlines)


@dataclass
class Proxy:
    """Passes requests to moto. `answer` may answer instead, by returning a response; `seen` holds what came."""

    moto: str
    session: aiohttp.ClientSession
    url: str = ""
    answer: Answer | None = None
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def operations(self) -> list[str]:
        """Method and names of the query options of each request."""
        return [operation for operation, _ in self.seen]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        operation = "?".join(filter(None, (request.method, "&".join(sorted(request.query)))))
        self.seen.append((operation, dict(request.headers)))
        answer = await self.answer(request, body) if self.answer else None
        return answer or await self.forward(request, body)

    async def forward(self, request: web.Request, body: bytes) -> web.Response:
        url = self.moto + request.path_qs
        async with self.session.request(
            request.method, url, headers=request.headers, data=io.BytesIO(body)
        ) as response:
            headers = {k: v for k, v in response.headers.items() if k not in ("Transfer-Encoding", "Connection")}
            return web.Response(status=response.status, headers=headers, body=await response.read())

    async def lose_answer(self, request: web.Request, body: bytes) -> web.Response:
        """Do what is asked, then drop the connection."""
        response = await self.forward(request, body)
        assert request.transport is not None
        request.transport.abort()
        return response


@asynccontextmanager
async def running_proxy(moto: str) -> AsyncIterator[Proxy]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        proxy = Proxy(moto, session)
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{path:.*}", proxy.handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        proxy.url = f"http://{host}:{port}"
        try:
            yield proxy
        finally:
            await runner.cleanup()


@asynccontextmanager
async def mute_server(*, reading: bool) -> AsyncIterator[str]:
    """Accepts connections and never answers; does not even read unless `reading`. Yields its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while reading and await reader.read(2**16):
                pass
            await over.wait()
        writer.close()

    over = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        over.set()
        server.close()
        await server.wait_closed()
