"""Packages in Postgres: names and serials, versions, files, dist-tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from registry.db.connection import Db, Torn
from registry.db.queries import Queries
from registry.model import NameStatus

SQL = Queries("packages")


@dataclass(frozen=True, slots=True)
class SerialRow:
    """The serial and status of a name in a project.

    `exists` is False when every version was deleted or none is released yet, `listed` when there is nothing to install.
    """

    project_id: int
    serial: int
    status: NameStatus
    status_reason: str | None
    exists: bool
    listed: bool


@dataclass(frozen=True, slots=True)
class NameRow:
    """A name as compared and as first published."""

    normalized_name: str
    name: str


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
class Description:
    """What is kept of a version: the fields of its upload as JSON text, and the core metadata of one of its files."""

    manifest: str | None
    core_metadata: bytes | None


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version with the manifest text that was asked for and its one file."""

    id: int
    revision: int
    project_id: int
    name: str
    version: str
    manifest: str
    status: str
    status_message: str | None
    created_at: datetime
    file_name: str
    facts: Mapping[str, Any]
    size: int
    sha1: str
    sha512: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """What is attested of a file: `text` is JSON of the format, None for nothing."""

    version: str
    text: str | None
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class UnsignedVersion:
    """A version that is to be signed: `sha512` of its file, hexadecimal."""

    id: int
    project_id: int
    normalized_name: str
    name: str
    version: str
    sha512: str


@dataclass(frozen=True, slots=True)
class Front:
    """What the document about a name repeats from one version."""

    manifest: str
    readme: str | None


@dataclass(frozen=True, slots=True)
class Outline:
    """The installable versions of a normalised name, and what else can change in a document about it.

    `ids` are those of the packages by version; of a version in two projects the newer one counts. `marks` are their ids
    and revisions, in publish order. `tags` are the dist-tags, where projects disagree those set last. `moved_at` is
    when anything about the name moved last.
    """

    ids: Mapping[str, int]
    marks: Sequence[tuple[int, int]]
    tags: Mapping[str, str]
    moved_at: datetime


@dataclass(frozen=True, slots=True)
class VersionNumber:
    """A version of a normalised name, without anything about it."""

    id: int
    name: str
    version: str


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
class FoundName:
    """A name that a search found, the package that its tag points at, and how many names were found in all."""

    name: str
    tagged_id: int | None
    total: int


@dataclass(frozen=True, slots=True)
class DoomedPackage:
    """A package about to be deleted."""

    id: int
    name: str
    normalized_name: str
    package_type: str
    version: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class DeletedFile:
    """A file that was deleted, and the blob nobody refers to now."""

    id: int
    package_id: int
    file_name: str
    blob_id: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPackage:
    """What a package row is made of."""

    project_id: int
    package_type: str
    name: str
    normalized_name: str
    version: str
    manifest: str | None
    abbreviated: str | None
    readme: str | None
    publish_session: str | None
    creator_id: int | None


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


async def list_serials(db: Db, package_type: str, name: str, project_ids: Sequence[int]) -> list[SerialRow]:
    """Serials of a normalised name in the projects where it has ever been."""
    return [SerialRow(**row) for row in await db.fetch(SQL.list_serials, package_type, name, project_ids)]


async def list_index_serials(db: Db, package_type: str, project_ids: Sequence[int]) -> list[SerialRow]:
    """Serials of the indexes of the projects that have one."""
    return [SerialRow(**row) for row in await db.fetch(SQL.list_index_serials, package_type, project_ids)]


async def list_names(db: Db, package_type: str, project_ids: Sequence[int]) -> list[NameRow]:
    """One row per name, in the order of the normalised names."""
    return [NameRow(**row) for row in await db.fetch(SQL.list_names, package_type, project_ids)]


async def list_files(
    db: Db, package_type: str, name: str, project_ids: Sequence[int], ids: Sequence[int] | None = None
) -> list[PageFile]:
    """The files of a normalised name, in package order; of these ids only, where they are given."""
    # By position, in the order of the query's columns: pages of thousands of files are rendered from this.
    return [PageFile(*row) for row in await db.fetch(SQL.list_files, package_type, name, project_ids, ids)]


async def list_file_marks(db: Db, package_type: str, name: str, project_ids: Sequence[int]) -> list[tuple[int, int]]:
    """Id and revision of each file of a normalised name, in package order."""
    return _marks(await db.fetchrow(SQL.list_file_marks, package_type, name, project_ids))


async def list_versions(
    db: Db,
    package_type: str,
    name: str,
    project_ids: Sequence[int],
    ids: Sequence[int] | None = None,
    *,
    abbreviated: bool,
) -> list[VersionRow]:
    """The versions of a normalised name with their full or abbreviated manifests, in publish order."""
    rows = await db.fetch(SQL.list_versions, package_type, name, project_ids, abbreviated, ids)
    return [VersionRow(*row) for row in rows]


