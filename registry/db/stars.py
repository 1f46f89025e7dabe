"""Stars that users give to packages, in Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from registry.db.connection import Db
from registry.db.queries import Queries

SQL = Queries("stars")


@dataclass(frozen=True, slots=True)
class StarredName:
    """A normalised name that somebody has starred."""

    name: str


async def put(db: Db, user_id: int, project_id: int, package_type: str, name: str) -> None:
    """Star a normalised name."""
    await db.execute(SQL.put, user_id, project_id, package_type, name)


async def delete(db: Db, user_id: int, project_ids: Sequence[int], package_type: str, name: str) -> None:
    """Take a star back."""
    await db.execute(SQL.delete, user_id, project_ids, package_type, name)


async def list_names(db: Db, username: str, package_type: str, project_ids: Sequence[int]) -> list[str]:
    """What a user has starred in some projects."""
    rows = await db.fetch(SQL.list_names, username, package_type, project_ids)
    return [StarredName(**row).name for row in rows]
