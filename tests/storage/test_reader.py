from __future__ import annotations

import asyncio
import io
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.errors import FileNotFound
from registry.storage import BlobStore
from registry.storage.reader import BlobFile

from .objects import KEY, MIB, put

CONTENT = bytes(range(256)) * 40


def opened(store: BlobStore, size: int, loop: asyncio.AbstractEventLoop) -> io.BufferedReader:
    return io.BufferedReader(BlobFile(store, KEY, size, loop), 256 * 1024)


async def test_archives_are_read_in_a_thread_straight_from_the_store(store: BlobStore) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("demo/METADATA", "Name: demo")
        archive.writestr("demo/large", bytes(3_000_000))
    await put(store, KEY, packed.getvalue())
    loop = asyncio.get_running_loop()

    def metadata() -> tuple[bytes, int]:
        with opened(store, len(packed.getvalue()), loop) as file, zipfile.ZipFile(file) as archive:
            return archive.read("demo/METADATA"), len(archive.read("demo/large"))

    assert await asyncio.to_thread(metadata) == (b"Name: demo", 3_000_000)


async def test_a_tar_stream_is_read_to_its_end(store: BlobStore) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for number in range(5):
            member = tarfile.TarInfo(f"demo/{number}")
            member.size = 400_000
            archive.addfile(member, io.BytesIO(bytes([number]) * 400_000))
    await put(store, KEY, packed.getvalue())
    loop = asyncio.get_running_loop()

    def names() -> list[str]:
        with opened(store, len(packed.getvalue()), loop) as file, tarfile.open(fileobj=file, mode="r:gz") as archive:
            return archive.getnames()

    assert [f"demo/{number}" for number in range(5)] == await asyncio.to_thread(names)


class InMemory:
    """As much of a store as a reader needs."""

    def __init__(self, content: bytes = CONTENT) -> None:
        self.content = content

    async def read(self, key: str, start: int, length: int) -> bytes:
        assert key == KEY
        return self.content[start : start + length]


Step = tuple[str, int, int]
STEPS = st.lists(
    st.tuples(st.sampled_from(["read", "readinto", "seek"]), st.integers(-20_000, 20_000), st.sampled_from([0, 1, 2])),
    max_size=12,
)


def walk(file: io.RawIOBase | io.BytesIO, steps: list[Step]) -> list[object]:
    seen: list[object] = []
    for step, number, whence in steps:
        match step:
            case "read":
                seen.append(file.read(number if number >= 0 else -1))
            case "readinto":
                buffer = bytearray(abs(number))
                seen.append((file.readinto(buffer), bytes(buffer)))
            case "seek":
                target = {0: 0, 1: file.tell(), 2: len(CONTENT)}[whence] + number
                seen.append(file.seek(number, whence) if target >= 0 else target)
        seen.append(file.tell())
    return seen


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_it_behaves_like_a_file_in_memory(steps: list[Step]) -> None:
    async def observed() -> list[object]:
        file = BlobFile(InMemory(), KEY, len(CONTENT), asyncio.get_running_loop())  # type: ignore[arg-type]
        return await asyncio.to_thread(walk, file, steps)

    assert walk(io.BytesIO(CONTENT), steps) == asyncio.run(observed())


async def test_it_is_a_readable_seekable_file_and_not_a_writable_one() -> None:
    file = BlobFile(InMemory(), KEY, 10, asyncio.get_running_loop())  # type: ignore[arg-type]

    assert (file.readable(), file.seekable(), file.writable()) == (True, True, False)
    with pytest.raises(ValueError, match="nothing before the start"):
        file.seek(-1)
    with pytest.raises(ValueError, match="whence"):
        file.seek(0, 3)
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.tell()
    with pytest.raises(ValueError, match="closed"):
        file.readinto(bytearray(1))


async def test_an_absent_object_raises_what_the_store_raises(store: BlobStore) -> None:
    file = opened(store, 10, asyncio.get_running_loop())

    with pytest.raises(FileNotFound):
        await asyncio.to_thread(file.read, 1)


async def test_reading_on_the_loop_itself_is_refused_instead_of_waiting_for_ever() -> None:
    file = BlobFile(InMemory(), KEY, 10, asyncio.get_running_loop())  # type: ignore[arg-type]

    with pytest.raises(RuntimeError, match="in a thread"):
        file.read(1)


async def test_one_read_is_bounded_whatever_is_asked_for() -> None:
    file = BlobFile(InMemory(bytes(5 * MIB)), KEY, 5 * MIB, asyncio.get_running_loop())  # type: ignore[arg-type]

    assert await asyncio.to_thread(file.readinto, bytearray(5 * MIB)) == MIB
