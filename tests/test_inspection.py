"""Inspection: readers run in children, and nothing they do disturbs the server or the next reader."""

from __future__ import annotations

import asyncio
import gzip
import io
import logging
import os
import resource
import sys
import tarfile
import time
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from registry.errors import FileNotFound, Invalid, TooBusy, Unavailable
from registry.inspection import Inspector

READERS = "tests.inspection_readers"
TOO_MUCH = "^the archive takes too much time or memory to read$"
MIB = 1 << 20


class Remote:
    """A store without local files."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.ranges: list[tuple[int, int]] = []

    async def read(self, key: str, start: int, length: int) -> bytes:
        if key != "00":
            raise FileNotFound
        self.ranges.append((start, length))
        return self.content[start : start + length]

    def path(self, key: str) -> Path | None:  # noqa: ARG002
        return None


class Local(Remote):
    """A store whose objects are local files."""

    def __init__(self, file: Path) -> None:
        super().__init__(b"")
        self.file = file

    def path(self, key: str) -> Path | None:  # noqa: ARG002
        return self.file


HELLO = Remote(b"hello world")


def children() -> set[int]:
    """The processes that this one has started and not yet reaped, zombies included."""
    return {int(text) for file in Path("/proc/self/task").glob("*/children") for text in file.read_text().split()}


def is_alive(process: int) -> bool:
    """Whether a process runs; one that is dead and not reaped does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
async def inspector() -> AsyncIterator[Inspector]:
    before = children()
    async with Inspector(2, cpu_seconds=1, wall_seconds=5, allowed_prefix="tests.") as inspector:
        yield inspector
    assert before == children()


async def run(inspector: Inspector, name: str, store: Remote = HELLO, /, **arguments: Any) -> Any:
    return await inspector.run(f"{READERS}:{name}", store, "00", len(store.content), **arguments)


def a_tar() -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for number in range(3):
            archive.addfile(tarfile.TarInfo(f"pkg/{number}"))
    return target.getvalue()


def a_zip() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("padding", bytes(3 * MIB))
        archive.writestr("METADATA", "Name: demo\n")
    return target.getvalue()


