"""First reads: the CPU time of the server for a document that has just changed, while the rest of it has not.

Before each read one version is published by this process through the kernel: none of that is charged to the server,
which learns of it from the change log when the read arrives. Postgres' own time is not counted.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from registry.db.connection import Database, open_database
from registry.model import Project
from tests.bench import load, processes, seed
from tests.bench.clients import NPM, PIP, PNPM, Connection
from tests.bench.measuring import Measurement
from tests.bench.processes import Server

ROUNDS = 15


@dataclass(frozen=True, slots=True)
class First:
    """A document, what changes it, and what it may cost in milliseconds of CPU."""

    title: str
    name: str
    versions: int
    headers: Mapping[str, str]
    publish: Callable[[Database, Project, str, int], Awaitable[None]]
    bar: float

    def path(self, home: Project) -> str:
        """Of the document."""
        rest = f"pypi/simple/{self.name}/" if self.publish is _publish_file else f"npm/{self.name}"
        return f"/api/v4/projects/{home.id}/packages/{rest}"


async def _publish_file(db: Database, home: Project, name: str, number: int) -> None:
    await seed.pypi_files(db, home, name, 1, first=number)


async def _publish_version(db: Database, home: Project, name: str, number: int) -> None:
    await seed.npm_versions(db, home, name, 1, first=number)


CASES = (
    First("PyPI page, 1,000 files", "wide", 1_000, PIP, _publish_file, 5),
    First("packument, 800 versions, abbreviated", "long-abbreviated", 800, PNPM, _publish_version, 5),
    First("packument, 800 versions, full", "long-full", 800, NPM, _publish_version, 5),
    First("packument, 3,000 versions, abbreviated", "longest-abbreviated", 3_000, PNPM, _publish_version, 20),
    First("packument, 3,000 versions, full", "longest-full", 3_000, NPM, _publish_version, 20),
)


def run(*, quick: bool = False) -> list[Measurement]:
    """Each document in turn."""
    with processes.stage() as stage:
        project = asyncio.run(_fill(stage.database_url))
        with processes.registry(stage.database_url, stage.directory / "data") as server:
            return asyncio.run(_measure(stage.database_url, server, project, 3 if quick else ROUNDS))


async def _fill(url: str) -> Project:
    db = await open_database(url, pool_size=4)
    try:
        home = await seed.project(db, "firsts")
        for case in CASES:
            seeding = seed.pypi_files if case.publish is _publish_file else seed.npm_versions
            await seeding(db, home, case.name, case.versions)
        return home
    finally:
        await db.close()


async def _measure(url: str, server: Server, home: Project, rounds: int) -> list[Measurement]:
    used: dict[str, list[float]] = {case.title: [] for case in CASES}
    waited: dict[str, list[float]] = {case.title: [] for case in CASES}
    db = await open_database(url, pool_size=2)
    connection = Connection(server.port)
    try:
        for case in CASES:
            connection.get(case.path(home), case.headers)
        for number in range(rounds):
            for case in CASES:
                await case.publish(db, home, case.name, case.versions + number)
                load.settle(server.pid)
                before = load.cpu_seconds(server.pid)
                answer = connection.get(case.path(home), case.headers)
                # What a thread still does after the answer belongs to it.
                load.settle(server.pid)
                used[case.title].append((load.cpu_seconds(server.pid) - before) * 1000)
                waited[case.title].append(answer.milliseconds)
    finally:
        connection.close()
        await db.close()
    return [
        Measurement(
            f"first read after a publish, {case.title}",
            statistics.median(used[case.title]),
            "ms of CPU",
            most=case.bar,
            detail=f"{min(used[case.title]):.1f} at least, answered in {statistics.median(waited[case.title]):.1f} ms",
        )
        for case in CASES
    ]
