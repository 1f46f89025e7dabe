"""Downloads: redirects to presigned URLs, and files from the local store, beside bare aiohttp.

A redirect is compared with a handler that answers the same 302. The store it points to is never asked. A file is
compared with FileResponse on both loops, and then the faster one for that size: aiohttp has sendfile on the stock loop
only.
"""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from urllib.parse import urlsplit

from registry.db.connection import open_database
from tests.bench import comparing, load, processes, seed, sending
from tests.bench.clients import PIP, PIP_FILE, Connection
from tests.bench.comparing import SECONDS
from tests.bench.load import Case, Measure
from tests.bench.measuring import MIB, RATIO, Measurement
from tests.bench.processes import Server, Stage

REDIRECT_BAR, FILE_BAR = 0.75, 0.80
# Size in bytes, and over how many connections it is fetched.
FILES = {"100 KiB": (100 * 1024, 64), "20 MiB": (20 * MIB, 8)}


def run(*, quick: bool = False) -> list[Measurement]:
    """Redirects, then files."""
    rounds = 1 if quick else 5
    with processes.stage() as stage:
        return [*_redirects(stage, rounds), *_files(stage, rounds)]


def file_path(server: Server, project: int, name: str = "demo") -> str:
    """The path of the first file of a name, as its page has it."""
    connection = Connection(server.port)
    page = connection.get(f"/api/v4/projects/{project}/packages/pypi/simple/{name}/", PIP | {"Accept-Encoding": ""})
    connection.close()
    return urlsplit(str(page.json()["files"][0]["url"])).path


async def _fill(url: str) -> int:
    db = await open_database(url, pool_size=2)
    try:
        home = await seed.project(db, "downloads")
        await seed.pypi_files(db, home, "demo", 1)
        return home.id
    finally:
        await db.close()


def _redirects(stage: Stage, rounds: int) -> list[Measurement]:
    project = asyncio.run(_fill(stage.database_url))
    directory = stage.directory / "redirects"
    directory.mkdir()
    data = stage.directory / "data"
    with processes.registry(stage.database_url, data, storage_url=processes.s3(9), downloads="redirect") as ours:
        case = Case("download by presigned redirect", file_path(ours, project), PIP_FILE)
        (kept,) = comparing.capture(ours, [case], directory, status=302)
        found = []
        with processes.bare(directory, "uvloop") as theirs:
            for count in (16, 64):
                sized = dataclasses.replace(case, connections=count)
                pair = comparing.compare(ours, theirs, sized, kept.path, rounds=rounds)
                found.append(comparing.speed(case.name, pair, at=f"c={count}", bar=REDIRECT_BAR))
        return found


def _files(stage: Stage, rounds: int) -> list[Measurement]:
    found = []
    with processes.registry(stage.database_url, stage.directory / "data") as ours:
        for size, (length, connections) in FILES.items():
            connection = Connection(ours.port)
            name = f"files-{length}"
            project = connection.ask(
                "POST", f"/api/v4/projects?name={name}", {"PRIVATE-TOKEN": seed.TOKEN}, status=201
            ).json()["id"]
            connection.close()
            content = sending.Content(length)
            asyncio.run(sending.upload(ours.port, f"/api/v4/projects/{project}/packages/pypi", content))
            directory = stage.directory / name
            directory.mkdir()
            path = directory / "file"
            path.write_bytes(b"".join(content.pieces()))
            case = Case(f"download of {size} from the local store", file_path(ours, project), PIP_FILE, connections)
            (kept,) = comparing.capture(ours, [case], directory, files=[path])
            found += _compare(ours, case, kept.path, directory, rounds)
    return found


def _compare(ours: Server, case: Case, other: str, directory: Path, rounds: int) -> list[Measurement]:
    measures: dict[str, list[Measure]] = {"registry": [], "uvloop": [], "asyncio": []}
    with processes.bare(directory, "uvloop") as uv, processes.bare(directory, "asyncio") as stock:
        for _ in range(rounds):
            for name, server in {"uvloop": uv, "asyncio": stock, "registry": ours}.items():
                asked = case if name == "registry" else dataclasses.replace(case, path=other)
                measures[name].append(load.run_wrk(server.url, asked, server.pids, SECONDS))
    faster = max(("uvloop", "asyncio"), key=lambda loop: load.median(measures[loop]).per_cpu_second)
    pair = comparing.pair(measures["registry"], measures[faster])
    at = f"c={case.connections}"
    lean = pair.theirs.cpu_seconds_per_gb / pair.ours.cpu_seconds_per_gb
    detail = (
        f"{pair.ours.cpu_seconds_per_gb:.3f} against {pair.theirs.cpu_seconds_per_gb:.3f} CPU s/GB of FileResponse on "
        f"{faster}, which is the faster loop for it"
    )
    return [
        comparing.speed(f"{case.name}, requests", pair, at=at, bar=FILE_BAR),
        Measurement(f"{case.name}, bytes", lean, RATIO, least=FILE_BAR, at=at, detail=detail, errors=pair.errors),
    ]
