"""`registry check` proves what the registry needs, names what is missing, and cleans up."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from registry.db.connection import open_database
from registry.storage import open_store
from tests.cli.conftest import Ran, Run

DATABASE = ["database: connection and schema: ok", "database: transaction: ok"]
STORE = ["store: opened: ok", "store: write: ok", "store: read: ok", "store: range: ok"]
REST = ["store: delete: ok", "store: multipart upload: ok", "store: multipart read: ok"]


async def everything(database_url: str, storage_url: str) -> tuple[int, list[str]]:
    db = await open_database(database_url, pool_size=2)
    rows = await db.fetchval("SELECT count(*) FROM blobs")
    await db.close()
    async with open_store(storage_url) as store:
        return rows, [one.key async for one in store.list()]


async def test_a_directory_passes_without_urls(run: Run, tmp_path: Path, database_url: str) -> None:
    ran = await asyncio.to_thread(run, "check")
    assert Ran(0, "\n".join([*DATABASE, *STORE, *REST, ""]), "") == ran
    assert (0, []) == await everything(database_url, (tmp_path / "objects").as_uri())
    assert [] == list((tmp_path / "objects" / ".incoming").iterdir())


async def test_a_bucket_passes_with_presigned_downloads(run: Run, s3_url: str, database_url: str) -> None:
    ran = await asyncio.to_thread(run, "check", storage_url=s3_url)
    assert Ran(0, "\n".join([*DATABASE, *STORE, "store: presigned download: ok", *REST, ""]), "") == ran
    assert (0, []) == await everything(database_url, s3_url)


async def test_a_missing_bucket_is_told(run: Run, s3_url: str, database_url: str) -> None:
    ran = await asyncio.to_thread(run, "check", storage_url=re.sub("s3://[^/]+", "s3://nobody-made-this", s3_url))
    assert 1 == ran.code
    assert [*DATABASE, "store: opened: ok"] == ran.lines[:3]
    assert [
        line for line in ran.lines[3:] if re.match(r"store: (write|multipart upload): FAILED: .*NoSuchBucket", line)
    ]
    assert not [line for line in ran.lines if line.endswith("read: ok")]


def test_a_database_that_is_away_is_told(run: Run) -> None:
    ran = run("check", database_url="postgresql://registry:hunter2@127.0.0.1:1/registry")
    assert 1 == ran.code
    assert re.fullmatch(r"database: connection and schema: FAILED: Postgres does not answer: .*\n", ran.stdout)
    assert "hunter2" not in ran.stdout + ran.stderr


def test_a_storage_url_that_means_nothing_is_told(run: Run) -> None:
    ran = run("check", storage_url="ftp://somewhere")
    assert (1, [*DATABASE, "store: opened: FAILED: a storage URL starts with file:// or s3://, not 'ftp'"]) == (
        ran.code,
        ran.lines,
    )


@pytest.fixture(autouse=True)
def _no_other_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