async def find_outline(db: Db, package_type: str, name: str, project_ids: Sequence[int]) -> Outline | None:
    """What there is of a normalised name in some projects; None without any version."""
    row = await db.fetchrow(SQL.find_outline, package_type, name, project_ids)
    if row is None or row["ids"] is None:
        return None
    marks, ids = _marks(row), dict(zip(row["versions"], row["ids"], strict=True))
    if len(ids) < len(marks):
        counting = set(ids.values())
        marks = [mark for mark in marks if mark[0] in counting]
    return Outline(
        ids=ids,
        marks=marks,
        tags=dict(zip(row["tags"] or (), row["tagged"] or (), strict=True)),
        moved_at=row["moved_at"],
    )


def _marks(row: asyncpg.Record | None) -> list[tuple[int, int]]:
    return list(zip(row["ids"] or (), row["revisions"] or (), strict=True)) if row else []


async def list_manifests(db: Db, package_ids: Sequence[int]) -> list[VersionRow]:
    """Some packages with their full manifests, in id order."""
    return [VersionRow(**row) for row in await db.fetch(SQL.list_manifests, package_ids)]


async def list_numbers(
    db: Db, package_type: str, names: Sequence[str], project_ids: Sequence[int]
) -> list[VersionNumber]:
    """The versions of some normalised names, in publish order."""
    return [VersionNumber(**row) for row in await db.fetch(SQL.list_numbers, package_type, names, project_ids)]


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


async def find_description(db: Db, package_id: int) -> Description | None:
    """What is kept of a version to describe it."""
    row = await db.fetchrow(SQL.find_description, package_id)
    return Description(**row) if row else None


async def put_package(tx: Db, package: NewPackage, *, may_exist: bool) -> tuple[int, bool] | None:
    """Insert a package: its id and whether it is new. None when it exists and must not."""
    query = SQL.upsert_package if may_exist else SQL.insert_package
    row = await tx.fetchrow(
        query,
        package.project_id,
        package.package_type,
        package.name,
        package.normalized_name,
        package.version,
        package.manifest,
        package.abbreviated,
        package.readme,
        package.publish_session,
        package.creator_id,
    )
    return (row["id"], row["created"]) if row else None


async def list_beside_yanks(db: Db, project_id: int, package_type: str, name: str) -> list[VersionNumber]:
    """The versions of a normalised name of which any file is yanked; none of other names."""
    rows = await db.fetch(SQL.list_beside_yanks, project_id, package_type, name)
    return [VersionNumber(**row) for row in rows]


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


async def move_serial(tx: Db, project_id: int, package_type: str, name: str) -> int:
    """Move the serial of a normalised name ('' is the index of the project); answers the new one, 1 for a new name."""
    return int(await tx.fetchval(SQL.move_serial, project_id, package_type, name))


async def lock_serial(tx: Db, project_id: int, package_type: str, name: str) -> int | None:
    """The serial of a normalised name, locked until the transaction ends; None for a name that was never here."""
    serial: int | None = await tx.fetchval(SQL.lock_serial, package_type, name, project_id)
    return serial


async def find_name_status(tx: Db, project_id: int, package_type: str, name: str) -> str | None:
    """Status of a name, locked until the transaction ends; None for a name that was never here."""
    status: str | None = await tx.fetchval(SQL.find_name_status, package_type, name, project_id)
    return status


async def set_name_status(
    tx: Db, project_id: int, package_type: str, name: str, *, status: str, reason: str | None
) -> bool:
    """Give a normalised name another status; answers whether that changed anything."""
    return await tx.fetchval(SQL.set_name_status, package_type, name, project_id, status, reason) is not None


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


async def has_name(db: Db, project_id: int, package_type: str, name: str) -> bool:
    """Whether the normalised name has any version."""
    return bool(await db.fetchval(SQL.has_name, project_id, package_type, name))


async def has_tombstone(tx: Db, project_id: int, package_type: str, name: str, file_name: str, sha256: str) -> bool:
    """Whether the file name once held something other than this content."""
    return (await tx.fetchval(SQL.find_tombstone, project_id, package_type, name, file_name, sha256)) is not None


async def set_tag(tx: Db, project_id: int, package_type: str, name: str, tag: str, package_id: int) -> None:
    """Point a dist-tag at a package."""
    await tx.execute(SQL.set_tag, project_id, package_type, name, tag, package_id)


async def delete_tag(tx: Db, project_id: int, package_type: str, name: str, tag: str) -> bool:
    """Remove a dist-tag; False when there is none."""
    return await tx.fetchval(SQL.delete_tag, project_id, package_type, name, tag) is not None


