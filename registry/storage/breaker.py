"""The breaker: a store that failed several times in a row is left alone until it answers again.

Without it each request finds out for itself, seconds later, that the store is away, and holds its memory meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from registry import metrics
from registry.errors import RegistryError, Unavailable
from registry.storage import BlobStore, BlobWriter, Opened, StoredObject, UnfinishedUpload

T = TypeVar("T")

log = logging.getLogger(__name__)

WINDOW_SECONDS = 60.0
OPEN_SECONDS = 5.0
# Asked whether it is there, to see whether the store answers; nothing has a key as short as this.
PROBE = "0"


@asynccontextmanager
async def guarded(store: BlobStore, *, failures: int) -> AsyncIterator[BlobStore]:
    """The store behind a breaker, for the life of the context; `failures` in a row open it, 0: nothing does."""
    guard = GuardedStore(store, failures)
    try:
        yield guard
    finally:
        await guard.stop_probing()


class GuardedStore:
    """See `registry.storage.BlobStore`.

    A failure is `Unavailable`; any other answer of the store, a refusal as well, shows that it is there. After so many
    failures within `WINDOW_SECONDS` and nothing in between, everything is refused with Unavailable at once. Every
    `OPEN_SECONDS` the store is asked for one thing, and back in use when it answers. Presigned URLs and local paths
    need no answer of the store: they are never refused.
    """

    def __init__(self, store: BlobStore, failures: int) -> None:
        self._store = store
        self._failures = failures
        self._failed_at: deque[float] = deque(maxlen=failures)
        self._probing: asyncio.Task[None] | None = None
        self.public_host = store.public_host

    async def admit(self, size: int) -> None:
        """Raise what an upload of `size` bytes would meet."""
        self.check()
        await self._store.admit(size)

    def writer(self, key: str, *, opened: Opened | None = None) -> BlobWriter:
        """Start an object."""
        self.check()
        return _GuardedWriter(self, self._store, key, opened)

    async def size(self, key: str) -> int:
        """Bytes of the object."""
        with self.operation("size"):
            return await self._store.size(key)

    async def read(self, key: str, start: int, length: int) -> bytes:
        """The bytes there are in the range."""
        with self.operation("read"):
            return await self._store.read(key, start, length)

    async def stream(self, key: str, start: int = 0, length: int | None = None) -> AsyncGenerator[bytes]:
        """The bytes of a range, in pieces."""
        async with aclosing(self._each("stream", self._store.stream(key, start, length))) as pieces:
            async for piece in pieces:
                yield piece

    async def delete(self, key: str) -> None:
        """Remove the object."""
        with self.operation("delete"):
            await self._store.delete(key)

    async def abort_upload(self, key: str, upload_id: str | None) -> None:
        """Remove what is left of an unfinished upload."""
        with self.operation("abort"):
            await self._store.abort_upload(key, upload_id)

    async def list(self) -> AsyncGenerator[StoredObject]:
        """Every complete object, ordered by key."""
        async with aclosing(self._each("list", self._store.list())) as objects:
            async for found in objects:
                yield found

    async def unfinished(self) -> AsyncGenerator[UnfinishedUpload]:
        """Every upload that was begun and is not complete."""
        async with aclosing(self._each("list", self._store.unfinished())) as uploads:
            async for found in uploads:
                yield found

    async def _each(self, kind: str, source: AsyncGenerator[T]) -> AsyncGenerator[T]:
        """Every item, each of which is an operation."""
        async with aclosing(source) as items:
            while True:
                with self.operation(kind):
                    item = await anext(items, None)
                if item is None:
                    return
                yield item

    def path(self, key: str) -> Path | None:
        """The local file of the object."""
        return self._store.path(key)

    def presign(self, key: str, *, file_name: str, now: datetime) -> str | None:
        """A URL that downloads the object."""
        return self._store.presign(key, file_name=file_name, now=now)

    async def close(self) -> None:
        """Close the store."""
        await self.stop_probing()
        await self._store.close()

    async def stop_probing(self) -> None:
        """Ask no more."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)

    def check(self) -> None:
        """Raise Unavailable while the store is left alone."""
        if self._probing is not None:
            raise Unavailable("The object store does not answer, try again later", retry_after=math.ceil(OPEN_SECONDS))

    @contextmanager
    def operation(self, kind: str) -> Iterator[None]:
        """Around a use of the store that ends with an answer of it."""
        self.check()
        try:
            with metrics.store_seconds.labels(kind).time():
                yield
        except Unavailable:
            self.note_failure()
            raise
        except RegistryError:
            self.note_answer()
            raise
        self.note_answer()

    def note_answer(self) -> None:
        """The store has answered something."""
        self._failed_at.clear()

    def note_failure(self) -> None:
        """It has not, or an error of its own."""
        now = time.monotonic()
        self._failed_at.append(now)
        if self._probing is not None or not self._failures or len(self._failed_at) < self._failures:
            return
        if now - self._failed_at[0] <= WINDOW_SECONDS:
            log.error("The object store failed %d times in a row and is left alone", self._failures)
            metrics.store_open.set(1)
            metrics.store_openings.inc()
            self._probing = asyncio.create_task(self._probe(), name="store probe")

    async def _probe(self) -> None:
        try:
            while True:
                await asyncio.sleep(OPEN_SECONDS)
                try:
                    await self._store.size(PROBE)
                except Unavailable:
                    continue
                except RegistryError:
                    pass
                log.warning("The object store answers again")
                return
        finally:
            self._failed_at.clear()
            self._probing = None
            metrics.store_open.set(0)


class _GuardedWriter:
    """See `registry.storage.BlobWriter`. What was begun is not refused, only noted."""

    def __init__(self, guard: GuardedStore, store: BlobStore, key: str, opened: Opened | None) -> None:
        self._guard = guard
        self._opened = opened
        self._elsewhere: BaseException | None = None
        self._writer = store.writer(key, opened=self._tell if opened is not None else None)

    async def write(self, piece: bytes) -> None:
        """Append a piece. That it was taken says nothing of the store: it may be kept until there are more of them."""
        try:
            with metrics.store_seconds.labels("write").time():
                await self._writer.write(piece)
        except Unavailable as error:
            if error is not self._elsewhere:
                self._guard.note_failure()
            raise

    async def commit(self) -> None:
        """Finish."""
        try:
            with metrics.store_seconds.labels("commit").time():
                await self._writer.commit()
        except Unavailable as error:
            if error is not self._elsewhere:
                self._guard.note_failure()
            raise
        self._guard.note_answer()

    async def abort(self) -> None:
        """Leave nothing behind."""
        await self._writer.abort()

    async def _tell(self, upload_id: str) -> None:
        """Tell who wants to know, whose troubles are not those of the store."""
        if self._opened is not None:
            try:
                await self._opened(upload_id)
            except BaseException as error:
                self._elsewhere = error
                raise
