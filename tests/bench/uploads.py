"""Uploads: how much memory they take, and how fast they are beside aiohttp reading the same body and nothing else.

The registry under measurement is a `registry serve` with its own Postgres, in its own process. The store is a local
directory, or a sink that speaks S3 and keeps nothing. Bodies are made as they are sent.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench import load
from tests.bench.measuring import MIB, Measurement
from tests.bench.processes import peak_growth, serving_app
from tests.cli.processes import TOKEN, serving
from tests.formats.pypi import forms

LARGE = 2048 * MIB
MANY, EACH = 20, 100 * MIB
# Of these the median counts.
RUNS, RUN = 3, 512 * MIB

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Place:
    """Where to upload to: a port, a path, and the process to watch."""

    port: int
    path: str
    pid: int


@dataclass(frozen=True, slots=True)
class Speed:
    """What one upload took."""

    mib_per_second: float
    cpu_seconds_per_gib: float


def run() -> list[Measurement]:
    """Both stores, and the bare handler in between."""
    with serving_app("tests.bench.reader") as (port, pid), _registry("local") as local, _registry("s3") as s3:
        return asyncio.run(_measure({"local": local, "s3": s3}, Place(port, "/", pid)))


async def _measure(registries: Mapping[str, Place], bare: Place) -> list[Measurement]:
    speeds: dict[str, list[Speed]] = {}
    for _ in range(RUNS):
        # In turns, so that what else happens on the machine meets all of them.
        for name, place in {**registries, "bare": bare}.items():
            speeds.setdefault(name, []).append(await _speed(place))
    fast = {name: statistics.median(one.mib_per_second for one in found) for name, found in speeds.items()}
    lean = {name: statistics.median(one.cpu_seconds_per_gib for one in found) for name, found in speeds.items()}
    found = [
        Measurement("bare handler that only reads: speed", fast["bare"], "MiB/s"),
        Measurement("bare handler that only reads: CPU", lean["bare"], "s/GiB"),
    ]
    for name, place in registries.items():
        found.append(Measurement(f"{name}: speed", fast[name], "MiB/s"))
        found.append(Measurement(f"{name}: speed, as a ratio to the bare handler", fast[name] / fast["bare"], ""))
        found.append(Measurement(f"{name}: CPU", lean[name], "s/GiB"))
        with peak_growth(place.pid) as grown:
            await _upload(place, LARGE)
        found.append(Measurement(f"{name}: growth during one upload of 2 GiB", grown[0], "MiB", most=64))
        with peak_growth(place.pid) as grown:
            await asyncio.gather(*(_upload(place, EACH) for _ in range(MANY)))
        found.append(Measurement(f"{name}: growth during 20 uploads of 100 MiB at once", grown[0], "MiB", most=256))
    return found


@contextmanager
def _registry(store: str) -> Iterator[Place]:
    """A running registry with a project."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as name, serving_app("tests.bench.sink") as (sink, _):
        directory = Path(name)
        directory.chmod(0o755)
        settings = {"data_dir": str(directory / "data"), "root_token": TOKEN}
        if store == "s3":
            os.environ |= {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
            settings["storage_url"] = f"s3://bench/?endpoint_url=http://127.0.0.1:{sink}&region=us-east-1"
        with serving(directory / "server", **settings) as server:  # type: ignore[arg-type]
            status, project = server.ask("POST", "/api/v4/projects", {"name": "bench"})
            assert status == 201, project
            yield Place(server.port, f"/api/v4/projects/{project['id']}/packages/pypi", server.process.pid)


async def _speed(place: Place) -> Speed:
    """One upload, timed; the CPU is that of the server alone."""
    started, used = time.perf_counter(), load.cpu_seconds(place.pid)
    await _upload(place, RUN)
    seconds, used = time.perf_counter() - started, load.cpu_seconds(place.pid) - used
    return Speed(RUN / MIB / seconds, used * 1024 * MIB / RUN)


async def _upload(place: Place, size: int) -> None:
    """Send a form with a file of `size` bytes that nobody has seen before."""
    version = f"1.{next(_numbers)}"
    head, _, tail = forms.upload(version=version, file_name=f"demo-{version}.tar.gz", content=b"@@").partition(b"@@")
    lines = [f"POST {place.path} HTTP/1.1", "Host: bench", f"PRIVATE-TOKEN: {TOKEN}"]
    lines += [f"Content-Type: {forms.CONTENT_TYPE}", f"Content-Length: {len(head) + size + len(tail)}", "", ""]
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
    writer.write("\r\n".join(lines).encode() + head)
    async for piece in _pieces(size):
        writer.write(piece)
        await writer.drain()
    writer.write(tail)
    answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert answer.startswith(b"HTTP/1.1 201"), answer


async def _pieces(size: int) -> AsyncIterator[bytes]:
    block = os.urandom(MIB)
    for number in range(size // MIB):
        yield number.to_bytes(8, "big") + block[8:]
    yield block[: size % MIB]
