"""Publishing: what `npm publish` takes in time and memory.

Tarballs are made while they are sent: a sound package.json, then bytes that do not compress; they are generated twice,
because a document says the digests of its tarball, in front of it or behind it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import json
import os
import statistics
import tarfile
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pybase64

from tests.bench import load
from tests.bench.measuring import MB, MIB, RATIO, Measurement
from tests.bench.processes import peak_growth, serving_app
from tests.bench.sending import send
from tests.bench.uploads import Place, Speed, registry

# Of these the median counts.
RUNS, RUN = 7, 50 * MIB
LARGE = 400 * MIB
MANY, EACH = 5, 200 * MIB
NAME = "widget"
# MB/s of tarball on one core, and MiB of memory during one of 50 MiB, a large one, and many at once.
SPEED_BAR, RUN_BAR, LARGE_BAR, MANY_BAR = 100, 8, 64, 192

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


def base64_of(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The base64 of a stream."""
    held = b""
    for piece in pieces:
        whole = held + piece
        end = len(whole) - len(whole) % 3
        held = whole[end:]
        yield pybase64.b64encode(whole[:end])
    yield pybase64.b64encode(held)


def run(*, quick: bool = False) -> list[Measurement]:
    """Both stores, and a handler in between that only reads."""
    with (
        serving_app("tests.bench.reader", cores=load.SERVER_CORE) as bare,
        registry("local", "npm", "tests.bench.shelf") as local,
        registry("s3", "npm", "tests.bench.shelf") as s3,
        load.on(load.LOAD_CORE),
    ):
        return asyncio.run(_measure({"local": local, "s3": s3}, Place(bare.port, "/", bare.pid), quick=quick))


async def _measure(registries: Mapping[str, Place], bare: Place, *, quick: bool) -> list[Measurement]:
    speeds: dict[str, list[Speed]] = {}
    growths: dict[str, list[float]] = {}
    for number in range(2 if quick else RUNS):
        # In turns, so that what else happens on the machine meets all of them.
        for name, place in {**registries, "bare": bare}.items():
            with peak_growth(place.pid) as grown:
                speed = await _speed(place)
            # The first one loads what every later one needs: it is not what a tarball takes.
            if number:
                speeds.setdefault(name, []).append(speed)
                growths.setdefault(name, []).append(grown[0])
    fast = {name: statistics.median(one.mb_per_second for one in found) for name, found in speeds.items()}
    lean = {name: statistics.median(one.cpu_seconds_per_gb for one in found) for name, found in speeds.items()}
    detail = f"bare aiohttp, which only reads: {fast['bare']:,.0f} MB/s, {lean['bare']:.2f} CPU s/GB"
    found = []
    for name, place in registries.items():
        title = f"npm publish of 50 MiB, {name} store"
        bar = SPEED_BAR if name == "local" else None
        found += [
            Measurement(f"{title}: speed on one core", fast[name], "MB/s", least=bar, detail=detail),
            Measurement(f"{title}: speed, to bare aiohttp", fast[name] / fast["bare"], RATIO),
            Measurement(f"{title}: CPU", lean[name], "s/GB"),
            Measurement(f"{title}: growth", statistics.median(growths[name]), "MiB", most=RUN_BAR),
        ]
        found += [] if quick else await _growth(f"npm publish, {name} store", place)
    return found


async def _growth(title: str, place: Place) -> list[Measurement]:
    found = []
    for first in (True, False):
        tarball = make(LARGE)
        with peak_growth(place.pid) as grown:
            await _publish(place, tarball, attachments_first=first)
        order = "first" if first else "last"
        found.append(
            Measurement(f"{title}: growth during 400 MiB, attachments {order}", grown[0], "MiB", most=LARGE_BAR)
        )
    tarballs = [make(EACH) for _ in range(MANY)]
    with peak_growth(place.pid) as grown:
        await asyncio.gather(*(_publish(place, one, attachments_first=n % 2 == 0) for n, one in enumerate(tarballs)))
    found.append(Measurement(f"{title}: growth during 5 times 200 MiB at once", grown[0], "MiB", most=MANY_BAR))
    return found


async def _speed(place: Place) -> Speed:
    """One publish, timed; the CPU is that of the server alone."""
    tarball = make(RUN)
    started, used = time.perf_counter(), load.cpu_seconds(place.pid)
    await _publish(place, tarball)
    seconds = time.perf_counter() - started
    load.settle(place.pid)
    return Speed(tarball.length / MB / seconds, (load.cpu_seconds(place.pid) - used) * 1000 * MB / tarball.length)


async def _publish(place: Place, tarball: Tarball, *, attachments_first: bool = True) -> None:
    before, behind = tarball.body(attachments_first=attachments_first)
    length = len(before) + (tarball.length + 2) // 3 * 4 + len(behind)
    headers = {"Content-Type": "application/json", "Content-Length": str(length)}
    method, path = ("POST", place.path) if place.path == "/" else ("PUT", f"{place.path}/{NAME}")
    await send(method, place.port, path, headers, [before], base64_of(tarball.pieces()), [behind])
