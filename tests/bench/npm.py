"""npm: what publishing takes in memory and time, and what it takes to render and serve a packument of 3,000 versions.

The registry under measurement is a `registry serve` in its own process. Tarballs are made while they are sent: a sound
package.json, then bytes that do not compress; they are generated twice, because a document says the digests of its
tarball, in front of it or behind it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import itertools
import json
import os
import statistics
import tarfile
import tempfile
import time
import urllib.request
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pybase64

from registry.db.connection import open_database
from registry.db.migrate import migrate
from registry.embedded import EmbeddedPostgres
from registry.formats.npm import names, packument
from registry.formats.npm.packument import Packument, VersionRow
from tests.bench import load, reads, seed
from tests.bench.measuring import MIB, Measurement
from tests.bench.processes import peak_growth, serving_app
from tests.cli.processes import TOKEN, serving

LARGE = 400 * MIB
MANY, EACH = 5, 200 * MIB
# Of these the median counts.
RUNS, RUN = 3, 200 * MIB
VERSIONS = 3_000
WARM = 50
NAME = "widget"
FORMS = {"full": packument.FULL_TYPE, "abbreviated": packument.ABBREVIATED_TYPE}

_BLOCK = os.urandom(MIB)
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Tarball:
    """A tarball of about `size` bytes, the same every time it is made; its digests and exact length."""

    version: str
    size: int
    sha1: str = ""
    sha512: bytes = b""
    length: int = 0

    def pieces(self) -> Iterator[bytes]:
        """The bytes, about a MiB at a time."""
        # Level 0 stores: what is random does not get smaller.
        gzip = zlib.compressobj(0, wbits=31)
        text = json.dumps({"name": NAME, "version": self.version}).encode()
        yield gzip.compress(_header("package/package.json", len(text)) + _padded(text))
        yield gzip.compress(_header("package/blob.bin", self.size))
        for number in range(self.size // MIB):
            yield gzip.compress(number.to_bytes(8, "big") + _BLOCK[8:])
        yield gzip.compress(b"\0" * 1024) + gzip.flush()

    def measured(self) -> Tarball:
        """With its digests."""
        sha1, sha512, length = hashlib.sha1(usedforsecurity=False), hashlib.sha512(), 0
        for piece in self.pieces():
            sha1.update(piece)
            sha512.update(piece)
            length += len(piece)
        return Tarball(self.version, self.size, sha1.hexdigest(), sha512.digest(), length)

    def body(self, *, attachments_first: bool) -> tuple[bytes, bytes]:
        """What stands before and behind the base64 in a publish document."""
        integrity = f"sha512-{base64.b64encode(self.sha512).decode()}"
        dist = {"integrity": integrity, "shasum": self.sha1, "tarball": f"http://x.test/{NAME}-{self.version}.tgz"}
        manifest = {"name": NAME, "version": self.version, "dist": dist}
        rest = {"_id": NAME, "name": NAME, "dist-tags": {"latest": self.version}, "versions": {self.version: manifest}}
        attachment = {f"{NAME}-{self.version}.tgz": {"data": "@@", "length": self.length}}
        document = {"_attachments": attachment, **rest} if attachments_first else {**rest, "_attachments": attachment}
        before, _, behind = json.dumps(document).encode().partition(b"@@")
        return before, behind


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf()


def _padded(content: bytes) -> bytes:
    return content + b"\0" * (-len(content) % tarfile.BLOCKSIZE)


def make(size: int) -> Tarball:
    """A new version with about `size` bytes."""
    return Tarball(f"1.0.{next(_numbers)}", size).measured()


async def base64_of(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The base64 of a stream."""
    held = b""
    for piece in pieces:
        whole = held + piece
        end = len(whole) - len(whole) % 3
        held = whole[end:]
        yield pybase64.b64encode(whole[:end])
        await asyncio.sleep(0)
    yield pybase64.b64encode(held)


@dataclass(frozen=True, slots=True)
class Place:
    """Where to publish to: a method, a port, a path, and the process to watch."""

    method: str
    port: int
    path: str
    pid: int


def run() -> list[Measurement]:
    """Publishing into both stores, then reading."""
    with (
        serving_app("tests.bench.reader") as (port, pid),
        _registry("local") as local,
        _registry("s3") as s3,
    ):
        found = asyncio.run(_publishing({"local": local, "s3": s3}, Place("POST", port, "/", pid)))
    return [*found, *_rendering(), *_serving()]


