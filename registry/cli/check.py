"""`registry check`: proves that database and object store do what the registry needs of them."""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import UTC, datetime

import aiohttp

from registry import logs
from registry.cli import database, output
from registry.cli.errors import CommandError, ConfigurationError
from registry.db import blobs
from registry.db.connection import Database, open_database
from registry.errors import FileNotFound, RegistryError
from registry.settings import Settings
from registry.storage import BlobStore, open_store

SMALL = 4096
# More than the writer of S3 puts into one request (8 MiB), so that it has to take the multipart way.
LARGE = 9 * 1024**2
DOWNLOAD_SECONDS = 30.0


def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Print one line for each step, `ok` or `FAILED: why`; exit code 1 when any failed. Leaves nothing behind."""
    del arguments
    logs.configure("error")
    with database.url(settings) as database_url:
        return 0 if asyncio.run(_check(settings, database_url)) else 1


class _Steps:
    """Runs steps and prints how they went; those after a failure are skipped where they need what failed."""

    def __init__(self) -> None:
        self.passed = True

    async def step(self, name: str, work: Callable[[], Awaitable[object]]) -> bool:
        """Whether it worked."""
        try:
            await work()
        except (ConfigurationError, CommandError, RegistryError, aiohttp.ClientError, OSError, ValueError) as error:
            output.line(f"{name}: FAILED: {str(error) or type(error).__name__}")
            self.passed = False
            return False
        output.line(f"{name}: ok")
        return True


async def _check(settings: Settings, database_url: str) -> bool:
    steps = _Steps()
    direct = database.direct_url(settings, database_url)
    async with AsyncExitStack() as stack:
        reached = await steps.step("database: connection and schema", lambda: database.check(direct))
        if not reached:
            return False
        pooled = settings.database_direct_url is not None
        db = await open_database(database_url, pool_size=2, pooled=pooled)
        stack.push_async_callback(db.close)
        if not await steps.step("database: transaction", lambda: _transaction(db)):
            return False
        store: BlobStore | None = None

        async def open_it() -> None:
            nonlocal store
            store = await stack.enter_async_context(open_store(settings.store_url))

        await steps.step("store: opened", open_it)
        if store is not None:
            await _check_store(steps, db, store)
    return steps.passed


async def _transaction(db: Database) -> None:
    """Write, and take it back: a row that is gone again when the transaction ends."""
    async with db.transaction() as tx:
        blob_id = await blobs.open_blob(tx, secrets.token_hex(16))
        await blobs.doom(tx, [blob_id])
        await blobs.delete(tx, blob_id)


async def _check_store(steps: _Steps, db: Database, store: BlobStore) -> None:
    async with _object(db, store) as (key, content):
        if not await steps.step("store: write", lambda: _write(store, key, content)):
            return
        await steps.step("store: read", lambda: _read(store, key, content, 0, len(content)))
        await steps.step("store: range", lambda: _read(store, key, content, 1000, 2000))
        url = store.presign(key, file_name="check.bin", now=datetime.now(UTC))
        if url is not None:
            await steps.step("store: presigned download", lambda: _download(url, content))
        await steps.step("store: delete", lambda: _delete(store, key))
    async with _object(db, store, LARGE) as (key, content):
        if await steps.step("store: multipart upload", lambda: _write(store, key, content)):
            await steps.step("store: multipart read", lambda: _read(store, key, content, LARGE - 2 * 1024**2, 1024**2))


@asynccontextmanager
async def _object(db: Database, store: BlobStore, size: int = SMALL) -> AsyncIterator[tuple[str, bytes]]:
    """A key, and content for it. Its row makes the clean-up find it should this process die."""
    key = f"{secrets.token_hex(1)}/{secrets.token_hex(1)}/{secrets.token_hex(16)}"
    blob_id = await blobs.open_blob(db, key)
    try:
        yield key, os.urandom(size)
    finally:
        await store.abort_upload(key, None)
        await store.delete(key)
        await blobs.doom(db, [blob_id])
        await blobs.delete(db, blob_id)


async def _write(store: BlobStore, key: str, content: bytes) -> None:
    writer = store.writer(key)
    try:
        await writer.write(content)
        await writer.commit()
    finally:
        await writer.abort()
    if await store.size(key) != len(content):
        raise CommandError("the object has another size than what was written")


async def _read(store: BlobStore, key: str, content: bytes, start: int, length: int) -> None:
    wanted = content[start : start + length]
    if await store.read(key, start, length) != wanted:
        raise CommandError("the bytes differ from what was written")
    async with aclosing(store.stream(key, start, length)) as pieces:
        if b"".join([piece async for piece in pieces]) != wanted:
            raise CommandError("the streamed bytes differ from what was written")


async def _download(url: str, content: bytes) -> None:
    """What a client does with the redirect: no credentials, no headers of ours."""
    timeout = aiohttp.ClientTimeout(total=DOWNLOAD_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as client, client.get(url) as answer:
        if answer.status != 200:
            raise CommandError(f"the store answers {answer.status} to a presigned URL")
        if await answer.read() != content:
            raise CommandError("a presigned URL leads to other bytes")


async def _delete(store: BlobStore, key: str) -> None:
    await store.delete(key)
    try:
        await store.size(key)
    except FileNotFound:
        return
    raise CommandError("the object is still there")
