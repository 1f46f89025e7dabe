"""Packages in Postgres: versions, what documents show of them, dist-tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from registry.db.connection import Db, Torn
from registry.db.queries import Queries

SQL = Queries("packages")


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
class DoomedPackage:
    """A package about to be deleted."""

    id: int
    name: str
    normalized_name: str
    package_type: str
    version: str
    updated_at: datetime


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
    marks = list(zip(row["ids"], row["revisions"], strict=True))
    ids = dict(zip(row["versions"], row["ids"], strict=True))
    if len(ids) < len(marks):
        counting = set(ids.values())
        marks = [mark for mark in marks if mark[0] in counting]
    return Outline(
        ids=ids,
        marks=marks,
        tags=dict(zip(row["tags"] or (), row["tagged"] or (), strict=True)),
        moved_at=row["moved_at"],
    )


async def list_manifests(db: Db, package_ids: Sequence[int]) -> list[VersionRow]:
    """Some packages with their full manifests, in id order."""
    return [VersionRow(**row) for row in await db.fetch(SQL.list_manifests, package_ids)]


async def list_numbers(
    db: Db, package_type: str, names: Sequence[str], project_ids: Sequence[int]
) -> list[VersionNumber]:
    """The versions of some normalised names, in publish order."""
    return [VersionNumber(**row) for row in await db.fetch(SQL.list_numbers, package_type, names, project_ids)]


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


async def delete_packages(tx: Db, project_id: int, package_ids: Sequence[int]) -> None:
    """Delete packages whose files are gone."""
    await tx.execute(SQL.delete_packages, project_id, package_ids)


async def touch_downloads(db: Db, at_by_package: Mapping[int, datetime]) -> None:
    """Note last downloads, one statement for many packages."""
    await db.execute(SQL.touch_downloads, list(at_by_package), list(at_by_package.values()))


async def find_front(db: Db, package_id: int) -> Front:
    """The full manifest and the readme of a version. Raises Torn when it is not here any more."""
    row = await db.fetchrow(SQL.find_front, package_id)
    if row is None:
        raise Torn
    return Front(**row)
