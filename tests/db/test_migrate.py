"""Migrations: forward only, once each, whoever runs them; `sql/schema.sql` is what they make."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from registry import resource
from registry.db.migrate import Migration, available, migrate, version
from registry.embedded import EmbeddedPostgres, find_binaries
from tests.databases import drop


@pytest.fixture
async def empty_url(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    name = f"empty_{os.urandom(6).hex()}"
    connection = await asyncpg.connect(postgres.url)
    await connection.execute(f"CREATE DATABASE {name}")
    yield postgres.url_for(name)
    await drop(connection, name)
    await connection.close()


async def test_two_runners_at_once_apply_each_migration_once(empty_url: str) -> None:
    first, second = await asyncio.gather(migrate(empty_url), migrate(empty_url))

    assert [m.name for m in available()] == sorted(first + second)
    assert [] == await migrate(empty_url)
    connection = await asyncpg.connect(empty_url)
    assert len(available()) == await version(connection)
    await connection.close()


async def test_an_empty_database_has_version_0(empty_url: str) -> None:
    connection = await asyncpg.connect(empty_url)
    assert 0 == await version(connection)
    await connection.close()


async def test_a_migration_that_fails_leaves_nothing(empty_url: str) -> None:
    broken = Migration(1, "0001_broken", "CREATE TABLE half (id int); SELECT 1 / 0;")

    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(empty_url, [broken])

    connection = await asyncpg.connect(empty_url)
    assert 0 == await version(connection)
    assert await connection.fetchval("SELECT to_regclass('half')") is None
    await connection.close()


async def test_a_migration_waits_for_a_lock_without_keeping_others_waiting(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.db.migrate.LOCK_MILLISECONDS", 100)
    number = len(available()) + 1
    change = Migration(number, f"{number:04}_note", "ALTER TABLE packages ADD COLUMN note text")
    holder, reader = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
    hold = holder.transaction()
    await hold.start()
    await holder.fetch("SELECT count(*) FROM packages")
    migrating = asyncio.create_task(migrate(database_url, [*available(), change]))
    for _ in range(10):
        async with asyncio.timeout(5):
            await reader.fetch("SELECT count(*) FROM packages")
        await asyncio.sleep(0.05)
    assert not migrating.done()

    await hold.rollback()

    assert [change.name] == await migrating
    await holder.close()
    await reader.close()


async def test_what_runs_concurrently_is_run_again_after_a_failure(empty_url: str) -> None:
    number = len(available()) + 1
    text = (
        "DROP INDEX CONCURRENTLY IF EXISTS once;\n"
        "CREATE UNIQUE INDEX CONCURRENTLY once ON packages (name);\n"
        "SELECT 1 / {};\n"
    )
    name = f"{number:04}_concurrently_once"
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(empty_url, [*available(), Migration(number, name, text.format(0))])

    assert [name] == await migrate(empty_url, [*available(), Migration(number, name, text.format(1))])


def test_gaps_in_the_numbers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "0001_a.sql").write_text("SELECT 1")
    (tmp_path / "0003_c.sql").write_text("SELECT 1")
    with pytest.raises(ValueError, match="without gaps"):
        available(tmp_path)


def dump(url: str) -> str:
    """The schema as pg_dump prints it, without what differs from run to run."""
    program = find_binaries() / "pg_dump"
    text = subprocess.run(
        [program, "--schema-only", "--no-owner", "--no-privileges", url], check=True, capture_output=True, text=True
    ).stdout
    kept = [
        line
        for line in text.splitlines()
        if line and not line.startswith(("--", "SET ", "SELECT pg_catalog", "\\restrict", "\\unrestrict"))
    ]
    return "\n".join(kept) + "\n"


async def test_schema_sql_is_what_the_migrations_make(database_url: str) -> None:
    path = resource("sql") / "schema.sql"
    schema = await asyncio.to_thread(dump, database_url)
    if os.environ.get("UPDATE_SCHEMA"):
        path.write_text(
            f"-- Generated from sql/migrations, for reading: UPDATE_SCHEMA=1 pytest {Path(__file__).name}\n{schema}"
        )
    assert path.read_text(encoding="utf-8").partition("\n")[2] == schema