async def find_version(db: Db, project_id: int, package_type: str, name: str, version: str) -> int | None:
    """The package id of one version."""
    package_id: int | None = await db.fetchval(SQL.find_version, project_id, package_type, name, version)
    return package_id


async def set_deprecated(
    tx: Db, project_id: int, package_type: str, name: str, messages: Mapping[str, str | None]
) -> list[str]:
    """Set or take back (None) deprecation messages by version; answers the versions that changed."""
    rows = await tx.fetch(SQL.set_deprecated, project_id, package_type, name, list(messages), list(messages.values()))
    return [row["version"] for row in rows]


async def list_unsigned(
    db: Db, package_type: str, after: int, facts: Mapping[str, object], limit: int
) -> list[UnsignedVersion]:
    """Versions whose id is above `after` and whose files lack these facts, by id."""
    rows = await db.fetch(SQL.list_unsigned, package_type, after, facts, limit)
    return [UnsignedVersion(**row) for row in rows]


async def add_facts(tx: Db, project_id: int, facts: Mapping[int, Mapping[str, object]]) -> None:
    """Add facts to the files of packages, by package id."""
    await tx.execute(SQL.add_facts, project_id, list(facts), list(facts.values()))


async def lock_packages(tx: Db, project_id: int, package_ids: Sequence[int]) -> list[DoomedPackage]:
    """Lock packages of a project, in id order; ids of other projects are not found."""
    return [DoomedPackage(**row) for row in await tx.fetch(SQL.lock_packages, project_id, package_ids)]


async def list_package_ids(
    db: Db, project_id: int, package_type: str, name: str, versions: Sequence[str] | None = None
) -> list[int]:
    """Ids of the packages of a name, all of them or those of some versions."""
    rows = await db.fetch(SQL.list_package_ids, project_id, package_type, name, versions)
    return [row["id"] for row in rows]


async def delete_files(
    tx: Db, project_id: int, package_ids: Sequence[int], file_id: int | None = None
) -> list[DeletedFile]:
    """Delete the files of packages (or only one of them), leaving tombstones."""
    return [DeletedFile(**row) for row in await tx.fetch(SQL.delete_files, project_id, package_ids, file_id)]


async def delete_packages(tx: Db, project_id: int, package_ids: Sequence[int]) -> None:
    """Delete packages whose files are gone."""
    await tx.execute(SQL.delete_packages, project_id, package_ids)


async def touch_downloads(db: Db, at_by_package: Mapping[int, datetime]) -> None:
    """Note last downloads, one statement for many packages."""
    await db.execute(SQL.touch_downloads, list(at_by_package), list(at_by_package.values()))


async def list_retired(db: Db, package_type: str, name: str, *, prefix: bool = False) -> frozenset[str]:
    """The paths, in lower case, of the top-level namespaces that lost this name with a deleted project.

    With `prefix` those that lost any name that begins like this.
    """
    return frozenset(row["root_path"] for row in await db.fetch(SQL.list_retired, package_type, name, prefix))


async def has_prefix(db: Db, package_type: str, prefix: str, project_ids: Sequence[int]) -> bool:
    """Whether any normalised name that begins like this is or once was in some projects."""
    return bool(await db.fetchval(SQL.has_prefix, package_type, prefix, project_ids))


async def find_front(db: Db, package_id: int) -> Front:
    """The full manifest and the readme of a version. Raises Torn when it is not here any more."""
    row = await db.fetchrow(SQL.find_front, package_id)
    if row is None:
        raise Torn
    return Front(**row)


async def lock_root(tx: Db, root_id: int) -> None:
    """Lock a top-level namespace until the transaction ends."""
    await tx.execute(SQL.lock_root, root_id)


async def is_elsewhere(db: Db, package_type: str, name: str, version: str, *, project_id: int, root_id: int) -> bool:
    """Whether another project below the same top-level namespace has this name at this version."""
    return bool(await db.fetchval(SQL.is_elsewhere, package_type, name, version, project_id, root_id))


async def find_home(db: Db, package_type: str, name: str, project_ids: Sequence[int]) -> int | None:
    """The project of the newest package of a name, among some projects."""
    project_id: int | None = await db.fetchval(SQL.find_home, package_type, name, project_ids)
    return project_id


async def search(
    db: Db,
    package_type: str,
    project_ids: Sequence[int],
    *,
    tag: str,
    prefix: str,
    words: Sequence[str],
    limit: int,
    offset: int,
) -> list[FoundName]:
    """Names that begin with `prefix` and have every one of some lower-case `words` in the name, the description or the
    keywords of the version that `tag` points at; exact names first.
    """
    rows = await db.fetch(SQL.search, package_type, project_ids, tag, prefix, words, limit, offset)
    return [FoundName(**row) for row in rows]
