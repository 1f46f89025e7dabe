"""The wire: requests as bytes, for what no client library would send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from aiohttp.test_utils import TestServer


@dataclass(frozen=True, slots=True)
class Answer:
    """A response as it came: header names in lower case, and each value that came under them."""

    status: int
    reason: str
    headers: Mapping[str, list[str]]
    body: bytes

    def header(self, name: str) -> str | None:
        values = self.headers.get(name.lower(), [])
        assert len(values) <= 1, (name, values)
        return values[0] if values else None


class Wire:
    """One connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, *, bodiless: bool = False, seconds: float = 10) -> Answer:
        """The next response. Raises IncompleteReadError when the connection ends before it does."""
        async with asyncio.timeout(seconds):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.split("\r\n")[:-2]
            version, status, reason = first.split(" ", 2)
            assert version in {"HTTP/1.1", "HTTP/1.0"}
            headers: dict[str, list[str]] = {}
            for line in lines:
                name, separator, value = line.partition(": ")
                assert separator, line
                headers.setdefault(name.lower(), []).append(value)
            length = int(headers.get("content-length", ["0"])[0])
            empty = bodiless or status in {"304", "100"}
            body = b"" if empty else await self._reader.readexactly(length)
        return Answer(int(status), reason, headers, body)

    async def ask(
        self, method: str, target: str | bytes, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """Send a request and read its answer."""
        raw = target if isinstance(target, bytes) else target.encode("latin-1")
        lines = [b"%s %s HTTP/1.1" % (method.encode(), raw), b"Host: registry.test"]
        lines += [f"{name}: {value}".encode("latin-1") for name, value in (headers or {}).items()]
        if body is not None:
            lines.append(b"Content-Length: %d" % len(body))
        await self.send(b"\r\n".join(lines) + b"\r\n\r\n" + (body or b""))
        return await self.answer(bodiless=method == "HEAD")

    async def ended(self, *, seconds: float = 5) -> bytes:
        """What comes until the server ends the connection."""
        async with asyncio.timeout(seconds):
            with suppress(ConnectionError):
                return await self._reader.read()
            return b""


@asynccontextmanager
async def wired(server: TestServer) -> AsyncIterator[Wire]:
    """A connection, closed afterwards."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=2**20)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
