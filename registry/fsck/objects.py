"""Rows against objects, in both directions."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime

from registry.db import blobs, fsck
from registry.db.connection import Database
from registry.db.fsck import StoredBlob
from registry.errors import FileNotFound
from registry.fsck.findings import Finding, Mode
from registry.storage import BlobStore, StoredObject

# Objects asked for at once: questions about size, and whole objects being hashed.
WIDTH, DEEP_WIDTH = 16, 4
PAGE = 1000
PIECE = 1024 * 1024


async def check_rows(db: Database, store: BlobStore, mode: Mode) -> AsyncGenerator[Finding]:
    """Every stored blob has its object, of its size, and with `deep` of its digest. Nothing here can be repaired."""
    after = 0
    while page := await fsck.list_stored(db, after=after, limit=DEEP_WIDTH if mode.deep else WIDTH):
        for finding in await asyncio.gather(*(_check_blob(db, store, blob, deep=mode.deep) for blob in page)):
            if finding is not None:
                yield finding
        after = page[-1].id


async def check_store(db: Database, store: BlobStore, mode: Mode) -> AsyncGenerator[Finding]:
    """Every object has a row. One without is removed on `repair`, unless there is a reason not to."""
    newest, known = await fsck.find_newest_blob(db), await fsck.count_blobs(db)
    before = datetime.now(UTC) - mode.min_age
    orphans = 0
    async with aclosing(_orphans(db, store)) as found:
        async for one in found:
            orphans += 1
            # More strangers than acquaintances: this is the store of another database.
            removable = newest is not None and one.modified < min(newest, before) and orphans <= known
            repaired = mode.repair and removable and await _remove(db, store, one)
            what = f"no row knows {one.key}, {one.size} bytes of {one.modified:%Y-%m-%d %H:%M:%S}Z"
            if newest is None or one.modified > newest:
                what += ", younger than every row: was the database restored, or is it of another store?"
            yield Finding("object-orphan", "warning", what, repaired)


async def _check_blob(db: Database, store: BlobStore, blob: StoredBlob, *, deep: bool) -> Finding | None:
    try:
        size = await store.size(blob.key)
        digest = await _digest(store, blob.key) if deep and size == blob.size else blob.sha256
    except FileNotFound:
        kind, what = "object-missing", f"{blob.key} is not in the store"
    else:
        if (size, digest) == (blob.size, blob.sha256):
            return None
        if size != blob.size:
            kind, what = "object-size", f"{blob.key} has {size} bytes, not {blob.size}"
        else:
            kind, what = "object-digest", f"{blob.key} has the sha256 {digest}, not {blob.sha256}"
    if not await fsck.is_stored(db, blob.id):
        return None  # deleted meanwhile
    files = "".join(
        f"; it is {file.file_name} of {file.package_type} {file.name} {file.version} in {file.project}"
        for file in await fsck.list_files_of(db, blob.id)
    )
    return Finding(kind, "error", what + files)


async def _digest(store: BlobStore, key: str) -> str:
    """The sha256 of an object, computed in threads a piece at a time."""
    digest, waiting = hashlib.sha256(), bytearray()
    async with aclosing(store.stream(key)) as pieces:
        async for piece in pieces:
            waiting += piece
            if len(waiting) >= PIECE:
                await asyncio.to_thread(digest.update, bytes(waiting))
                waiting.clear()
    digest.update(waiting)
    return digest.hexdigest()


async def _orphans(db: Database, store: BlobStore) -> AsyncGenerator[StoredObject]:
    """Objects without a row. A row is there before its object and stays until the object is gone."""
    page: list[StoredObject] = []
    async with aclosing(store.list()) as objects:
        async for one in objects:
            page.append(one)
            if len(page) == PAGE:
                for orphan in await _unknown(db, store, page):
                    yield orphan
                page.clear()
    for orphan in await _unknown(db, store, page):
        yield orphan


async def _unknown(db: Database, store: BlobStore, page: list[StoredObject]) -> list[StoredObject]:
    keys = await blobs.list_unknown(db, [one.key for one in page])
    return [one for one in page if one.key in keys and await _is_there(store, one.key)]


async def _is_there(store: BlobStore, key: str) -> bool:
    """Whether it still is: row and object may have gone since it was listed."""
    try:
        await store.size(key)
    except FileNotFound:
        return False
    return True


async def _remove(db: Database, store: BlobStore, orphan: StoredObject) -> bool:
    """Remove an object, having looked again that no row knows it."""
    if not await blobs.list_unknown(db, [orphan.key]):
        return False
    await store.delete(orphan.key)
    return True
