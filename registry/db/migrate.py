"""Migrations: `sql/migrations/NNNN_name.sql`, forward only, one transaction each, one runner at a time.

Expand, then contract: a release reads and writes the schema of the release before it, because replicas are replaced
one by one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from registry import failpoints, resource

# A number of our own for pg_advisory_lock; any replica that migrates waits here.
_LOCK = 0x7265_6769_7374
_FILE = re.compile(r"(?P<number>\d{4})_[a-z0-9_]+\.sql")

_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    number     integer PRIMARY KEY,
    name       text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its number, its name without ending, its statements."""

    number: int
    name: str
    text: str


def available(directory: Path | None = None) -> list[Migration]:
    """The migrations of this release, in order."""
    directory = directory or resource("sql") / "migrations"
    found = [
        Migration(int(match["number"]), path.stem, path.read_text(encoding="utf-8"))
        for path in sorted(directory.iterdir())
        if (match := _FILE.fullmatch(path.name))
    ]
    if [m.number for m in found] != list(range(1, len(found) + 1)):
        raise ValueError("migrations must be numbered from 0001 without gaps")
    return found


async def migrate(url: str, migrations: list[Migration] | None = None) -> list[str]:
    """Bring the schema up to this release; answers the names applied now.

    `url` must reach Postgres itself: the lock belongs to the session, which a transaction pooler would share.
    """
    connection = await asyncpg.connect(url, timeout=10, command_timeout=None)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await connection.execute("SET lock_timeout = '5s'")
        await connection.execute(_LEDGER)
        done = {row["number"] for row in await connection.fetch("SELECT number FROM schema_migrations")}
        pending = [m for m in (migrations or available()) if m.number not in done]
        for migration in pending:
            async with connection.transaction():
                await connection.execute(migration.text)
                await connection.execute(
                    "INSERT INTO schema_migrations (number, name) VALUES ($1, $2)", migration.number, migration.name
                )
                await failpoints.reach("migration.before-commit")
        return [m.name for m in pending]
    finally:
        await connection.close(timeout=5)


async def version(db: Any) -> int:
    """The number of the newest migration applied; 0 for an empty database."""
    try:
        return int(await db.fetchval("SELECT coalesce(max(number), 0) FROM schema_migrations"))
    except asyncpg.UndefinedTableError:
        return 0


async def newer(db: Any, number: int) -> list[str]:
    """The names of the migrations applied after a number, by a newer release."""
    rows = await db.fetch("SELECT name FROM schema_migrations WHERE number > $1 ORDER BY number", number)
    return [row["name"] for row in rows]