async def test_an_archive_is_read_by_range_and_from_a_local_file(inspector: Inspector, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(a_tar())

    assert await run(inspector, "tar_names", Remote(a_tar())) == ["pkg/0", "pkg/1", "pkg/2"]
    assert await run(inspector, "tar_names", Local(tmp_path / "file")) == ["pkg/0", "pkg/1", "pkg/2"]


async def test_only_the_needed_ranges_are_read(inspector: Inspector) -> None:
    store = Remote(a_zip())

    assert await run(inspector, "zip_entry", store, name="METADATA") == "Name: demo\n"
    assert sum(length for _, length in store.ranges) < 3 * MIB
    assert len(store.ranges) <= 6


async def test_seeking_and_reading_reaches_every_byte(inspector: Inspector) -> None:
    content = os.urandom(5 * MIB + 17)
    positions = [0, 3 * MIB, 17, 5 * MIB, len(content), len(content) + 9, MIB - 1]

    found = await run(inspector, "scattered", Remote(content), positions=positions, length=MIB // 2)

    assert found == [content[position : position + MIB // 2].hex() for position in positions]


async def test_arguments_and_results_are_json(inspector: Inspector) -> None:
    arguments = {"text": "é\n\0", "list": [1, 2.5, None, True], "object": {"a": {}}}

    assert await run(inspector, "echo", **arguments) == {"first": "hello", **arguments}


async def test_a_refusal_by_the_reader_arrives_with_its_text(inspector: Inspector) -> None:
    with pytest.raises(Invalid, match=r"^é has no METADATA$"):
        await run(inspector, "refuse", text="é has no METADATA")


async def test_a_reader_that_lacks_something_does_not_blame_the_archive(
    inspector: Inspector, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(Unavailable, match=r"^no key$"):
        await run(inspector, "despair", text="no key")
    assert [f"The reader {READERS}:despair: no key"] == [record.getMessage() for record in caplog.records]


async def test_a_mistake_of_a_reader_refuses_the_archive_and_is_logged(
    inspector: Inspector, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("fail", "unserializable", "missing"):
        caplog.clear()
        with caplog.at_level(logging.ERROR), pytest.raises(Invalid, match=r"^the archive cannot be read$"):
            await run(inspector, name)
        assert [f"The archive reader {READERS}:{name} failed"] == [record.getMessage() for record in caplog.records]
        assert "Error" in caplog.records[0].__dict__["failure"]


@pytest.mark.parametrize("name", ["burn_processor", "hold_memory", "crash", "leave", "wild_range", "overlong_frame"])
async def test_a_reader_that_goes_too_far_ends_and_the_next_one_works(inspector: Inspector, name: str) -> None:
    with pytest.raises(Invalid, match=TOO_MUCH):
        await run(inspector, name)

    assert await run(inspector, "echo") == {"first": "hello"}


async def test_a_reader_that_takes_too_long_is_ended() -> None:
    async with Inspector(1, wall_seconds=0.5, allowed_prefix="tests.") as inspector:
        start = time.monotonic()
        with pytest.raises(Invalid, match=TOO_MUCH):
            await run(inspector, "nap", seconds=30)
        assert time.monotonic() - start < 5
        assert await run(inspector, "echo") == {"first": "hello"}


async def test_processor_time_is_counted_per_job(inspector: Inspector) -> None:
    process = await run(inspector, "pid")

    assert [await run(inspector, "work", seconds=0.5) for _ in range(4)] == ["done"] * 4
    assert await run(inspector, "pid") == process


async def test_a_child_inherits_nothing_and_may_do_little(inspector: Inspector, tmp_path: Path) -> None:
    found = await run(inspector, "surroundings")

    assert found == {
        "environment": ["LC_CTYPE", "PYTHONPATH"],
        "memory": 512 * MIB,
        "file size": [0, 0],
        "core": [0, 0],
        "files": [32, 32],
        "niceness": min(19, os.getpriority(os.PRIO_PROCESS, 0) + 5),
        "server modules": [],
    }
    assert await run(inspector, "write_a_file", path=str(tmp_path / "file")) == "OSError"
    assert await run(inspector, "print_much") == "unharmed"


async def test_a_result_is_limited_in_size(inspector: Inspector) -> None:
    fitting = 8 * MIB - len(b'{"value":""}')

    assert len(await run(inspector, "long_answer", size=fitting)) == fitting
    with pytest.raises(Invalid, match="the archive describes itself in more than 8388608 bytes"):
        await run(inspector, "long_answer", size=fitting + 1)


async def test_twenty_jobs_run_in_two_children_side_by_side(inspector: Inspector) -> None:
    start = time.monotonic()
    used = await asyncio.gather(*(run(inspector, "nap", seconds=0.05) for _ in range(20)))

    assert len(used) == 20
    assert len(set(used)) == 2  # the second one is started only while the first one is busy
    assert time.monotonic() - start < 5


async def test_a_job_that_finds_no_free_child_in_time_is_told_to_come_back() -> None:
    async with Inspector(1, waiting=1, wait_seconds=0.3, allowed_prefix="tests.") as inspector:
        busy = asyncio.create_task(run(inspector, "nap", seconds=1))
        await asyncio.sleep(0.1)
        waiting = asyncio.create_task(run(inspector, "pid"))
        await asyncio.sleep(0)

        start = time.monotonic()
        with pytest.raises(TooBusy, match="too many archives are being read"):
            await run(inspector, "pid")
        assert time.monotonic() - start < 0.2
        with pytest.raises(TooBusy, match="too many archives are being read"):
            await waiting
        assert await busy == await run(inspector, "pid")


async def test_a_cancelled_job_leaves_the_pool_usable(inspector: Inspector) -> None:
    for _ in range(3):
        jobs = [asyncio.create_task(run(inspector, "nap", seconds=30)) for _ in range(4)]
        await asyncio.sleep(0.3)
        for job in jobs:
            job.cancel()
        outcomes = await asyncio.gather(*jobs, return_exceptions=True)
        assert [asyncio.CancelledError] * 4 == [type(outcome) for outcome in outcomes]

    assert await asyncio.gather(*(run(inspector, "echo") for _ in range(4))) == [{"first": "hello"}] * 4


async def test_what_the_store_raises_is_raised_and_leaves_the_pool_usable(inspector: Inspector) -> None:
    with pytest.raises(FileNotFound):
        await inspector.run(f"{READERS}:echo", HELLO, "ff", 11)

    assert await run(inspector, "echo") == {"first": "hello"}


async def test_a_child_killed_while_idle_is_replaced(inspector: Inspector) -> None:
    process = await run(inspector, "pid")
    os.kill(process, 9)
    await asyncio.sleep(0.3)

    assert await run(inspector, "pid") != process


PARENT = """
import asyncio
from registry.inspection import Inspector
from tests.test_inspection import HELLO, run

async def main():
    async with Inspector(2, allowed_prefix="tests.") as inspector:
        print(await run(inspector, "pid"), flush=True)
        await run(inspector, "nap", seconds=60)

asyncio.run(main())
"""


async def test_a_child_does_not_outlive_a_killed_parent() -> None:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT), stdout=asyncio.subprocess.PIPE, env={"PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    assert is_alive(child)

    parent.kill()
    await parent.communicate()

    for _ in range(100):
        if not is_alive(child):
            return
        await asyncio.sleep(0.05)
    pytest.fail("the child lives on")


async def test_only_modules_below_the_prefix_are_readers() -> None:
    async with Inspector() as inspector:
        for reader in ("os:system", "registryx:f", f"{READERS}:echo"):
            with pytest.raises(ValueError, match="is not a reader"):
                await inspector.run(reader, HELLO, "00", 11)


@pytest.mark.parametrize("interpreter", ["/bin/false", "/nowhere/python"])
async def test_children_that_cannot_start_are_not_blamed_on_the_archive(
    interpreter: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with Inspector(1, allowed_prefix="tests.") as inspector:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "executable", interpreter)
            for _ in range(2):
                with pytest.raises(Unavailable, match="archives cannot be read for the moment"):
                    await run(inspector, "echo")
        assert await run(inspector, "echo") == {"first": "hello"}
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["A process for reading archives cannot be started"] * 2


async def test_children_without_enough_memory_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="needs 67108864 bytes of memory, not 1048576"):
        Inspector(memory=MIB)
    async with Inspector(memory=64 * MIB, allowed_prefix="tests.") as inspector:
        assert await run(inspector, "tar_names", Remote(a_tar())) == ["pkg/0", "pkg/1", "pkg/2"]


async def test_a_bomb_does_not_disturb_the_loop(inspector: Inspector) -> None:
    archive = gzip.compress(bytes(100 * MIB), 1) * 3
    header = gzip.compress(tarfile.TarInfo("pkg/zeros").tobuf()[:124] + b"\x80" + bytes(11))
    await run(inspector, "echo")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    job = asyncio.create_task(run(inspector, "tar_names", Remote(header + archive)))
    lag = 0.0
    while not job.done():
        start = time.perf_counter()
        await asyncio.sleep(0.005)
        lag = max(lag, time.perf_counter() - start - 0.005)

    with pytest.raises(Invalid):
        await job
    assert lag < 0.25
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 32 * 1024
