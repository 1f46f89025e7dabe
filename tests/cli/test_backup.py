"""`registry backup` and `registry restore`: what is wrong with a backup is told. The drill is among the clients."""

from __future__ import annotations

import asyncio
import json
import tarfile
from pathlib import Path

import asyncpg

from tests.cli.conftest import Run
from tests.cli.processes import TOKEN, Serving, SlowUpload, registry, serving


def settings(data: Path) -> dict[str, str]:
    return {"data_dir": str(data), "root_token": TOKEN}


def publish(server: Serving, project: int, version: str) -> None:
    assert 201 == SlowUpload(server, project, version.encode() * 1000, version=version).finish()[0]


def new_project(server: Serving) -> int:
    status, project = server.ask("POST", "/api/v4/projects", {"name": "demo"})
    assert 201 == status
    return int(project["id"])


def test_a_damaged_backup_is_told(place: Path) -> None:
    data, backup = place / "data", place / "backup.tar"
    with serving(place / "first", **settings(data)) as server:
        project = new_project(server)
        for version in ("1.0", "2.0"):
            publish(server, project, version)
        lost, changed = sorted(path for path in (data / "objects").rglob("*") if path.is_file())
        content = lost.read_bytes()
        lost.unlink()
        made = registry("backup", str(backup), **settings(data))
        key = str(lost.relative_to(data / "objects"))
        assert (1, "") == (made.returncode, made.stderr)
        assert f"missing in the store: {key}\n" in made.stdout
        assert 0 == server.stop()
    unpacked = place / "unpacked"
    with tarfile.open(backup) as tar:
        tar.extractall(unpacked, filter="data")
    (unpacked / "objects" / changed.relative_to(data / "objects")).write_bytes(b"x" * len(changed.read_bytes()))
    assert len(content) == 3000

    restored = registry("restore", str(unpacked), "--verify", **settings(place / "new"))

    found = [json.loads(line) for line in restored.stdout.splitlines()[:-1]]
    assert (1, {"object-missing", "object-digest"}) == (restored.returncode, {one["kind"] for one in found})
    (unpacked / "backup.json").unlink()
    refused = registry("restore", str(unpacked), **settings(place / "other"))
    assert (1, f"registry: {unpacked} holds no complete backup: backup.json is missing\n") == (
        refused.returncode,
        refused.stderr,
    )
    assert not (place / "other").exists()


def test_an_external_database_is_backed_up_by_its_own_tools(run: Run, tmp_path: Path) -> None:
    for command in ("backup", "restore"):
        ran = run(command, str(tmp_path / "backup"))
        assert (2, "") == (ran.code, ran.stdout)
        assert "deploy/BACKUP.md" in ran.stderr


async def test_after_an_external_restore_every_number_is_new(run: Run, database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("INSERT INTO blobs (key, state_at) VALUES ('ab', now() - interval '2 days')")
    ran = await asyncio.to_thread(run, "restored")
    row = await connection.fetchrow("SELECT number, trimmed FROM change_head")
    await connection.close()
    assert (0, True) == (ran.code, row is not None and row["number"] == row["trimmed"] >= 1_000_000_000)
    # What was being uploaded then is left alone for another day.
    assert (0, "") == ((collected := await asyncio.to_thread(run, "gc")).code, collected.stdout)
