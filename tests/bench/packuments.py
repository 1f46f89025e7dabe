"""Packuments: how long one of 3,000 versions takes, in each form and encoding, from a cold server and from a warm one.

Requests come one after the other over one connection, so the times are what a client waits.
"""

from __future__ import annotations

import asyncio
import statistics

from registry.db.connection import open_database
from registry.formats.npm import packument
from tests.bench import processes, seed
from tests.bench.clients import BEARER, Connection
from tests.bench.measuring import Measurement

VERSIONS = 3_000
WARM = 50
NAME = "widget"
FORMS = {"full": packument.FULL_TYPE, "abbreviated": packument.ABBREVIATED_TYPE}


def run(*, quick: bool = False) -> list[Measurement]:
    """Asking a running registry: once when nothing is cached, then again and again; fewer times when `quick`."""
    asked = 5 if quick else WARM
    found = []
    with processes.stage() as stage:
        path = f"/api/v4/projects/{asyncio.run(_fill(stage.database_url))}/packages/npm/{NAME}"
        for form, media_type in FORMS.items():
            for coding in ("identity", "gzip", "zstd"):
                headers = {"Accept": media_type, "Accept-Encoding": coding, "Authorization": BEARER}
                with processes.registry(stage.database_url, stage.directory / "data") as server:
                    connection = Connection(server.port)
                    connection.get("/-/liveness", {})
                    cold = connection.get(path, headers)
                    warm = statistics.median(connection.get(path, headers).milliseconds for _ in range(asked))
                    connection.close()
                title = f"3,000 versions, {form}, {coding}, {len(cold.body) / 1000:,.0f} kB"
                found.append(Measurement(f"{title}: first answer", cold.milliseconds, "ms"))
                found.append(Measurement(f"{title}: later ones", warm, "ms"))
    return found


async def _fill(url: str) -> int:
    db = await open_database(url, pool_size=4)
    try:
        project = await seed.project(db, "packuments")
        await seed.npm_versions(db, project, NAME, VERSIONS)
        return project.id
    finally:
        await db.close()
