"""Reads: pages, packuments, indexes and downloads, per CPU second, beside bare aiohttp with the same bytes.

Both servers share core 0, one at a time; wrk has core 1. Rounds alternate, figures are medians of the rounds.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from registry.db.connection import open_database
from registry.db.migrate import migrate
from registry.embedded import EmbeddedPostgres
from tests.bench import load, seed
from tests.bench.load import Case, Measure

_BASIC = "Basic " + base64.b64encode(f"__token__:{seed.TOKEN}".encode()).decode()
_BEARER = f"Bearer {seed.TOKEN}"
PIP = {
    "Accept": "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01",
    "Accept-Encoding": "gzip, deflate",
    "Authorization": _BASIC,
    "Cache-Control": "max-age=0",
    "User-Agent": "pip/26.3",
}
NPM = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "Authorization": _BEARER,
    "User-Agent": "npm/11.21.2 node/v24.21.0 linux x64 workspaces/false",
}
PNPM = {**NPM, "Accept": "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*"}
BAR = 0.80
# What belongs to one answer, not to the document. A kept `Connection: close` would end every connection.
_NOT_KEPT = frozenset({"Date", "Server", "Content-Length", "Connection"})


def free_port() -> int:
    """A port nobody has."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def registry(database_url: str, directory: Path, **settings: str) -> Iterator[tuple[str, int]]:
    """`registry serve` as a process on core 0: its address and pid."""
    port = free_port()
    environment = {
        **os.environ,
        "REGISTRY_DATABASE_URL": database_url,
        "REGISTRY_DATA_DIR": str(directory),
        "REGISTRY_PORT": str(port),
        "REGISTRY_ROOT_TOKEN": seed.TOKEN,
        "REGISTRY_LOG_LEVEL": "error",
        **settings,
    }
    process = subprocess.Popen([sys.executable, "-m", "registry", "serve"], env=environment, stdout=subprocess.DEVNULL)
    with _running(process, port):
        yield f"http://127.0.0.1:{port}", process.pid


@contextlib.contextmanager
def bare(directory: Path, loop: str) -> Iterator[tuple[str, int]]:
    """Bare aiohttp as a process on core 0."""
    port = free_port()
    script = Path(__file__).with_name("bare.py")
    process = subprocess.Popen([sys.executable, str(script), str(port), loop, str(directory)])
    with _running(process, port):
        yield f"http://127.0.0.1:{port}", process.pid


@contextlib.contextmanager
def _running(process: subprocess.Popen[Any], port: int) -> Iterator[None]:
    try:
        asyncio.run(load.wait_for(port))
        load.pin(process.pid, load.SERVER_CORE)
        yield
    finally:
        process.terminate()
        process.wait(20)


def capture(url: str, cases: list[Case], directory: Path) -> None:
    """Keep what the registry answers, for bare aiohttp to answer the same."""
    index = []
    for number, case in enumerate(cases):
        request = urllib.request.Request(url + case.path, headers=dict(case.headers))
        with urllib.request.urlopen(request) as response:
            (directory / f"body-{number}").write_bytes(response.read())
            kept = {name: value for name, value in response.headers.items() if name not in _NOT_KEPT}
        index.append({"path": f"/api/{number}", "body": f"body-{number}", "headers": kept})
    (directory / "index.json").write_text(json.dumps(index))


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table."""

    workload: str
    connections: int
    ours: Measure
    theirs: Measure
    ratio: float
    bar: float

    def line(self) -> str:
        verdict = "ok" if self.ratio >= self.bar else "BELOW"
        return (
            f"{self.workload:44} c={self.connections:<4} {self.ours.per_second:>9,.0f} {self.theirs.per_second:>9,.0f}"
            f"  {self.ratio:5.2f} x  p99 {self.ours.p99:6.1f} / {self.theirs.p99:6.1f} ms  {verdict}"
        )


def compare(
    ours: tuple[str, int], theirs: tuple[str, int], case: Case, other: str, *, rounds: int, bar: float = BAR
) -> Row:
    """Alternate rounds; the ratio is the median of the rounds' own ratios per CPU second."""
    mine, bares, ratios = [], [], []
    other_case = dataclasses.replace(case, path=other)
    for _ in range(rounds):
        bares.append(load.run_wrk(theirs[0], other_case, theirs[1], 2))
        mine.append(load.run_wrk(ours[0], case, ours[1], 2))
        ratios.append(mine[-1].per_cpu_second / bares[-1].per_cpu_second)
    row = Row(case.name, case.connections, load.median(mine), load.median(bares), statistics.median(ratios), bar)
    print(row.line(), flush=True)
    if row.ours.errors:
        print(f"  {row.ours.errors} answers were errors")
    return row


async def _fill(url: str, *, names: int) -> dict[str, int]:
    db = await open_database(url, pool_size=4)
    try:
        pages = await seed.project(db, "pages")
        await seed.pypi_files(db, pages, "demo", 20)
        await seed.npm_versions(db, pages, "small", 20)
        await seed.npm_versions(db, pages, "large", 800)
        index = await seed.project(db, "index")
        await seed.many_names(db, index, names)
        return {"pages": pages.id, "index": index.id}
    finally:
        await db.close()


def run(*, rounds: int = 3, names: int = 100_000) -> list[dict[str, Any]]:
    """Measure and print; answers the rows as JSON."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        with EmbeddedPostgres.start(directory / "pg", unsafe_fast=True) as postgres:
            load.pin(postgres.pid, load.LOAD_CORE)
            asyncio.run(migrate(postgres.url))
            ids = asyncio.run(_fill(postgres.url, names=names))
            cases = _cases(ids)
            with registry(postgres.url, directory / "data") as ours:
                capture(ours[0], cases, directory)
                with bare(directory, "uvloop") as theirs:
                    for number, case in enumerate(cases):
                        for connections in (1, 16, 64, 256) if number == 0 else (64,):
                            sized = dataclasses.replace(case, connections=connections)
                            bar = BAR if connections >= 16 else 0.0
                            rows.append(compare(ours, theirs, sized, f"/api/{number}", rounds=rounds, bar=bar))
                        if number in {0, 2}:
                            rows.append(_conditional(ours, theirs, case, number, directory, rounds))
    return [dataclasses.asdict(row) for row in rows]


def _conditional(
    ours: tuple[str, int], theirs: tuple[str, int], case: Case, number: int, directory: Path, rounds: int
) -> Row:
    etag = json.loads((directory / "index.json").read_text())[number]["headers"]["ETag"]
    asked = dataclasses.replace(case, name=f"{case.name}, 304", headers={**case.headers, "If-None-Match": etag})
    return compare(ours, theirs, asked, f"/api/{number}", rounds=rounds)


def _cases(ids: dict[str, int]) -> list[Case]:
    pages = f"/api/v4/projects/{ids['pages']}/packages"
    identity = {**PNPM, "Accept-Encoding": "identity"}
    return [
        Case("PyPI page, 20 files, JSON, gzip", f"{pages}/pypi/simple/demo/", PIP),
        Case("packument, 20 versions, abbreviated, gzip", f"{pages}/npm/small", PNPM),
        Case("packument, 20 versions, full, gzip", f"{pages}/npm/small", NPM),
        Case("packument, 800 versions, abbreviated, gzip", f"{pages}/npm/large", PNPM),
        Case("packument, 800 versions, full, gzip", f"{pages}/npm/large", NPM),
        Case("packument, 800 versions, abbreviated, identity", f"{pages}/npm/large", identity),
        Case("root index, 100,000 projects, JSON, gzip", f"/api/v4/projects/{ids['index']}/packages/pypi/simple/", PIP),
    ]
