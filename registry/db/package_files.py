"""Files of packages in Postgres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from registry.db.connection import Db
from registry.db.packages import NewPackage
from registry.db.queries import Queries
from registry.model import NameStatus

SQL = Queries("package_files")


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file with the package it belongs to, the object that holds its bytes, serial and status of its name."""

    id: int
    package_id: int
    project_id: int
    name: str
    normalized_name: str
    version: str
    file_name: str
    requires_python: str
    yanked: bool
    yanked_reason: str | None
    core_metadata_sha256: str | None
    created_at: datetime
    key: str
    size: int
    sha256: str
    sha1: str | None
    sha512: str | None
    facts: Mapping[str, Any]
    serial: int
    name_status: NameStatus


@dataclass(frozen=True, slots=True)
class PageFile:
    """What a page shows of a file; `revision` moves when any of it does."""

    id: int
    revision: int
    name: str
    version: str
    file_name: str
    sha256: str
    size: int
    created_at: datetime
    requires_python: str
    yanked: bool
    yanked_reason: str | None
    attested: bool
    core_metadata_sha256: str | None


@dataclass(frozen=True, slots=True)
class ReleaseFile:
    """A file as the legacy JSON API shows it; digests are hexadecimal."""

    package_id: int
    name: str
    version: str
    file_name: str
    size: int
    md5: str | None
    sha256: str
    blake2b_256: str | None
    created_at: datetime
    requires_python: str
    yanked: bool
    yanked_reason: str | None


@dataclass(frozen=True, slots=True)
class Provenance:
    """What is attested of a file: `text` is JSON of the format, None for nothing."""

    version: str
    text: str | None
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TakenFile:
    """The file that holds a file name already."""

    id: int
    package_id: int
    name: str
    version: str
    publish_session: str | None
    sha256: str
    sha512: str | None


@dataclass(frozen=True, slots=True)
class DeletedFile:
    """A file that was deleted, and the blob nobody refers to now."""

    id: int
    package_id: int
    file_name: str
    blob_id: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """What a file row is made of."""

    file_name: str
    blob_id: int
    requires_python: str
    core_metadata: bytes | None
    core_metadata_sha256: str | None
    provenance: str | None
    facts: Mapping[str, Any]


async def list_files(
    db: Db, package_type: str, name: str, project_ids: Sequence[int], ids: Sequence[int] | None = None
) -> list[PageFile]:
    """The files of a normalised name, in package order; of these ids only, where they are given."""
    # By position, in the order of the query's columns: pages of thousands of files are rendered from this.
    return [PageFile(*row) for row in await db.fetch(SQL.list_files, package_type, name, project_ids, ids)]


async def list_file_marks(db: Db, package_type: str, name: str, project_ids: Sequence[int]) -> list[tuple[int, int]]:
    """Id and revision of each file of a normalised name, in package order."""
    row = await db.fetchrow(SQL.list_file_marks, package_type, name, project_ids)
    # Two arrays instead of thousands of rows: a quarter of the time.
    return list(zip(row["ids"] or (), row["revisions"] or (), strict=True)) if row else []


async def find_file(
    db: Db, package_type: str, project_ids: Sequence[int], file_name: str, sha256: str
) -> FileRow | None:
    """One file by name and sha256 (64 lower-case hex digits)."""
    row = await db.fetchrow(SQL.find_file, package_type, project_ids, file_name, sha256)
    return FileRow(**row) if row else None


async def find_named_file(
    db: Db, package_type: str, name: str, project_ids: Sequence[int], file_name: str
) -> FileRow | None:
    """The newest file of a normalised name with this file name."""
    row = await db.fetchrow(SQL.find_named_file, package_type, name, project_ids, file_name)
    return FileRow(**row) if row else None


async def find_provenance(
    db: Db, package_type: str, name: str, project_ids: Sequence[int], file_name: str, sha256: str | None
) -> Provenance | None:
    """What is attested of the newest file of a normalised name with this file name, and with this sha256 if given."""
    row = await db.fetchrow(SQL.find_provenance, package_type, name, project_ids, file_name, sha256)
    return Provenance(**row) if row else None


async def find_version_provenance(
    db: Db, package_type: str, name: str, project_ids: Sequence[int], version: str
) -> Provenance | None:
    """What is attested of the one file of the newest package of a normalised name at this version."""
    row = await db.fetchrow(SQL.find_version_provenance, package_type, name, project_ids, version)
    return Provenance(**row) if row else None


async def find_core_metadata(db: Db, file_id: int) -> bytes | None:
    """The core metadata kept of a file."""
    content: bytes | None = await db.fetchval(SQL.find_core_metadata, file_id)
    return content


async def list_release_files(db: Db, package_type: str, name: str, project_ids: Sequence[int]) -> list[ReleaseFile]:
    """The files of a normalised name, in package order."""
    return [ReleaseFile(**row) for row in await db.fetch(SQL.list_release_files, package_type, name, project_ids)]


async def insert_file(
    tx: Db, package: NewPackage, package_id: int, file: NewFile, release: Sequence[int]
) -> int | None:
    """Insert a file: its id, or None when the file name is taken within the name.

    It is yanked when all files of `release` are: the ids of the packages of the same version, itself among them.
    """
    file_id: int | None = await tx.fetchval(
        SQL.insert_file,
        package_id,
        package.project_id,
        package.package_type,
        package.normalized_name,
        file.file_name,
        file.blob_id,
        file.requires_python,
        file.core_metadata,
        file.core_metadata_sha256,
        file.provenance,
        file.facts,
        release,
    )
    return file_id


async def find_taken(db: Db, project_id: int, package_type: str, name: str, file_name: str) -> TakenFile | None:
    """Who holds a file name."""
    row = await db.fetchrow(SQL.find_taken, project_id, package_type, name, file_name)
    return TakenFile(**row) if row else None


async def set_yanked(
    tx: Db,
    project_id: int,
    package_type: str,
    name: str,
    file_names: Sequence[str],
    *,
    yanked: bool,
    reason: str | None,
) -> list[str]:
    """Yank files of a normalised name or take it back; answers those that changed, sorted."""
    rows = await tx.fetch(SQL.set_yanked, project_id, package_type, name, file_names, yanked, reason)
    return sorted(row["file_name"] for row in rows)


async def has_tombstone(tx: Db, project_id: int, package_type: str, name: str, file_name: str, sha256: str) -> bool:
    """Whether the file name once held something other than this content."""
    return (await tx.fetchval(SQL.find_tombstone, project_id, package_type, name, file_name, sha256)) is not None


async def delete_files(
    tx: Db, project_id: int, package_ids: Sequence[int], file_id: int | None = None
) -> list[DeletedFile]:
    """Delete the files of packages (or only one of them), leaving tombstones."""
    return [DeletedFile(**row) for row in await tx.fetch(SQL.delete_files, project_id, package_ids, file_id)]
