"""Packages and their files as the management API lists them, in Postgres."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from registry.db.connection import Db
from registry.db.listings import PageOfIds, Window
from registry.db.queries import Queries
from registry.model import Tag

SQL = Queries("package_lists")

# What is listed and shown unless another status is asked for (GitLab: displayable packages).
DISPLAYED = ("default", "error", "deprecated")


@dataclass(frozen=True, slots=True)
class PackageFilter:
    """Conditions of a list of packages. `words` are in lower case, each of them part of the name."""

    statuses: tuple[str, ...] = DISPLAYED
    package_type: str | None = None
    version: str | None = None
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PackageDetails:
    """A package as the API shows it."""

    id: int
    project_id: int
    project_path: str
    package_type: str
    name: str
    version: str
    status: str
    creator_id: int | None
    created_at: datetime
    last_downloaded_at: datetime | None


@dataclass(frozen=True, slots=True)
class Sibling:
    """Another version of the same name."""

    id: int
    version: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class FileDetails:
    """A file of a package as the API shows it; `size` in bytes, `attestations` None where there are none."""

    id: int
    package_id: int
    file_name: str
    created_at: datetime
    size: int
    md5: str | None
    sha1: str | None
    sha256: str
    attestations: list[dict[str, object]] | None


async def list_first_ids(
    db: Db, project_id: int, chosen: PackageFilter, *, descending: bool, limit: int | None
) -> array[int]:
    """Ids of a project's packages by the time they were made, at most `limit` of them."""
    return _ids(
        await db.fetchval(
            SQL.list_first_ids,
            project_id,
            chosen.statuses,
            chosen.package_type,
            chosen.version,
            chosen.words,
            descending,
            limit,
        )
    )


async def count_packages(db: Db, project_id: int, chosen: PackageFilter) -> int:
    """How many there are, counted up to `listings.COUNTED` + 1."""
    return int(
        await db.fetchval(
            SQL.count_packages, project_id, chosen.statuses, chosen.package_type, chosen.version, chosen.words
        )
    )


async def list_ids(db: Db, project_ids: Sequence[int], chosen: PackageFilter, order_by: str) -> array[int]:
    """Ids of the packages of some projects, ascending by `created_at`, `name`, `version`, `type` or `project_path`."""
    return _ids(
        await db.fetchval(
            SQL.list_ids, project_ids, chosen.statuses, chosen.package_type, chosen.version, chosen.words, order_by
        )
    )


def _ids(packed: bytes) -> array[int]:
    ids = array("q", packed)
    if sys.byteorder == "little":
        ids.byteswap()
    return ids


async def list_packages(db: Db, ids: Sequence[int]) -> list[PackageDetails]:
    """Packages by id, in that order."""
    return [PackageDetails(**row) for row in await db.fetch(SQL.list_packages, ids)]


async def list_siblings(db: Db, package_id: int) -> list[Sibling]:
    """The other displayed versions of a package's name, by version."""
    return [Sibling(**row) for row in await db.fetch(SQL.list_siblings, package_id, DISPLAYED)]


async def list_tags(db: Db, package_ids: Sequence[int]) -> list[Tag]:
    """The dist-tags that point at some packages."""
    return [Tag(**row) for row in await db.fetch(SQL.list_tags, package_ids)]


async def page_files(db: Db, package_id: int, window: Window) -> PageOfIds:
    """One page of the files of a package, by `id`, `created_at` or `file_name`."""
    row = await db.fetchrow(
        SQL.page_files, package_id, window.order_by, window.descending, window.limit + 1, window.offset
    )
    return PageOfIds(**row)  # type: ignore[arg-type]  # it always answers one row


async def list_files(db: Db, ids: Sequence[int]) -> list[FileDetails]:
    """Files by id, in that order."""
    return [FileDetails(**row) for row in await db.fetch(SQL.list_files, ids)]
