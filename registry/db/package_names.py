"""Names of packages in Postgres: serials, standing, and where else they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from registry.db.connection import Db
from registry.db.queries import Queries
from registry.model import NameStatus

SQL = Queries("package_names")


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
class FoundName:
    """A name that a search found, the package that its tag points at, and how many names were found in all."""

    name: str
    tagged_id: int | None
    total: int


async def list_serials(db: Db, package_type: str, name: str, project_ids: Sequence[int]) -> list[SerialRow]:
    """Serials of a normalised name in the projects where it has ever been."""
    return [SerialRow(**row) for row in await db.fetch(SQL.list_serials, package_type, name, project_ids)]


async def list_index_serials(db: Db, package_type: str, project_ids: Sequence[int]) -> list[SerialRow]:
    """Serials of the indexes of the projects that have one."""
    return [SerialRow(**row) for row in await db.fetch(SQL.list_index_serials, package_type, project_ids)]


async def list_names(db: Db, package_type: str, project_ids: Sequence[int]) -> list[NameRow]:
    """One row per name, in the order of the normalised names."""
    return [NameRow(**row) for row in await db.fetch(SQL.list_names, package_type, project_ids)]


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


async def has_name(db: Db, project_id: int, package_type: str, name: str) -> bool:
    """Whether the normalised name has any version."""
    return bool(await db.fetchval(SQL.has_name, project_id, package_type, name))


async def list_retired(db: Db, package_type: str, name: str, *, prefix: bool = False) -> frozenset[str]:
    """The paths, in lower case, of the top-level namespaces that lost this name with a deleted project.

    With `prefix` those that lost any name that begins like this.
    """
    return frozenset(row["root_path"] for row in await db.fetch(SQL.list_retired, package_type, name, prefix))


async def has_prefix(db: Db, package_type: str, prefix: str, project_ids: Sequence[int]) -> bool:
    """Whether any normalised name that begins like this is or once was in some projects."""
    return bool(await db.fetchval(SQL.has_prefix, package_type, prefix, project_ids))


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
