"""Listing: pages of a project with many packages through the management API, near and far, and deleting one of them.

Requests come one after the other over one connection, so the times are what a script sees. `after a change` is the
first request for a page after a package of the project was deleted, when nothing that was kept counts any more.
"""

from __future__ import annotations

import asyncio
import statistics
from typing import Any

from registry.db.connection import open_database
from tests.bench import processes, seed
from tests.bench.clients import Connection
from tests.bench.measuring import RATIO, Measurement

PACKAGES, PER_PAGE, ROUNDS, CHANGES = 100_000, 50, 100, 5
LAST = PACKAGES // PER_PAGE
CASES = {
    "page 1": "page=1",
    f"page {LAST // 2:,}": f"page={LAST // 2}",
    f"page {LAST:,}": f"page={LAST}",
    f"page {LAST:,}, newest first": f"page={LAST}&sort=desc",
    f"page {LAST:,}, by name": f"page={LAST}&order_by=name",
    "page 1, by part of the name": "package_name=bulk-99",
}
# A page may take so much of the time of the first one.
LEVEL = 1.25


class Client:
    """One kept connection that speaks to the management API."""

    def __init__(self, port: int) -> None:
        self._connection = Connection(port)

    def ask(self, method: str, path: str) -> tuple[float, Any]:
        """Milliseconds, and the JSON of the answer."""
        status = 204 if method == "DELETE" else 200
        answer = self._connection.ask(method, path, {"PRIVATE-TOKEN": seed.TOKEN}, status=status)
        return answer.milliseconds, answer.json() if answer.body else None


async def _fill(url: str) -> int:
    db = await open_database(url, pool_size=2)
    try:
        home = await seed.project(db, "listing")
        # More than are deleted on the way.
        await seed.many_names(db, home, PACKAGES + CHANGES * len(CASES))
        # What autovacuum does soon after so many rows.
        await db.execute("VACUUM packages")
        return home.id
    finally:
        await db.close()


def _measure(client: Client, base: str) -> list[Measurement]:
    pages = {name: f"{base}?per_page={PER_PAGE}&{query}" for name, query in CASES.items()}
    deletions: list[float] = []
    cold: dict[str, list[float]] = {name: [] for name in pages}
    for _ in range(CHANGES):
        for name, path in pages.items():
            (victim,) = client.ask("GET", f"{base}?per_page=1&page=7")[1]
            deletions.append(client.ask("DELETE", f"{base}/{victim['id']}")[0])
            cold[name].append(client.ask("GET", path)[0])
    # In turns, so that what else the machine does falls on all of them alike.
    warm: dict[str, list[float]] = {name: [] for name in pages}
    for _ in range(ROUNDS):
        for name, path in pages.items():
            warm[name].append(client.ask("GET", path)[0])
    medians = {name: statistics.median(times) for name, times in warm.items()}
    first = medians["page 1"]
    return [
        *(Measurement(name, median, "ms") for name, median in medians.items()),
        *(
            Measurement(f"{name}, as a ratio to page 1", medians[name] / first, RATIO, most=LEVEL)
            for name in list(pages)[1:5]
        ),
        *(Measurement(f"{name}, after a change", statistics.median(times), "ms") for name, times in cold.items()),
        Measurement("delete one package", statistics.median(deletions), "ms"),
    ]


def run(*, quick: bool = False) -> list[Measurement]:
    """A project with a hundred thousand packages, a server on one core; there is nothing to be quick about."""
    del quick
    with processes.stage() as stage:
        home = asyncio.run(_fill(stage.database_url))
        with processes.registry(stage.database_url, stage.directory / "data") as server:
            return _measure(Client(server.port), f"/api/v4/projects/{home}/packages")
