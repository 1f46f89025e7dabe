"""Replicas of earlier releases go on working on the schema of this one: see `tests/db/snapshot.py`."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from registry.db.migrate import available, migrate
from registry.embedded import EmbeddedPostgres
from tests.databases import drop
from tests.db.snapshot import SNAPSHOTS, columns

RELEASES = sorted(SNAPSHOTS.iterdir())
# A row that an earlier release inserts names none of these, so each needs a default, or to be nullable.
DEMANDS = """
SELECT table_name || '.' || column_name FROM information_schema.columns
 WHERE table_schema = 'public' AND is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO'
   AND is_generated = 'NEVER'
"""
TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


def test_there_is_a_release_to_keep() -> None:
    assert RELEASES


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)
async def test_every_query_of_an_earlier_release_is_answered_as_then(
    release: Path, connection: asyncpg.Connection[asyncpg.Record]
) -> None:
    assert json.loads((release / "columns.json").read_bytes()) == await columns(connection, release)


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)
async def test_nothing_new_is_demanded_of_the_rows_of_an_earlier_release(
    release: Path, connection: asyncpg.Connection[asyncpg.Record], postgres: EmbeddedPostgres
) -> None:
    name = f"test_{os.urandom(6).hex()}"
    admin = await asyncpg.connect(postgres.url)
    await admin.execute(f"CREATE DATABASE {name}")
    await migrate(postgres.url_for(name), available()[: int((release / "schema").read_text())])
    then = await asyncpg.connect(postgres.url_for(name))
    tables = {row[0] for row in await then.fetch(TABLES)}
    demanded = {row[0] for row in await then.fetch(DEMANDS)}
    await then.close()
    await drop(admin, name)
    await admin.close()

    now = {row[0] for row in await connection.fetch(DEMANDS)}

    assert set() == {one for one in now - demanded if one.partition(".")[0] in tables}
