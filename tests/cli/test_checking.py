"""`registry fsck`: lines of JSON, a summary, and an exit code."""

from __future__ import annotations

import asyncio
import json

from registry.db.connection import open_database
from tests.cli.conftest import Run


async def test_findings_are_lines_of_json_and_the_exit_code_tells(run: Run, database_url: str) -> None:
    clean = await asyncio.to_thread(run, "fsck", "--deep")
    assert (0, "", "registry fsck: everything is in order\n") == (clean.code, clean.stdout, clean.stderr)

    db = await open_database(database_url, pool_size=2)
    await db.execute("INSERT INTO blobs (key, state, size, sha256) VALUES ('ab', 'stored', 3, repeat('0', 64))")
    told = await asyncio.to_thread(run, "fsck")
    unreferenced = {
        "kind": "blob-unreferenced",
        "severity": "warning",
        "what": "no file refers to ab, which is stored",
        "repaired": False,
    }
    missing = {
        "kind": "object-missing",
        "severity": "error",
        "what": "ab is not in the store",
        "repaired": False,
    }
    assert (1, "registry fsck: 1 errors, 1 warnings\n") == (told.code, told.stderr)
    assert [unreferenced, missing] == [json.loads(line) for line in told.lines]

    mended = await asyncio.to_thread(run, "fsck", "--repair")
    assert (1, "registry fsck: 1 repaired\n") == (mended.code, mended.stderr)
    assert [unreferenced | {"repaired": True}] == [json.loads(line) for line in mended.lines]
    assert 0 == (await asyncio.to_thread(run, "fsck")).code
    await db.close()


async def test_a_check_that_cannot_be_made_is_exit_code_2(run: Run, database_url: str) -> None:
    db = await open_database(database_url, pool_size=2)
    await db.execute("INSERT INTO blobs (key, state, size, sha256) VALUES ('ab', 'stored', 3, repeat('0', 64))")
    await db.close()
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    ran = await asyncio.to_thread(run, "fsck", database_url=nowhere)
    assert (2, "") == (ran.code, ran.stdout)
    assert "registry: the check could not be finished: Postgres does not answer" in ran.stderr
