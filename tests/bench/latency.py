"""Latency: the slowest percent of small reads, while nothing else happens and while uploads run.

The uploader is a process of its own beside wrk, sending 50 MiB with three digests, one after another, into the same
server. Bare aiohttp reads such a body and hashes nothing, so it takes several uploads in the time of one; the details
say how many.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterator

from registry.db.connection import open_database
from tests.bench import comparing, load, processes, seed
from tests.bench.clients import PIP
from tests.bench.load import Case, Measure
from tests.bench.measuring import RATIO, Measurement
from tests.bench.processes import Server
from tests.cli.processes import REPOSITORY

RATIO_BAR, MILLISECONDS_BAR = 2.0, 15.0
CONNECTIONS, SECONDS = 64, 6.0


async def _fill(url: str) -> dict[str, int]:
    db = await open_database(url, pool_size=2)
    try:
        pages = await seed.project(db, "pages")
        await seed.pypi_files(db, pages, "demo", 20)
        return {"pages": pages.id, "uploads": (await seed.project(db, "uploads")).id}
    finally:
        await db.close()


def run(*, quick: bool = False) -> list[Measurement]:
    """The page of 20 files, idle and during uploads."""
    rounds = 1 if quick else 5
    with processes.stage() as stage:
        ids = asyncio.run(_fill(stage.database_url))
        with processes.registry(stage.database_url, stage.directory / "data") as ours:
            path = f"/api/v4/projects/{ids['pages']}/packages/pypi/simple/demo/"
            case = Case("PyPI page, 20 files", path, PIP, CONNECTIONS)
            (kept,) = comparing.capture(ours, [case], stage.directory)
            with processes.bare(stage.directory, "uvloop") as theirs:
                idle = comparing.compare(ours, theirs, case, kept.path, rounds=rounds, seconds=SECONDS)
                other = dataclasses.replace(case, path=kept.path)
                busy = _during_uploads(ours, case, theirs, other, ids["uploads"], rounds)
    return [*_rows("idle", idle, ""), *_rows("while uploads run", *busy)]


def _during_uploads(
    ours: Server, case: Case, theirs: Server, other: Case, project: int, rounds: int
) -> tuple[comparing.Pair, str]:
    target = f"/api/v4/projects/{project}/packages/pypi"
    mine: list[Measure] = []
    others: list[Measure] = []
    sent: tuple[list[int], list[int]] = ([], [])
    for _ in range(rounds):
        for server, asked, measures, counts in (
            (theirs, other, others, sent[1]),
            (ours, case, mine, sent[0]),
        ):
            with _uploading(server, target) as done:
                before = len(done)
                measures.append(load.run_wrk(server.url, asked, server.pids, SECONDS))
                counts.append(len(done) - before)
    counted = f"{statistics.median(sent[0]):.0f} uploads against {statistics.median(sent[1]):.0f}; "
    return comparing.pair(mine, others), counted


@contextlib.contextmanager
def _uploading(server: Server, path: str) -> Iterator[list[str]]:
    """Uploads one after another within the block, from when the first has ended: a line for each."""
    command = [sys.executable, "-m", "tests.bench.sending", str(server.port), path]
    with load.on(load.LOAD_CORE):
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    done: list[str] = []
    assert process.stdout is not None
    reader = threading.Thread(target=done.extend, args=(process.stdout,))
    try:
        if not process.stdout.readline():
            raise RuntimeError("uploads do not work")
        reader.start()
        yield done
        if process.poll() is not None:
            raise RuntimeError("uploads ended early")
    finally:
        process.kill()
        process.wait()
        if reader.ident is not None:
            reader.join()
        process.stdout.close()
        for pid in server.pids:
            load.settle(pid)


def _rows(when: str, pair: comparing.Pair, counted: str) -> list[Measurement]:
    detail = (
        f"{counted}{pair.ours.p99:.1f} against {pair.theirs.p99:.1f} ms; {pair.ours.per_second:,.0f} against "
        f"{pair.theirs.per_second:,.0f} requests per second"
    )
    title = f"p99 of the PyPI page at c={CONNECTIONS}, {when}"
    errors = pair.errors
    return [
        Measurement(f"{title}, to bare aiohttp", pair.p99, RATIO, most=RATIO_BAR, detail=detail, errors=errors),
        Measurement(title, pair.ours.p99, "ms", most=MILLISECONDS_BAR, errors=errors),
    ]
