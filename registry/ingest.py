"""Ingest: an incoming stream becomes a hashed, limited, stored blob, while it arrives.

Order: intent row -> object -> digests noted. Whatever stops in between leaves an intent row, which the janitor turns
into nothing. Hashing runs in threads, a piece at a time; the next piece is read meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import secrets
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from registry import failpoints, metrics
from registry.budget import Budget
from registry.db import blobs
from registry.db.connection import Database
from registry.errors import RegistryError, TooBusy, TooLarge
from registry.model import Blob, Digests
from registry.storage import BlobStore, BlobWriter
from registry.threads import step_back

log = logging.getLogger(__name__)

PIECE = 512 * 1024
# What one upload may hold: the piece being filled and the one being hashed here, three parts in the S3 writer.
UPLOAD_MEMORY = 26 * 1024**2
# What is as small as this does not queue behind what is large.
SMALL_UPLOAD = 4 * 1024**2
# Uploads in line for memory; a balancer's own time-out is a minute, and twine sends five times what it answers.
WAITING = 256
WAIT_SECONDS = 20.0
REFUSAL = "too many uploads at once, try again later"
CLEANUP_SECONDS = 20.0

_ALGORITHMS = ("sha256", "md5", "sha1", "sha512", "blake2b_256")


class Ingest:
    """Receives uploads for one store. Their memory together is bounded: who exceeds it waits, then is told so.

    Small uploads have a share of their own, a quarter: none of them waits for a large one, nor the other way round.
    """

    def __init__(self, db: Database, store: BlobStore, *, memory: int, wait_seconds: float = WAIT_SECONDS) -> None:
        self._db = db
        self._store = store
        large = max(UPLOAD_MEMORY, memory * 3 // 4)
        small = max(SMALL_UPLOAD, memory - large)
        self._large, self._small = (
            Budget(amount, waiting=WAITING, seconds=wait_seconds, refusal=REFUSAL) for amount in (large, small)
        )
        self._hashers = ThreadPoolExecutor(4, thread_name_prefix="hash", initializer=step_back)

    @contextlib.asynccontextmanager
    async def upload(
        self, *, limit: int, algorithms: frozenset[str], length: int | None = None
    ) -> AsyncIterator[Upload]:
        """Receive one content of at most `limit` bytes, out of a body of `length` bytes where that is known.

        Leaving the block without `upload.keep()` removes whatever was stored. Raises TooBusy when no memory came free,
        and before anything is read what the store says to that much: StorageFull, Unavailable.
        """
        await self._store.admit(length or 0)
        async with self.room(length):
            upload = Upload(self._db, self._store, self._hashers, limit=limit, algorithms=algorithms)
            try:
                yield upload
            finally:
                if not upload.kept:
                    await asyncio.shield(upload.discard())

    @contextlib.asynccontextmanager
    async def room(self, length: int | None) -> AsyncIterator[None]:
        """Memory for a body of `length` bytes, None: of any length. Raises TooBusy when none came free in time."""
        memory = UPLOAD_MEMORY if length is None else min(UPLOAD_MEMORY, length + 2 * PIECE)
        budget = self._small if memory <= SMALL_UPLOAD else self._large
        async with contextlib.AsyncExitStack() as stack:
            try:
                with metrics.uploads_waiting.track_inprogress():
                    await stack.enter_async_context(budget.share(memory))
            except TooBusy:
                metrics.rate_limited.labels("uploads").inc()
                raise
            metrics.upload_budget.inc(memory)
            stack.callback(metrics.upload_budget.dec, memory)
            yield

    def close(self) -> None:
        """End the hashing threads."""
        self._hashers.shutdown(wait=False, cancel_futures=True)


class Upload:
    """One content on its way into the store."""

    def __init__(
        self,
        db: Database,
        store: BlobStore,
        hashers: ThreadPoolExecutor,
        *,
        limit: int,
        algorithms: frozenset[str],
    ) -> None:
        self._db = db
        self._store = store
        self._hashers = hashers
        self._limit = limit
        self._hashes = {name: _new_hash(name) for name in _ALGORITHMS if name == "sha256" or name in algorithms}
        self._buffer = bytearray()
        self._hashing: asyncio.Future[None] | None = None
        self._writer: BlobWriter | None = None
        self._blob_id: int | None = None
        self._key = f"{secrets.token_hex(1)}/{secrets.token_hex(1)}/{secrets.token_hex(16)}"
        self._complete = False
        self.size = 0
        self.kept = False

    def also(self, algorithm: str) -> None:
        """Compute a further digest; before the first byte."""
        self._hashes[algorithm] = _new_hash(algorithm)

    async def write(self, piece: bytes) -> None:
        """Take the next bytes. Raises TooLarge above the limit."""
        self.size += len(piece)
        if self.size > self._limit:
            raise TooLarge(f"File is too large: the limit is {self._limit} bytes")
        self._buffer += piece
        if len(self._buffer) >= PIECE:
            await self._pass_on()

    async def finish(self) -> Blob:
        """End the content: store the rest, complete the object, note what it is. It is not referred to yet."""
        await self._pass_on()
        if self._hashing is not None:
            await self._hashing
        await failpoints.reach("ingest.before-store-commit")
        writer, blob_id = self._opened()
        await writer.commit()
        await failpoints.reach("ingest.after-store-commit")
        digests = Digests(**{name: digest.hexdigest() for name, digest in self._hashes.items()})
        await blobs.complete(self._db, blob_id, self.size, digests)
        self._complete = True
        await failpoints.reach("ingest.after-digests")
        metrics.upload_bytes.inc(self.size)
        return Blob(blob_id, self._key, self.size, digests)

    def keep(self) -> None:
        """A committed row refers to it: leave it where it is."""
        self.kept = True

    async def discard(self) -> None:
        """Remove what was stored, unless a file refers to it after all; the janitor does it when this fails."""
        if self._blob_id is None:
            return
        try:
            async with asyncio.timeout(CLEANUP_SECONDS):
                if self._hashing is not None:
                    await asyncio.gather(self._hashing, return_exceptions=True)
                # Once complete it may be published: a commit that went unanswered may still be at it, holds the row
                # until it ends, and wins. The object is touched only after that.
                if self._complete and not await blobs.abandon(self._db, self._blob_id):
                    return
                await failpoints.reach("discard.before-object")
                if self._writer is not None:
                    await self._writer.abort()
                    await self._store.delete(self._key)
                await failpoints.reach("discard.after-object")
                if not self._complete:
                    await blobs.doom(self._db, [self._blob_id])
                await blobs.delete(self._db, self._blob_id)
        except (RegistryError, OSError, TimeoutError) as error:
            log.warning("An abandoned upload is left to the janitor: %s", type(error).__name__)

    async def _pass_on(self) -> None:
        piece = bytes(self._buffer)
        self._buffer.clear()
        if self._writer is None:
            await failpoints.reach("ingest.before-intent")
            self._blob_id = await blobs.open_blob(self._db, self._key)
            await failpoints.reach("ingest.after-intent")
            self._writer = self._store.writer(self._key, opened=self._note_upload_id)
        if self._hashing is not None:
            await self._hashing
        self._hashing = asyncio.get_running_loop().run_in_executor(self._hashers, self._hash, piece)
        await self._writer.write(piece)
        await failpoints.reach("ingest.after-piece")

    def _opened(self) -> tuple[BlobWriter, int]:
        if self._writer is None or self._blob_id is None:
            raise RuntimeError("finish() passes a piece on before it asks")
        return self._writer, self._blob_id

    def _hash(self, piece: bytes) -> None:
        for digest in self._hashes.values():
            digest.update(piece)

    async def _note_upload_id(self, upload_id: str) -> None:
        if self._blob_id is not None:
            await blobs.set_upload_id(self._db, self._blob_id, upload_id)


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


def _new_hash(name: str) -> _Hash:
    if name == "blake2b_256":
        return hashlib.blake2b(digest_size=32)
    if name in {"md5", "sha1"}:
        return hashlib.new(name, usedforsecurity=False)
    return hashlib.new(name)
