"""Scaling: a page is as fast in a full database as in an empty one, and how much faster two processes are than one.

Three servers, each on a database of its own, share core 0, one at a time. The page is a warm one; the first read after
a change, which asks the database, is shown beside it.
"""

from __future__ import annotations

import asyncio
import os
import statistics
from contextlib import ExitStack

import asyncpg

from registry.db.connection import open_database
from registry.db.migrate import migrate
from registry.model import Project
from tests.bench import load, processes, seed
from tests.bench.clients import PIP, Connection
from tests.bench.load import Case, Measure
from tests.bench.measuring import RATIO, Measurement
from tests.bench.processes import Server, Stage

SIZES = (1_000, 100_000, 1_000_000)
FLAT = 0.90
WORKERS_BAR = 1.8
# Two servers, the load generator and Postgres need a core each.
FREE_CORES = 4
CHANGES = 10


async def _fill(url: str, names: int) -> Project:
    await migrate(url)
    db = await open_database(url, pool_size=2)
    try:
        home = await seed.project(db, "pages")
        for name in ("demo", "moving"):
            await seed.pypi_files(db, home, name, 20)
        await seed.many_names(db, await seed.project(db, "others"), names)
        await db.execute("VACUUM (ANALYZE) packages")
        await db.execute("VACUUM (ANALYZE) package_names")
        return home
    finally:
        await db.close()


async def _create(stage: Stage, name: str) -> str:
    connection = await asyncpg.connect(stage.database_url)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    return stage.postgres.url_for(name)


def run(*, quick: bool = False) -> list[Measurement]:
    """Database sizes, then workers."""
    with processes.stage() as stage:
        return [*_sizes(stage, 1 if quick else 7), *_workers(stage, 1 if quick else 5)]


def _sizes(stage: Stage, rounds: int) -> list[Measurement]:
    measures: dict[int, list[Measure]] = {size: [] for size in SIZES}
    firsts: dict[int, float] = {}
    with ExitStack() as stack:
        servers: dict[int, tuple[Server, Case]] = {}
        for size in SIZES:
            url = asyncio.run(_create(stage, f"size_{size}"))
            home = asyncio.run(_fill(url, size))
            server = stack.enter_context(processes.registry(url, stage.directory / f"data-{size}"))
            firsts[size] = asyncio.run(_first(url, server, home))
            servers[size] = server, _page(home, "demo")
        for _ in range(rounds):
            for size, (server, case) in servers.items():
                measures[size].append(load.run_wrk(server.url, case, server.pids, 2))
    found = []
    for size in SIZES[1:]:
        ratios = (
            one.per_cpu_second / first.per_cpu_second
            for one, first in zip(measures[size], measures[SIZES[0]], strict=True)
        )
        middle = load.median(measures[size])
        detail = f"{middle.per_cpu_second:,.0f} requests per CPU second; {firsts[size]:.1f} ms after a change"
        found.append(
            Measurement(
                "PyPI page, 20 files, in a full database, to the same in one of 1,000 packages",
                statistics.median(ratios),
                RATIO,
                least=FLAT,
                at=f"{size:,} packages",
                detail=detail,
                errors=middle.errors,
            )
        )
    return found


def _page(home: Project, name: str) -> Case:
    return Case("PyPI page, 20 files", f"/api/v4/projects/{home.id}/packages/pypi/simple/{name}/", PIP)


async def _first(url: str, server: Server, home: Project) -> float:
    """How long the first answer after a publish takes, in milliseconds."""
    case = _page(home, "moving")
    db = await open_database(url, pool_size=2)
    connection = Connection(server.port)
    times = []
    try:
        for number in range(CHANGES):
            connection.get(case.path, case.headers)
            await seed.pypi_files(db, home, "moving", 1, first=20 + number)
            times.append(connection.get(case.path, case.headers).milliseconds)
    finally:
        connection.close()
        await db.close()
    return statistics.median(times)


def _workers(stage: Stage, rounds: int) -> list[Measurement]:
    """Nothing is pinned: the kernel places the servers, wrk and Postgres."""
    home = asyncio.run(_fill(stage.database_url, 1_000))
    case = _page(home, "demo")
    one: list[Measure] = []
    two: list[Measure] = []
    with (
        processes.registry(stage.database_url, stage.directory / "one", cores=None) as single,
        processes.registry(stage.database_url, stage.directory / "two", cores=None, workers="2") as double,
    ):
        for _ in range(rounds):
            one.append(load.run_wrk(single.url, case, single.pids, 3, cores=None))
            two.append(load.run_wrk(double.url, case, double.pids, 3, cores=None))
    ratio = statistics.median(b.per_second / a.per_second for a, b in zip(one, two, strict=True))
    cores = os.cpu_count() or 1
    detail = f"{load.median(two).per_second:,.0f} against {load.median(one).per_second:,.0f} requests per second"
    if cores < FREE_CORES:
        detail += f"; no bar, as this machine's {cores} cores also run wrk and Postgres"
    bar = WORKERS_BAR if cores >= FREE_CORES else None
    errors = load.median([*one, *two]).errors
    return [Measurement("two workers against one, c=64", ratio, RATIO, least=bar, detail=detail, errors=errors)]
