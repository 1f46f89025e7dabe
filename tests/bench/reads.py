"""Reads: pages, packuments and indexes per CPU second, beside bare aiohttp with the same bytes.

Both servers share core 0, one at a time; wrk has core 1, and Postgres too, whose own time is not counted. Requests
are those of pip, npm and pnpm for a private project, with a token. With one connection each request pays for its own
poll of the change log: there is no bar.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence

from registry.db.connection import open_database
from tests.bench import comparing, processes, seed
from tests.bench.clients import NPM, PIP, PNPM
from tests.bench.load import Case
from tests.bench.measuring import Measurement

BAR = 0.80
CONNECTIONS = (1, 16, 64, 256)
NAMES = 100_000


async def _fill(url: str) -> dict[str, int]:
    db = await open_database(url, pool_size=4)
    try:
        pages = await seed.project(db, "pages")
        await seed.pypi_files(db, pages, "demo", 20)
        await seed.npm_versions(db, pages, "small", 20)
        await seed.npm_versions(db, pages, "large", 800)
        index = await seed.project(db, "index")
        await seed.many_names(db, index, NAMES)
        return {"pages": pages.id, "index": index.id}
    finally:
        await db.close()


def run(*, quick: bool = False) -> list[Measurement]:
    """Every workload at every number of connections; `quick`, one round at 64."""
    connections, rounds = ((64,), 1) if quick else (CONNECTIONS, 3)
    with processes.stage() as stage:
        cases = _cases(asyncio.run(_fill(stage.database_url)))
        with processes.registry(stage.database_url, stage.directory / "data") as ours:
            kept = comparing.capture(ours, cases, stage.directory)
            # The second answer to a client that has the first.
            for number in (0, 1):
                case = cases[number]
                headers = {**case.headers, "If-None-Match": kept[number].headers["ETag"]}
                cases.append(dataclasses.replace(case, name=f"{case.name}, 304", headers=headers))
                kept.append(kept[number])
            with processes.bare(stage.directory, "uvloop") as theirs:
                found = []
                for case, other in zip(cases, kept, strict=True):
                    found += _rows(ours, theirs, case, other.path, connections, rounds)
                return found


def _rows(
    ours: processes.Server, theirs: processes.Server, case: Case, other: str, connections: Sequence[int], rounds: int
) -> list[Measurement]:
    found = []
    for count in connections:
        pair = comparing.compare(ours, theirs, dataclasses.replace(case, connections=count), other, rounds=rounds)
        at = f"c={count}" if count >= 16 else f"c={count}, p50 {pair.ours.p50:.2f} ms"
        found.append(comparing.speed(case.name, pair, at=at, bar=BAR if count >= 16 else None))
    return found


def _cases(ids: dict[str, int]) -> list[Case]:
    pages = f"/api/v4/projects/{ids['pages']}/packages"
    identity = {"Accept-Encoding": "identity"}
    return [
        Case("PyPI page, 20 files, JSON, gzip", f"{pages}/pypi/simple/demo/", PIP),
        Case("packument, 800 versions, abbreviated, gzip", f"{pages}/npm/large", PNPM),
        Case("packument, 800 versions, full, gzip", f"{pages}/npm/large", NPM),
        Case("packument, 800 versions, abbreviated, identity", f"{pages}/npm/large", PNPM | identity),
        Case("packument, 800 versions, full, identity", f"{pages}/npm/large", NPM | identity),
        Case("packument, 20 versions, abbreviated, gzip", f"{pages}/npm/small", PNPM),
        Case("packument, 20 versions, full, gzip", f"{pages}/npm/small", NPM),
        Case("root index, 100,000 projects, JSON, gzip", f"/api/v4/projects/{ids['index']}/packages/pypi/simple/", PIP),
    ]
