"""A transaction pooler in between: what lives longer than a transaction is not relied on."""

from __future__ import annotations

import asyncio
import os

import asyncpg
import pytest

from registry.db.connection import open_database
from registry.db.migrate import available, migrate
from registry.embedded import EmbeddedPostgres
from tests.databases import drop
from tests.pooler import Pooler


@pytest.fixture
async def empty_url(postgres: EmbeddedPostgres, pgbouncer: Pooler) -> object:
    name = f"empty_{os.urandom(6).hex()}"
    connection = await asyncpg.connect(postgres.url)
    await connection.execute(f"CREATE DATABASE {name}")
    yield pgbouncer.url_for(name)
    await drop(connection, name)
    await connection.close()


async def test_a_pooler_nobody_declared_is_noticed(empty_url: str) -> None:
    db = await open_database(empty_url, pool_size=30)
    try:
        # More connections than sessions: each statement meets sessions that others have prepared things on.
        queries = [db.fetchval("SELECT $1::int + pg_backend_pid() * 0", number % 7) for number in range(300)]
        assert [number % 7 for number in range(300)] == await asyncio.gather(*queries)
    finally:
        await db.close()


async def test_without_a_pooler_statements_are_prepared(postgres: EmbeddedPostgres) -> None:
    db = await open_database(postgres.url, pool_size=2)
    try:
        assert 1 == await db.fetchval("SELECT $1::int", 1)
        async with db.transaction() as tx:
            assert 2 == await tx.fetchval("SELECT $1::int", 2)
            assert await tx.fetchval("SELECT count(*) FROM pg_prepared_statements") > 0
    finally:
        await db.close()


async def test_two_runners_behind_a_pooler_apply_each_migration_once(empty_url: str) -> None:
    first, second = await asyncio.gather(migrate(empty_url), migrate(empty_url))

    assert [m.name for m in available()] == sorted(first + second)
    # The lock went with its transaction: nobody waits for a session of the pooler.
    async with asyncio.timeout(20):
        assert [] == await migrate(empty_url)
