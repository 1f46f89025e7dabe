"""Migrations: `sql/migrations/NNNN_name.sql`, forward only, one transaction each, one runner at a time.

They run under traffic, while replicas of the release before still serve: expand, then contract. A migration only adds
(tables, columns that are nullable or have a default, indexes), so the release before reads and writes the new schema;
`tests/db/test_releases.py` proves it for the queries of each release. What nobody reads any more is taken away by a
later release, in a migration named `NNNN_contract_name.sql`: replicas that do not know it are not ready from then on.

A migration waits 2 s at most for a lock, because everybody else queues up behind it, and tries again. What would keep
a lock for long goes into a migration named `NNNN_concurrently_name.sql`, such as `CREATE INDEX CONCURRENTLY`: each of
its statements, which end with a line, runs outside a transaction, and all of them again after a failure.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from registry import failpoints, resource

log = logging.getLogger(__name__)

LOCK_MILLISECONDS = 2000
# With the pauses in between, about five minutes.
ATTEMPTS = 45
PAUSE_SECONDS = 5.0

# A number of our own for advisory locks; any replica that migrates waits here.
_LOCK = 0x7265_6769_7374
_FILE = re.compile(r"(?P<number>\d{4})_[a-z0-9_]+\.sql")
_CONTRACT = re.compile(r"\d{4}_contract_")
_CONCURRENTLY = re.compile(r"\d{4}_concurrently_")

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

    @property
    def concurrently(self) -> bool:
        """Whether its statements run one by one, outside a transaction."""
        return _CONCURRENTLY.match(self.name) is not None


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


async def migrate(url: str, migrations: Sequence[Migration] | None = None) -> list[str]:
    """Bring the schema up to this release; answers the names applied now.

    Two runners take turns, also through a transaction pooler: the lock is that of a transaction kept open meanwhile.
    Raises asyncpg.LockNotAvailableError when a table was in use all the time.
    """
    guard = await _connect(url)
    try:
        async with guard.transaction():
            await guard.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            await guard.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
            return await _migrate(url, migrations or available())
    finally:
        await guard.close(timeout=5)


async def _migrate(url: str, migrations: Sequence[Migration]) -> list[str]:
    connection = await _connect(url)
    try:
        await connection.execute(_LEDGER)
        done = {row["number"] for row in await connection.fetch("SELECT number FROM schema_migrations")}
        pending = [migration for migration in migrations if migration.number not in done]
        for migration in pending:
            await failpoints.reach("migration.before-file")
            await _apply(connection, migration)
            await failpoints.reach("migration.after-commit")
        return [migration.name for migration in pending]
    finally:
        await connection.close(timeout=5)


async def _connect(url: str) -> asyncpg.Connection[asyncpg.Record]:
    return await asyncpg.connect(url, timeout=10, command_timeout=None, statement_cache_size=0)


async def _apply(connection: asyncpg.Connection[asyncpg.Record], migration: Migration) -> None:
    """Run one migration, again and again while somebody uses what it has to lock."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            if migration.concurrently:
                for statement in filter(str.strip, migration.text.split(";\n")):
                    await connection.execute(statement)
            async with connection.transaction():
                if not migration.concurrently:
                    await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_MILLISECONDS}ms'")
                    await connection.execute(migration.text)
                await connection.execute(
                    "INSERT INTO schema_migrations (number, name) VALUES ($1, $2)", migration.number, migration.name
                )
                await failpoints.reach("migration.before-commit")
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            if attempt == ATTEMPTS:
                raise
            log.warning("Migration %s waits for a lock, attempt %d of %d", migration.name, attempt, ATTEMPTS)
            await asyncio.sleep(min(0.1 * 2**attempt, PAUSE_SECONDS))
        else:
            return


async def version(db: Any) -> int:
    """The number of the newest migration applied; 0 for an empty database."""
    try:
        return int(await db.fetchval("SELECT coalesce(max(number), 0) FROM schema_migrations"))
    except asyncpg.UndefinedTableError:
        return 0


async def outgrown(db: Any, number: int) -> bool:
    """Whether a newer release has taken something away from those that know the migrations up to a number only."""
    rows = await db.fetch("SELECT name FROM schema_migrations WHERE number > $1", number)
    return any(_CONTRACT.match(row["name"]) for row in rows)
