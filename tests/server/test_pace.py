"""Pace: who takes an answer too slowly is cut off, and who is merely slow is not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web

from registry import metrics
from registry.cli import listener
from registry.cli.listener import Connection
from registry.server import pace, sending

WINDOW = 0.5
SLOWEST = 400_000  # bytes per second: sockets hold some, so that less is not told from nothing
PAGE = bytes(6_000_000)


@pytest.fixture
async def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """A server of large answers: a page at once, one in pieces, and a file."""
    monkeypatch.setattr(pace, "WINDOW_SECONDS", WINDOW)
    (tmp_path / "file").write_bytes(PAGE)

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/page":
            return web.Response(body=PAGE)
        response = web.StreamResponse()
        response.content_length = len(PAGE)
        await response.prepare(request)
        if request.path == "/file":
            with (tmp_path / "file").open("rb") as file:
                await sending.sendfile(request, file, 0, len(PAGE))
        else:
            for start in range(0, len(PAGE), 100_000):
                await response.write(PAGE[start : start + 100_000])
        return response

    monkeypatch.setattr(pace, "DEFAULT", SLOWEST)  # what there is without an application
    server, loop = web.Server(answer), asyncio.get_running_loop()
    with listener.bound("127.0.0.1", 0) as sockets:
        listening = await loop.create_server(lambda: Connection(server, loop, slowest=SLOWEST), sock=sockets[0])
        yield int(sockets[0].getsockname()[1])
        listening.close()
        await server.shutdown(1)


@asynccontextmanager
async def asking(port: int, path: str) -> AsyncIterator[socket.socket]:
    """A client that has asked, with little room for the answer."""
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        await loop.sock_connect(client, ("127.0.0.1", port))
        await loop.sock_sendall(client, b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
        yield client


async def take(client: socket.socket, piece: int = 65536, every: float = 0) -> int:
    """Take so much of the answer again and again; how much it was when it ended."""
    loop, taken = asyncio.get_running_loop(), 0
    with suppress(ConnectionError):
        while taken < len(PAGE) and (got := len(await loop.sock_recv(client, piece))):
            taken += got
            await asyncio.sleep(every)
    return taken


def given_up() -> float:
    return metrics.REGISTRY.get_sample_value("registry_http_slow_clients_total") or 0


@pytest.mark.parametrize("path", ["/page", "/pieces", "/file"])
async def test_a_client_that_takes_hardly_anything_is_cut_off(port: int, path: str) -> None:
    before = given_up()
    async with asyncio.timeout(10), asking(port, path) as still, asking(port, path) as dripping:
        drops = asyncio.create_task(take(dripping, 100, 0.05))
        while given_up() < before + 2:
            await asyncio.sleep(0.05)
        drops.cancel()
        await asyncio.gather(drops, return_exceptions=True)
        # What is left of the answer is what the two had before.
        assert max(await take(still), await take(dripping)) < len(PAGE) // 2


@pytest.mark.parametrize("path", ["/page", "/file"])
async def test_a_slow_client_gets_all_of_it(port: int, path: str) -> None:
    before = given_up()
    async with asyncio.timeout(20), asking(port, path) as client:
        assert len(PAGE) <= await take(client, 65536, 0.02)
    assert before == given_up()


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux gives up clients by itself")
async def test_what_is_left_in_a_closed_connection_is_given_up_by_the_kernel(port: int) -> None:
    async with asking(port, "/page"):
        await asyncio.sleep(0)
    with listener.bound("127.0.0.1", 0) as sockets:
        timeout = sockets[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert listener.STALL_SECONDS * 1000 == timeout
