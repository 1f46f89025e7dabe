"""Prefixes of names that are reserved for one group, in Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from registry.db.connection import Db
from registry.db.queries import Queries

SQL = Queries("grants")


@dataclass(frozen=True, slots=True)
class Grant:
    """A reserved prefix, normalised as the format compares names, and the group that owns it."""

    id: int
    package_type: str
    prefix: str
    namespace_id: int
    full_path: str
    created_at: datetime


async def list_grants(db: Db, package_type: str) -> tuple[Grant, ...]:
    """All grants of a package type, by prefix."""
    return tuple([Grant(**row) for row in await db.fetch(SQL.list_grants, package_type)])


async def find_foreign(db: Db, package_type: str, prefixes: Sequence[str], group_ids: Sequence[int]) -> Grant | None:
    """The longest of some prefixes that is reserved for a group that is none of these."""
    row = await db.fetchrow(SQL.find_foreign, package_type, prefixes, group_ids)
    return Grant(**row) if row else None


async def lock_grants(tx: Db) -> None:
    """Keep others from changing grants until the transaction ends; readers go on."""
    await tx.execute(SQL.lock_grants)


async def insert_grant(tx: Db, package_type: str, prefix: str, group_id: int) -> int:
    """Reserve a prefix; answers the id of the grant."""
    return int(await tx.fetchval(SQL.insert_grant, package_type, prefix, group_id))


async def delete_grant(tx: Db, grant_id: int) -> Grant | None:
    """Give a prefix back; answers what was granted, or None when there is none of this id."""
    row = await tx.fetchrow(SQL.delete_grant, grant_id)
    return Grant(**row) if row else None
