"""An object store that pauses: an S3 server, and in front of it a proxy that holds everything back for a while."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from unittest.mock import patch

from aiobotocore.session import get_session
from moto.server import ThreadedMotoServer

BUCKET = "soak"
_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


class Store:
    """The store of a soak. `url` is for `REGISTRY_STORAGE_URL`; `direct_url` goes past the proxy."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._flowing: asyncio.Event
        self._ends: set[asyncio.StreamWriter] = set()
        self._passing: set[asyncio.Task[None]] = set()
        proxy = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        self.direct_url, self.url = self._url(port), self._url(proxy)

    def pause(self) -> None:
        """Hold everything back, without closing anything, until `resume`."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def resume(self) -> None:
        self._loop.call_soon_threadsafe(self._flowing.set)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _url(self, port: int) -> str:
        return f"s3://{BUCKET}/?endpoint_url=http://{self._host}:{port}&region=us-east-1"

    async def _listen(self) -> int:
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)
        back, there = await asyncio.open_connection(self._host, self._port)
        ends = {writer, there}
        self._ends |= ends
        try:
            # Whichever side hangs up first, the connection is over.
            ways = [asyncio.create_task(self._pass_on(*way)) for way in ((reader, there), (back, writer))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        finally:
            self._ends -= ends
            for end in ends:
                end.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(2**16):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()

    async def _stop(self) -> None:
        self._server.close()
        for end in list(self._ends):
            end.transport.abort()
        self._flowing.set()
        await asyncio.gather(*self._passing, return_exceptions=True)


@contextmanager
def running() -> Iterator[Store]:
    """A store with an empty bucket; our environment, and so that of the replicas, holds its credentials."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        with patch.dict(os.environ, _CREDENTIALS):
            host, port = server.get_host_and_port()
            asyncio.run(_make_bucket(f"http://{host}:{port}"))
            store = Store(host, port)
            try:
                yield store
            finally:
                store.close()
    finally:
        server.stop()


async def _make_bucket(endpoint: str) -> None:
    async with get_session().create_client("s3", endpoint_url=endpoint, region_name="us-east-1") as client:
        await client.create_bucket(Bucket=BUCKET)
