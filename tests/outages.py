"""Outages: a proxy between the registry and Postgres, for connections to be lost when it matters most."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, quote, urlsplit

_SOCKET = ".s.PGSQL.5432"
# The whole message of a simple query, as asyncpg's `execute` without arguments sends it.
_COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"

Cut = Literal["before", "after", "meanwhile"]


@dataclass
class Outage:
    """What the proxy does to connections; changed by a test at any time.

    `refuse`: connections are closed as soon as they are made. `stall`: nothing is passed on, nothing is closed.
    `cut_commit`: the next COMMIT loses its connection - `before` it reaches Postgres, `after` Postgres has done it, or
    `meanwhile`: Postgres gets it only once `release` is set. `on_cut` is called at that moment.
    """

    url: str = ""
    refuse: bool = False
    stall: bool = False
    cut_commit: Cut | None = None
    on_cut: Callable[[], None] = lambda: None
    release: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    def cut(self) -> None:
        """Lose every connection, now."""
        for writer in self._open:
            writer.transport.abort()

    def fail(self) -> None:
        """Postgres is away until `recover`."""
        self.refuse = True
        self.cut()

    def recover(self) -> None:
        """Postgres is back."""
        self.refuse = self.stall = False


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[Outage]:
    """A proxy in front of the Postgres of `url`, at `Outage.url`."""
    parts = urlsplit(url)
    target = Path(parse_qs(parts.query)["host"][0]) / _SOCKET
    outage = Outage()
    with tempfile.TemporaryDirectory(prefix="proxy-", dir="/tmp") as directory:

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            outage.connections += 1
            if outage.refuse:
                writer.transport.abort()
                return
            with suppress(ConnectionError):
                await _pass_on(outage, target, reader, writer)

        server = await asyncio.start_unix_server(connected, Path(directory) / _SOCKET)
        outage.url = parts._replace(query=f"host={quote(directory)}&port=5432").geturl()
        try:
            yield outage
        finally:
            server.close()
            outage.release.set()
            outage.cut()
            await asyncio.sleep(0)


async def _pass_on(outage: Outage, target: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    upstream_reader, upstream = await asyncio.open_unix_connection(target)
    ends = {writer, upstream}
    outage._open |= ends
    answers = asyncio.create_task(_copy(outage, upstream_reader, writer))
    try:
        while data := await reader.read(2**16):
            await _stalled(outage)
            cut = outage.cut_commit if data.endswith(_COMMIT) else None
            if cut is not None:
                outage.cut_commit = None
                await _cut(outage, cut, upstream, data, writer, answers)
                return
            upstream.write(data)
    except ConnectionError:
        pass
    finally:
        answers.cancel()
        await asyncio.gather(answers, return_exceptions=True)
        outage._open -= ends
        for end in ends:
            end.transport.abort()


async def _cut(
    outage: Outage,
    cut: Cut,
    upstream: asyncio.StreamWriter,
    data: bytes,
    writer: asyncio.StreamWriter,
    answers: asyncio.Task[None],
) -> None:
    answers.cancel()
    await asyncio.gather(answers, return_exceptions=True)
    # The end that Postgres has stays as it is, whatever else is cut.
    outage._open.discard(upstream)
    if cut == "after":
        upstream.write(data)
        await asyncio.sleep(0.1)
    outage.on_cut()
    writer.transport.abort()
    if cut == "meanwhile":
        await outage.release.wait()
        upstream.write(data)
        await asyncio.sleep(0.1)


async def _copy(outage: Outage, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(2**16):
            await _stalled(outage)
            writer.write(data)
        writer.close()


async def _stalled(outage: Outage) -> None:
    while outage.stall:
        await asyncio.sleep(0.01)


def database_name(url: str) -> str:
    """The database of a URL."""
    match = re.search(r"@/(\w+)\?", url)
    assert match is not None
    return match[1]
