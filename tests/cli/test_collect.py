"""`registry gc`: after a crash exactly what was abandoned goes."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path

import pytest

from registry.db.connection import open_database
from registry.storage import open_store
from tests.cli.conftest import Run
from tests.cli.processes import TOKEN, SlowUpload, serving

# More than one request to S3 holds.
LARGE = b"0123456789" * 1_000_000


async def state(database_url: str, storage_url: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Blobs as (key, state), and the keys in the store."""
    db = await open_database(database_url, pool_size=2)
    rows = await db.fetch("SELECT key, state FROM blobs ORDER BY key")
    await db.close()
    async with open_store(storage_url) as store, aclosing(store.list()) as objects:
        return [(row["key"], row["state"]) for row in rows], [one.key async for one in objects]


@pytest.mark.parametrize("storage_url", ["local", "s3"], indirect=True)
async def test_what_a_killed_server_left_is_removed_and_nothing_else(
    run: Run, place: Path, database_url: str, storage_url: str
) -> None:
    settings = {
        "database_url": database_url,
        "storage_url": storage_url,
        "root_token": TOKEN,
        "data_dir": str(place / "data"),
    }
    with serving(place / "sound", **settings) as server:
        status, project = await asyncio.to_thread(server.ask, "POST", "/api/v4/projects", {"name": "demo"})
        assert 201 == status
        upload = await asyncio.to_thread(SlowUpload, server, project["id"], LARGE)
        assert 201 == (await asyncio.to_thread(upload.finish))[0]
        assert 0 == await asyncio.to_thread(server.stop)
    published = await state(database_url, storage_url)
    with serving(place / "crashing", failpoint="ingest.after-store-commit:kill", **settings) as server:
        upload = await asyncio.to_thread(SlowUpload, server, project["id"], LARGE, version="2.0")
        with pytest.raises(ConnectionError):
            await asyncio.to_thread(upload.finish)
        assert -signal.SIGKILL == server.process.wait(10)
    blobs, objects = await state(database_url, storage_url)
    (abandoned,) = {key for key, is_state in blobs if is_state == "open"}
    assert sorted([abandoned, *published[1]]) == objects

    def gc(*arguments: str) -> list[dict[str, object]]:
        ran = run("gc", *arguments, **settings)
        assert (0, "") == (ran.code, ran.stderr)
        return [json.loads(line) for line in ran.lines]

    # A day has to go by first.
    assert [] == await asyncio.to_thread(gc)
    told = await asyncio.to_thread(gc, "--grace", "0", "--dry-run")
    assert (blobs, objects) == await state(database_url, storage_url)
    done = await asyncio.to_thread(gc, "--grace", "0")

    assert told == done
    assert [("doom", abandoned), ("remove", abandoned)] == [(step["action"], step["key"]) for step in done]
    assert published == await state(database_url, storage_url)
    with serving(place / "again", **settings) as server:
        path = f"/api/v4/projects/{project['id']}/packages/pypi/simple/demo/"
        assert 200 == (await asyncio.to_thread(server.ask, "GET", path))[0]


async def test_the_restore_window_can_be_shortened(run: Run, database_url: str) -> None:
    db = await open_database(database_url, pool_size=2)
    await db.execute("INSERT INTO blobs (key, state, size, sha256) VALUES ('ab', 'doomed', 3, repeat('0', 64))")
    await db.execute("UPDATE blobs SET state_at = now() - $1::interval", timedelta(hours=2))
    assert [] == (await asyncio.to_thread(run, "gc")).lines
    ran = await asyncio.to_thread(run, "gc", "--restore-window", "3600")
    assert {"action": "remove", "blob": 1, "key": "ab", "size": 3} == json.loads(ran.stdout)
    assert 0 == await db.fetchval("SELECT count(*) FROM blobs")
    await db.close()


async def test_what_cannot_be_removed_is_told_by_line_and_exit_code(run: Run, s3_url: str, database_url: str) -> None:
    db = await open_database(database_url, pool_size=2)
    await db.execute("INSERT INTO blobs (key, size) VALUES ('ab', 3)")
    elsewhere = re.sub("s3://[^/]+", "s3://nobody-made-this", s3_url)
    ran = await asyncio.to_thread(run, "gc", "--grace", "0", storage_url=elsewhere)
    why = "The object store answered NoSuchBucket (ab)"
    failed = {"action": "failed", "blob": 1, "key": "ab", "size": 3, "why": why}
    assert (1, failed) == (ran.code, json.loads(ran.lines[-1]))
    assert "doomed" == await db.fetchval("SELECT state FROM blobs")
    await db.close()


@pytest.mark.parametrize("text", ["-1", "soon", "nan"])
def test_a_grace_is_a_number_of_seconds(run: Run, text: str) -> None:
    with pytest.raises(SystemExit) as ended:
        run("gc", f"--grace={text}")
    assert 2 == ended.value.code
