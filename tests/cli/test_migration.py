"""`registry migrate` makes the schema, once, on the database behind the pooler."""

from __future__ import annotations

import asyncio
import os

import asyncpg

from registry.db.migrate import available
from registry.embedded import EmbeddedPostgres
from tests.cli.conftest import Ran, Run
from tests.databases import drop


async def test_it_applies_what_is_missing_and_names_it(run: Run, postgres: EmbeddedPostgres) -> None:
    name = f"test_{os.urandom(6).hex()}"
    connection = await asyncpg.connect(postgres.url)
    await connection.execute(f"CREATE DATABASE {name}")
    try:
        # Only the direct URL leads anywhere: migrations need a session of their own.
        settings = {
            "database_url": "postgresql://nobody@127.0.0.1:1/pooler",
            "database_direct_url": postgres.url_for(name),
        }
        first = await asyncio.to_thread(run, "migrate", **settings)
        second = await asyncio.to_thread(run, "migrate", **settings)
    finally:
        await drop(connection, name)
        await connection.close()
    assert Ran(0, "".join(f"applied {one.name}\n" for one in available()), "") == first
    assert Ran(0, "the schema is up to date\n", "") == second


def test_a_database_that_is_away_ends_it(run: Run) -> None:
    ran = run("migrate", database_url="postgresql://registry:hunter2@127.0.0.1:1/registry")
    assert (1, "") == (ran.code, ran.stdout)
    assert ran.stderr.startswith("registry: Postgres does not answer: ")
    assert "hunter2" not in ran.stderr
