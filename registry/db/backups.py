"""What a backup of the database needs, and what a restored one does before it is used."""

from __future__ import annotations

from registry.db.connection import Db
from registry.db.queries import Queries

SQL = Queries("backups")

# More numbers than are given out between a backup and its restore: a thousand a second for twelve days.
LEAP = 1_000_000_000


async def export_snapshot(tx: Db) -> str:
    """A name under which another connection sees what this transaction sees, as long as it lasts."""
    return str(await tx.fetchval(SQL.export_snapshot))


async def find_schema(db: Db) -> int:
    """The number of the newest migration."""
    return int(await db.fetchval(SQL.find_schema))


async def leap(tx: Db) -> None:
    """Move the change log and every serial beyond what was given out after the state that was restored.

    What the janitor would take begins its grace anew.
    """
    await tx.execute(SQL.leap_changes, LEAP)
    await tx.execute(SQL.forget_changes)
    await tx.execute(SQL.leap_serials, LEAP)
    await tx.execute(SQL.leap_feed, LEAP)
    await tx.execute(SQL.renew_graces)
