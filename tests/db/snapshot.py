"""What each release asked of the database, kept so that migrations do not break replicas that still run it.

`python -m tests.db.snapshot` takes the snapshot of this release, into `tests/db/releases/<version>`: do it when the
release is made. `schema` holds the number of its newest migration, `columns.json` what each query answers. A release
that a `NNNN_contract_...` migration ends has no snapshot any more.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from pathlib import Path

import asyncpg

from registry import __version__, resource
from registry.db.migrate import available, migrate
from registry.embedded import EmbeddedPostgres

SNAPSHOTS = Path(__file__).parent / "releases"
Columns = dict[str, list[list[str]]]


async def columns(connection: asyncpg.Connection[asyncpg.Record], queries: Path) -> Columns:
    """Names and types of what each query of a directory answers. Raises asyncpg.PostgresError for an invalid one."""
    found: Columns = {}
    for name, text in _texts(queries):
        statement = await connection.prepare(text)
        found[name] = [[one.name, one.type.name] for one in statement.get_attributes()]
    return found


def _texts(queries: Path) -> list[tuple[str, str]]:
    return [
        (f"{path.stem}.{block.split()[0]}", block.partition("\n")[2])
        for path in sorted(queries.glob("*.sql"))
        for block in path.read_text(encoding="utf-8").split("-- name: ")[1:]
    ]


async def take(url: str) -> Path:
    """Write the snapshot of this release; answers its directory."""
    await migrate(url)
    connection = await asyncpg.connect(url)
    try:
        directory = SNAPSHOTS / __version__
        if directory.exists():
            shutil.rmtree(directory)
        shutil.copytree(resource("sql") / "queries", directory)
        answers = await columns(connection, directory)
    finally:
        await connection.close()
    (directory / "columns.json").write_text(json.dumps(answers, indent=1) + "\n")
    (directory / "schema").write_text(f"{len(available())}\n")
    return directory


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as home:
        Path(home).chmod(0o755)
        with EmbeddedPostgres.start(Path(home) / "data", unsafe_fast=True) as server:
            print(asyncio.run(take(server.url)))
