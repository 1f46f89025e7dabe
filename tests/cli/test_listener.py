"""Connections: slow, broken and idle ones, through real sockets."""

from __future__ import annotations

import asyncio
import io
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest

from registry import metrics
from registry.cli import listener, worker
from registry.cli.errors import CommandError
from registry.settings import Settings

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
GET = b"GET /-/readiness HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
async def connect(tmp_path: Path, database_url: str) -> AsyncIterator[Callable[[], object]]:
    """Connects to a server of `registry serve` in this process."""
    stop, ready = asyncio.Event(), asyncio.Event()
    settings = Settings(data_dir=tmp_path, shutdown_seconds=1)
    with listener.bound("127.0.0.1", 0) as sockets:
        port = sockets[0].getsockname()[1]
        serving = asyncio.create_task(worker.serve(settings, database_url, sockets, stop=stop, ready=ready.set))
        await ready.wait()

        @asynccontextmanager
        async def connected() -> AsyncIterator[Streams]:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                yield reader, writer
            finally:
                writer.close()

        yield connected
        stop.set()
        await serving


def count(name: str) -> float:
    return metrics.REGISTRY.get_sample_value(name) or 0


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[16:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length: "))
    return int(head.split()[1]), await reader.readexactly(length)


async def test_a_connection_without_a_whole_head_is_closed(
    connect: Callable[[], Streams], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "HEAD_SECONDS", 0.4)
    before = count("registry_http_slow_heads_total")
    async with connect() as (silent, _), connect() as (slow, drip), connect() as (served, kept):
        kept.write(GET)
        assert 200 == (await answer(served))[0]
        async with asyncio.timeout(5):
            for byte in GET[:3]:
                drip.write(bytes([byte]))
                await asyncio.sleep(0.05)
            assert (b"", b"") == (await silent.read(), await slow.read())
        # Who was served once may take longer for the next request.
        kept.write(GET)
        assert 200 == (await answer(served))[0]
    assert before + 2 == count("registry_http_slow_heads_total")


async def test_what_is_not_http_gets_a_plain_400_and_one_line_of_log(connect: Callable[[], Streams]) -> None:
    root, stream = logging.getLogger(), io.StringIO()
    handler = logging.StreamHandler(stream)
    root.addHandler(handler)
    listener._complaints.__init__()  # type: ignore[misc]
    before = count("registry_http_malformed_total")
    try:
        for nonsense in (
            b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
            b"GET / HTTP/1.1\r\nPRIVATE-TOKEN : glpat-x\r\n\r\n",
            b"X\r\n\r\n",
        ):
            async with connect() as (reader, writer):
                writer.write(nonsense)
                assert (400, b"400 Bad request") == await answer(reader)
                assert b"" == await reader.read()
    finally:
        root.removeHandler(handler)
    assert before + 3 == count("registry_http_malformed_total")
    assert "1 malformed requests were refused, the last from 127.0.0.1\n" == stream.getvalue()


async def test_requests_may_be_pipelined(connect: Callable[[], Streams]) -> None:
    async with connect() as (reader, writer):
        writer.write(GET * 5)
        assert [200] * 5 == [(await answer(reader))[0] for _ in range(5)]


async def test_a_gzipped_body_is_not_inflated_on_the_way_in(connect: Callable[[], Streams]) -> None:
    async with connect() as (reader, writer):
        writer.write(
            b"POST /api/v4/projects HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope"
        )
        status, _ = await answer(reader)
        assert status in {401, 415}


def test_a_host_name_is_bound_on_all_its_addresses() -> None:
    with listener.bound("localhost", 0) as sockets:
        assert {"127.0.0.1", "::1"} >= {sock.getsockname()[0] for sock in sockets} != set()
        assert 1 == len({sock.getsockname()[1] for sock in sockets})


def test_a_shared_port_is_joined_and_refused_to_strangers() -> None:
    with listener.bound("127.0.0.1", 0, shared=True) as (first,):
        port = first.getsockname()[1]
        with listener.bound("127.0.0.1", port, shared=True, joining=True) as (second,):
            second.listen()
            with (
                pytest.raises(CommandError, match="Address already in use"),
                listener.bound("127.0.0.1", port, shared=True),
            ):
                pass
            with pytest.raises(CommandError, match="Address already in use"), listener.bound("127.0.0.1", port):
                pass


@pytest.mark.parametrize("host", ["nowhere.invalid", "192.0.2.1"])
def test_a_host_that_is_not_here_is_told(host: str) -> None:
    with pytest.raises(CommandError, match=f"cannot listen on {host}:0: "), listener.bound(host, 0):
        pass


def test_every_address_means_ipv4_too() -> None:
    try:
        with listener.bound("::", 0) as (sock,):
            sock.listen()
            with socket.create_connection(("127.0.0.1", sock.getsockname()[1])) as client:
                accepted, address = sock.accept()
                accepted.close()
                assert client.getsockname()[1] == address[1]
    except CommandError:
        pytest.skip("this machine has no IPv6")


async def test_who_waits_in_the_queue_of_the_socket_is_served_and_told_to_go_elsewhere(
    tmp_path: Path, database_url: str
) -> None:
    stop, ready = asyncio.Event(), asyncio.Event()
    settings = Settings(data_dir=tmp_path, drain_seconds=1, shutdown_seconds=5)
    with listener.bound("127.0.0.1", 0) as sockets, ExitStack() as stack:
        address = sockets[0].getsockname()
        serving = asyncio.create_task(worker.serve(settings, database_url, sockets, stop=stop, ready=ready.set))
        await ready.wait()
        reader, writer = await asyncio.open_connection(*address)
        writer.write(GET)
        assert 200 == (await answer(reader))[0]

        stop.set()
        await asyncio.sleep(0.2)
        # For a second it still accepts, says that it is not ready, and ends each connection with its answer.
        writer.write(GET)
        said = await reader.read()
        assert said.startswith(b"HTTP/1.1 503 ")
        assert b"Connection: close\r\n" in said
        assert said.endswith(b'{"status":"draining"}')
        writer.close()
        # The loop stands still until it must have stopped: these are connected by the kernel, and by nobody else.
        waiting = [stack.enter_context(socket.create_connection(address)) for _ in range(5)]
        for one in waiting:
            one.sendall(GET)
        time.sleep(1)  # noqa: ASYNC251
        answers = [await asyncio.to_thread(all_of, one) for one in waiting]
        assert [b"503"] * 5 == [one.split()[1] for one in answers]
        await serving
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)


def all_of(sock: socket.socket) -> bytes:
    sock.settimeout(10)
    said = b""
    while piece := sock.recv(1000):
        said += piece
    return said
