"""Blobs in Postgres: the intent to write, the completed object, the doomed one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from registry.db.connection import Db
from registry.db.queries import Queries
from registry.model import Digests

SQL = Queries("blobs")


@dataclass(frozen=True, slots=True)
class DoomedBlob:
    """An object to be deleted; `upload_id` is set when a multipart upload of it was under way."""

    id: int
    key: str
    upload_id: str | None
    size: int | None


async def open_blob(db: Db, key: str) -> int:
    """Write down the intent to store an object under this key; answers the blob's id."""
    return int(await db.fetchval(SQL.open, key))


async def set_upload_id(db: Db, blob_id: int, upload_id: str) -> None:
    """Remember the multipart upload of an open blob."""
    await db.execute(SQL.set_upload_id, blob_id, upload_id)


async def complete(db: Db, blob_id: int, size: int, digests: Digests) -> None:
    """Note what the finished object is. It is still `open`: no file refers to it."""
    await db.execute(
        SQL.complete, blob_id, size, digests.sha256, digests.md5, digests.sha1, digests.sha512, digests.blake2b_256
    )


async def store(tx: Db, blob_id: int) -> bool:
    """Make it `stored`, in the transaction that refers to it. False when the janitor took it meanwhile."""
    return await tx.fetchval(SQL.store, blob_id) is not None


async def abandon(db: Db, blob_id: int) -> bool:
    """Doom a blob that nothing refers to. False when a file does after all, or the janitor took it already."""
    return await db.fetchval(SQL.abandon, blob_id) is not None


async def doom(db: Db, blob_ids: Sequence[int]) -> None:
    """Nobody refers to these any more."""
    await db.execute(SQL.doom, blob_ids)


async def list_abandoned(db: Db, older_than: timedelta, *, after: int, limit: int) -> list[DoomedBlob]:
    """Blobs whose writer must be dead by now, by id, beginning after an id."""
    return [DoomedBlob(**row) for row in await db.fetch(SQL.list_abandoned, older_than, after, limit)]


async def doom_abandoned(db: Db, older_than: timedelta, *, limit: int) -> list[DoomedBlob]:
    """Doom blobs whose writer must be dead by now. One that is being published this moment is left alone."""
    rows = await db.fetch(SQL.doom_abandoned, older_than, limit)
    return sorted((DoomedBlob(**row) for row in rows), key=lambda blob: blob.id)


async def list_unknown(db: Db, keys: Sequence[str]) -> frozenset[str]:
    """Those of some keys that have no row."""
    return frozenset(row["key"] for row in await db.fetch(SQL.list_unknown, keys))


async def find_state(db: Db, blob_id: int) -> str | None:
    """`open`, `stored`, `doomed`, or None when there is no such row."""
    state: str | None = await db.fetchval(SQL.find_state, blob_id)
    return state


async def list_doomed(
    db: Db, *, grace: timedelta, abandoned_grace: timedelta, after: int, limit: int
) -> list[DoomedBlob]:
    """Doomed blobs whose grace is over, by id, beginning after an id.

    Those that no file ever referred to, and so no backup does, have a shorter one.
    """
    return [DoomedBlob(**row) for row in await db.fetch(SQL.list_doomed, grace, abandoned_grace, after, limit)]


async def delete(db: Db, blob_id: int) -> None:
    """Remove the row of a doomed blob whose object is gone."""
    await db.execute(SQL.delete, blob_id)