@contextlib.contextmanager
def _registry(store: str) -> Iterator[Place]:
    """A running registry with a project."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as name, serving_app("tests.bench.shelf") as shelf:
        directory = Path(name)
        directory.chmod(0o755)
        settings = {"data_dir": str(directory / "data"), "root_token": TOKEN}
        if store == "s3":
            os.environ |= {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
            settings["storage_url"] = f"s3://bench/?endpoint_url=http://127.0.0.1:{shelf[0]}&region=us-east-1"
        with serving(directory / "server", **settings) as server:  # type: ignore[arg-type]
            status, project = server.ask("POST", "/api/v4/projects", {"name": "bench"})
            assert status == 201, project
            path = f"/api/v4/projects/{project['id']}/packages/npm/{NAME}"
            yield Place("PUT", server.port, path, server.process.pid)


async def _publishing(registries: dict[str, Place], bare: Place) -> list[Measurement]:
    seconds: dict[str, list[float]] = {}
    used: dict[str, list[float]] = {}
    for _ in range(RUNS):
        # In turns, so that what else happens on the machine meets all of them.
        for name, place in {**registries, "bare": bare}.items():
            tarball = make(RUN)
            started, before = time.perf_counter(), load.cpu_seconds(place.pid)
            await _publish(place, tarball)
            seconds.setdefault(name, []).append(time.perf_counter() - started)
            used.setdefault(name, []).append((load.cpu_seconds(place.pid) - before) * 1024 * MIB / RUN)
    speed = {name: RUN / MIB / statistics.median(found) for name, found in seconds.items()}
    found = []
    for name in ("bare", *registries):
        title = "bare handler that only reads" if name == "bare" else name
        found.append(Measurement(f"{title}: speed", speed[name], "MiB/s of tarball"))
        found.append(Measurement(f"{title}: CPU", statistics.median(used[name]), "s/GiB of tarball"))
    for name, place in registries.items():
        found.append(Measurement(f"{name}: speed, as a ratio to the bare handler", speed[name] / speed["bare"], ""))
        for first in (True, False):
            tarball = make(LARGE)
            with peak_growth(place.pid) as grown:
                await _publish(place, tarball, attachments_first=first)
            order = "first" if first else "last"
            found.append(Measurement(f"{name}: growth during 400 MiB, attachments {order}", grown[0], "MiB", most=64))
        tarballs = [make(EACH) for _ in range(MANY)]
        with peak_growth(place.pid) as grown:
            await asyncio.gather(
                *(_publish(place, one, attachments_first=n % 2 == 0) for n, one in enumerate(tarballs))
            )
        found.append(Measurement(f"{name}: growth during 5 times 200 MiB at once", grown[0], "MiB", most=192))
    return found


async def _publish(place: Place, tarball: Tarball, *, attachments_first: bool = True) -> None:
    before, behind = tarball.body(attachments_first=attachments_first)
    length = len(before) + (tarball.length + 2) // 3 * 4 + len(behind)
    lines = [f"{place.method} {place.path} HTTP/1.1", "Host: bench", f"Authorization: Bearer {TOKEN}"]
    lines += ["Content-Type: application/json", f"Content-Length: {length}", "", ""]
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
    writer.write("\r\n".join(lines).encode() + before)
    async for piece in base64_of(tarball.pieces()):
        writer.write(piece)
        await writer.drain()
    writer.write(behind)
    answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201")), answer + await reader.read()


def _rendering() -> list[Measurement]:
    """Joining stored manifests, in this process."""
    rows = [
        VersionRow(
            version=f"1.{number // 50}.{number % 50}",
            manifest=seed.manifest(NAME, f"1.{number // 50}.{number % 50}"),
            shasum="a" * 40,
            integrity=f"sha512-{'A' * 86}==",
            file_count=12,
            unpacked_size=34567,
            created_at=_moment(number),
        )
        for number in range(VERSIONS)
    ]
    tags = {"latest": rows[-1].version}
    whole = Packument(names.parse(NAME), rows, tags, "1", rows[-1].created_at, "https://packages.test/api/v4/x")
    found = []
    for form, join in (("full", packument.full), ("abbreviated", packument.abbreviated)):
        best = min(_timed(lambda join=join: join(whole)) for _ in range(5))  # type: ignore[misc]
        found.append(Measurement(f"3,000 versions, {form}: joined", best * 1000, "ms"))
    return found


def _moment(number: int) -> datetime:
    """A minute apart."""
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)


def _timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _serving() -> list[Measurement]:
    """Asking a running registry: once when nothing is cached, then again and again."""
    found = []
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        with EmbeddedPostgres.start(directory / "pg", unsafe_fast=True) as postgres:
            asyncio.run(migrate(postgres.url))
            project = asyncio.run(_fill(postgres.url))
            for form, media_type in FORMS.items():
                for coding in ("identity", "gzip", "zstd"):
                    with reads.registry(postgres.url, directory / "data") as (url, _):
                        ask = request(f"{url}/api/v4/projects/{project}/packages/npm/{NAME}", media_type, coding)
                        fetch(request(f"{url}/-/liveness", "*/*", "identity"))
                        cold = _timed(lambda ask=ask: fetch(ask))  # type: ignore[misc]
                        warm = statistics.median(_timed(lambda ask=ask: fetch(ask)) for _ in range(WARM))  # type: ignore[misc]
                        size = fetch(ask)
                    title = f"3,000 versions, {form}, {coding}, {size / 1000:,.0f} kB"
                    found.append(Measurement(f"{title}: first answer", cold * 1000, "ms"))
                    found.append(Measurement(f"{title}: later ones", warm * 1000, "ms"))
    return found


async def _fill(url: str) -> int:
    db = await open_database(url, pool_size=4)
    try:
        project = await seed.project(db, "packuments")
        await seed.npm_versions(db, project, NAME, VERSIONS)
        return project.id
    finally:
        await db.close()


def request(url: str, media_type: str, coding: str) -> urllib.request.Request:
    """A GET as a client sends it."""
    headers = {"Accept": media_type, "Accept-Encoding": coding, "Authorization": f"Bearer {seed.TOKEN}"}
    return urllib.request.Request(url, headers=headers)


def fetch(ask: urllib.request.Request) -> int:
    """Ask, and read the answer; its bytes on the wire."""
    with urllib.request.urlopen(ask) as answer:
        return len(answer.read())
