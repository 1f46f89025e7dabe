"""Outbound requests: which addresses users may send the server to."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from registry import outbound
from registry.errors import TooBusy

NOWHERE = ()
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1",  # noqa: S104
     "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1",
     "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
     "64:ff9b:1::1", "fec0::1", "::7f00:1", "2002:7f00:1::", "2001::1", "2001:db8::1"],
)  # fmt: skip
def test_what_is_not_public_is_not_reached(address: str) -> None:
    assert not outbound.may_reach(address, NOWHERE)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f::1", "::ffff:93.184.215.14", "64:ff9b::5db8:d70e"])
def test_what_is_public_is_reached(address: str) -> None:
    assert outbound.may_reach(address, NOWHERE)


def test_the_operator_allows_networks() -> None:
    allowed = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))
    found = [outbound.may_reach(one, allowed) for one in ("10.1.2.3", "::ffff:10.1.2.3", "fd00::1", "192.168.0.1")]
    assert [True, True, True, False] == found


@pytest.mark.parametrize(
    "url",
    ["", "x", "ftp://example.test", "https://", "https://u:p@example.test", "https://example.test/#x", "file:///etc",
     "http://127.0.0.1/", "http://[::1]:80/", "http://[::ffff:10.0.0.1]/", "http://169.254.169.254/latest",
     "http://127.1/", "http://0177.0.0.1/", "http://2130706433/", "http://0/", "http://169.254.169.254./",
     "http://%31%32%37.0.0.1/", "https://example.test/\n", "https://ex ample.test", "http://h:0", "http://h:99999", "http://xn--/",
     "https://\u0661\u0662\u0667.0.0.1/", "https://example.test/" + "x" * 2048],
)  # fmt: skip
def test_what_may_not_be_tried_is_refused_as_it_stands(url: str) -> None:
    assert outbound.problem(url, NOWHERE)


@pytest.mark.parametrize("url", ["https://example.test/hook?a=b", "http://example.test:8080", "https://93.184.215.14/"])
def test_what_may_be_tried_is_not(url: str) -> None:
    assert outbound.problem(url, NOWHERE) is None


@pytest.fixture
async def receiver() -> TestServer:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="inside")

    app = web.Application()
    app.router.add_get("/", answer)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    return server


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f.1", "127.0.0.1.", "ip6-localhost"])
async def test_a_name_that_leads_inside_is_refused_when_it_is_resolved(receiver: TestServer, host: str) -> None:
    """Also numbers that only the system's resolver takes for addresses."""
    async with aiohttp.ClientSession(connector=outbound.connector(NOWHERE, limit=1)) as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(f"http://{host}:{receiver.port}/")
    await receiver.close()


async def test_what_the_operator_allows_is_connected_to(receiver: TestServer) -> None:
    async with (
        aiohttp.ClientSession(connector=outbound.connector(LOOPBACK, limit=1)) as session,
        session.get(f"http://localhost:{receiver.port}/") as response,
    ):
        assert "inside" == await response.text()
    await receiver.close()


async def test_names_that_take_long_are_in_nobodys_way(receiver: TestServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database's and the store's names are looked up in the threads of the event loop."""
    look_up, answered = socket.getaddrinfo, threading.Event()

    def slow(host: str, *args: Any, **kwargs: Any) -> Any:
        if host == "slow.example.test":
            answered.wait(10)
        return look_up("localhost" if host == "slow.example.test" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    async with aiohttp.ClientSession(connector=outbound.connector(LOOPBACK, limit=0)) as session:
        url = f"http://slow.example.test:{receiver.port}/"
        waiting = [asyncio.create_task(session.get(url)) for _ in range(outbound.LOOKUPS)]
        # Whoever gave up does not free the thread.
        await asyncio.sleep(0.05)
        waiting.pop().cancel()
        with pytest.raises(TooBusy):
            await session.get(f"http://localhost:{receiver.port}/")
        assert await asyncio.get_running_loop().getaddrinfo("localhost", 80)
        answered.set()
        assert [200] * len(waiting) == [response.status for response in await asyncio.gather(*waiting)]
    await receiver.close()
