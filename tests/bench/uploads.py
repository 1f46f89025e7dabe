"""Uploads: how fast they are beside aiohttp reading the same body and nothing else, and how much memory they take.

The server has core 0; client, Postgres and store share core 1. The store is a local directory, or a sink that speaks
S3 and keeps nothing. Bodies are made as they are sent; sha256, md5 and blake2b are declared, as twine does, and
verified; the content is no archive, so that nothing of it is inspected. The bars are those of the local store: beside
the sink the client has too little of its core to be a measure.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from tests.bench import load, processes, seed
from tests.bench.clients import Connection
from tests.bench.measuring import MB, MIB, RATIO, Measurement
from tests.bench.processes import peak_growth, serving_app
from tests.bench.sending import Content, upload

LARGE = 2048 * MIB
MANY, EACH = 20, 100 * MIB
# Of these the median counts.
RUNS, RUN = 5, 256 * MIB
# MB/s on one core, CPU seconds for a GB, MiB of memory during one large upload and during many at once.
SPEED_BAR, CPU_BAR, ONE_BAR, MANY_BAR = 150, 6.5, 64, 256


@dataclass(frozen=True, slots=True)
class Place:
    """Where to upload to: a port, a path, and the process to watch."""

    port: int
    path: str
    pid: int


@dataclass(frozen=True, slots=True)
class Speed:
    """What one upload took."""

    mb_per_second: float
    cpu_seconds_per_gb: float


def run(*, quick: bool = False) -> list[Measurement]:
    """Both stores, and the bare handler in between."""
    with (
        serving_app("tests.bench.reader", cores=load.SERVER_CORE) as bare,
        registry("local", "pypi", "tests.bench.sink") as local,
        registry("s3", "pypi", "tests.bench.sink") as s3,
        load.on(load.LOAD_CORE),
    ):
        return asyncio.run(_measure({"local": local, "s3": s3}, Place(bare.port, "/", bare.pid), quick=quick))


@contextmanager
def registry(store: str, package_type: str, app: str) -> Iterator[Place]:
    """A running registry with a project, and a store: a directory, or what the module `app` makes of S3."""
    with processes.stage() as stage, serving_app(app, cores=load.LOAD_CORE) as s3:
        url = processes.s3(s3.port) if store == "s3" else ""
        with processes.registry(stage.database_url, stage.directory / "data", storage_url=url) as server:
            connection = Connection(server.port)
            headers = {"PRIVATE-TOKEN": seed.TOKEN}
            project = connection.ask("POST", "/api/v4/projects?name=bench", headers, status=201).json()["id"]
            connection.close()
            yield Place(server.port, f"/api/v4/projects/{project}/packages/{package_type}", server.pid)


async def _measure(registries: Mapping[str, Place], bare: Place, *, quick: bool) -> list[Measurement]:
    speeds: dict[str, list[Speed]] = {}
    for _ in range(1 if quick else RUNS):
        # In turns, so that what else happens on the machine meets all of them.
        for name, place in {**registries, "bare": bare}.items():
            speeds.setdefault(name, []).append(await _speed(place))
    fast = {name: statistics.median(one.mb_per_second for one in found) for name, found in speeds.items()}
    lean = {name: statistics.median(one.cpu_seconds_per_gb for one in found) for name, found in speeds.items()}
    detail = f"bare aiohttp, which hashes nothing: {fast['bare']:,.0f} MB/s, {lean['bare']:.2f} CPU s/GB"
    found = []
    for name, place in registries.items():
        title = f"PyPI upload with three digests, {name} store"
        bars = (SPEED_BAR, CPU_BAR) if name == "local" else (None, None)
        found += [
            Measurement(f"{title}: speed on one core", fast[name], "MB/s", least=bars[0], detail=detail),
            Measurement(f"{title}: speed, to bare aiohttp", fast[name] / fast["bare"], RATIO),
            Measurement(f"{title}: CPU", lean[name], "s/GB", most=bars[1]),
        ]
        found += [] if quick else await _growth(title, place)
    return found


async def _growth(title: str, place: Place) -> list[Measurement]:
    with peak_growth(place.pid) as one:
        await upload(place.port, place.path, Content(LARGE))
    with peak_growth(place.pid) as many:
        await asyncio.gather(*(upload(place.port, place.path, Content(EACH)) for _ in range(MANY)))
    return [
        Measurement(f"{title}: growth during one of 2 GiB", one[0], "MiB", most=ONE_BAR),
        Measurement(f"{title}: growth during 20 of 100 MiB at once", many[0], "MiB", most=MANY_BAR),
    ]


async def _speed(place: Place) -> Speed:
    """One upload, timed; the CPU is that of the server alone."""
    content = Content(RUN)
    declared = content.digests()
    started, used = time.perf_counter(), load.cpu_seconds(place.pid)
    await upload(place.port, place.path, content, **declared)
    seconds = time.perf_counter() - started
    load.settle(place.pid)
    return Speed(RUN / MB / seconds, (load.cpu_seconds(place.pid) - used) * 1000 * MB / RUN)
