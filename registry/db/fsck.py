"""What a check of the whole registry reads from Postgres, and the repairs that are safe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from registry.db.connection import Db
from registry.db.queries import Queries

SQL = Queries("fsck")


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """An object that a file refers to, and what it must be. `size` is in bytes."""

    id: int
    key: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class FilePlace:
    """A file as people name it; `project` is a full path."""

    project: str
    package_type: str
    name: str
    version: str
    file_name: str


@dataclass(frozen=True, slots=True)
class BlobState:
    """A blob in a state that it should not be in."""

    id: int
    key: str
    state: str


@dataclass(frozen=True, slots=True)
class NamePlace:
    """A name in a project (the index when it is empty), and `what` of it is meant."""

    project: str
    project_id: int
    package_type: str
    normalized_name: str
    what: str


@dataclass(frozen=True, slots=True)
class ChangeNumbers:
    """The counter of the change log, up to where it was trimmed, and its newest row (0 without rows)."""

    number: int
    trimmed: int
    newest: int


@dataclass(frozen=True, slots=True)
class NameKey:
    """A name that has versions."""

    project_id: int
    project: str
    package_type: str
    normalized_name: str


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A version with one of its files; everything from `file_name` on is None when it has none."""

    name: str
    version: str
    created_at: datetime
    manifest: str | None
    abbreviated: str | None
    readme: str | None
    file_name: str | None
    requires_python: str | None
    core_metadata: bytes | None
    core_metadata_sha256: str | None
    facts: Mapping[str, Any] | None
    size: int | None
    sha1: str | None
    sha256: str | None
    sha512: str | None


@dataclass(frozen=True, slots=True)
class StoredTag:
    """A dist-tag and the version it points at."""

    name: str
    version: str


async def list_stored(db: Db, *, after: int, limit: int) -> list[StoredBlob]:
    """Blobs that files refer to, by id, beginning after one."""
    return [StoredBlob(**row) for row in await db.fetch(SQL.list_stored, after, limit)]


async def is_stored(db: Db, blob_id: int) -> bool:
    """Whether a blob still is stored."""
    return bool(await db.fetchval(SQL.is_stored, blob_id))


async def list_files_of(db: Db, blob_id: int) -> list[FilePlace]:
    """The files that refer to a blob; at most one."""
    return [FilePlace(**row) for row in await db.fetch(SQL.list_files_of, blob_id)]


async def find_newest_blob(db: Db) -> datetime | None:
    """When the youngest blob was begun."""
    found: datetime | None = await db.fetchval(SQL.find_newest_blob)
    return found


async def count_blobs(db: Db) -> int:
    """How many blobs there are."""
    return int(await db.fetchval(SQL.count_blobs))


async def list_unreferenced(db: Db) -> list[BlobState]:
    """Stored blobs that no file refers to."""
    return [BlobState(**row) for row in await db.fetch(SQL.list_unreferenced)]


async def doom_unreferenced(db: Db, blob_id: int) -> bool:
    """Doom such a blob; False when somebody refers to it after all."""
    return await db.fetchval(SQL.doom_unreferenced, blob_id) is not None


async def list_unstored(db: Db) -> list[BlobState]:
    """Blobs that a file refers to without being stored."""
    return [BlobState(**row) for row in await db.fetch(SQL.list_unstored)]


async def keep_referenced(db: Db, blob_id: int) -> bool:
    """Make such a blob stored; False when it was never complete."""
    return await db.fetchval(SQL.keep_referenced, blob_id) is not None


async def list_misfiled(db: Db) -> list[NamePlace]:
    """Files that do not belong where their version does."""
    return [NamePlace(**row) for row in await db.fetch(SQL.list_misfiled)]


async def list_dangling_tags(db: Db) -> list[NamePlace]:
    """Tags that point at nothing that could be installed under their name."""
    return [NamePlace(**row) for row in await db.fetch(SQL.list_dangling_tags)]


async def delete_dangling_tag(tx: Db, tag: NamePlace) -> bool:
    """Delete such a tag; False when it points at something after all."""
    return (
        await tx.fetchval(SQL.delete_dangling_tag, tag.project_id, tag.package_type, tag.normalized_name, tag.what)
        is not None
    )


async def list_stale_serials(db: Db) -> list[NamePlace]:
    """Names whose serial is missing, or did not move with what is shown of them."""
    return [NamePlace(**row) for row in await db.fetch(SQL.list_stale_serials)]


async def list_stale_indexes(db: Db) -> list[NamePlace]:
    """The same of the indexes."""
    return [NamePlace(**row) for row in await db.fetch(SQL.list_stale_indexes)]


async def find_change_numbers(db: Db) -> ChangeNumbers:
    """The counter of the change log beside its rows."""
    rows = await db.fetch(SQL.find_change_numbers)
    return ChangeNumbers(**rows[0])


async def raise_change_head(db: Db) -> None:
    """Bring the counter of the change log up to its rows."""
    await db.execute(SQL.raise_change_head)


async def list_names(db: Db, after: NameKey, *, limit: int) -> list[NameKey]:
    """Names that have versions, beginning after one."""
    rows = await db.fetch(SQL.list_names, after.project_id, after.package_type, after.normalized_name, limit)
    return [NameKey(**row) for row in rows]


async def list_versions(db: Db, name: NameKey) -> list[StoredVersion]:
    """Everything stored about a name, in publish order; a version once for each of its files."""
    rows = await db.fetch(SQL.list_versions, name.project_id, name.package_type, name.normalized_name)
    return [StoredVersion(**row) for row in rows]


async def list_tags(db: Db, name: NameKey) -> list[StoredTag]:
    """The tags of a name."""
    rows = await db.fetch(SQL.list_tags, name.project_id, name.package_type, name.normalized_name)
    return [StoredTag(**row) for row in rows]
