"""What every store promises, run on each."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest

from registry.errors import Conflict, FileNotFound
from registry.storage import BlobStore
from tests.s3servers import chosen

from .objects import KEY, MIB, content_of, killed_writer, listed, pattern, put


def exclusive(request: str) -> pytest.MarkDecorator:
    """For servers that refuse the second object under a key. Nothing hangs on it: a key is random, and used once."""
    server = chosen()
    ignored = server is not None and request not in server.exclusive
    return pytest.mark.skipif(ignored, reason=f"this server ignores preconditions of a {request}")


@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 16 * MIB, 16 * MIB + 1])
async def test_what_is_written_is_read_back(store: BlobStore, size: int) -> None:
    content = pattern(size)

    await put(store, KEY, content)

    assert size == await store.size(KEY)
    assert content == await content_of(store, KEY)
    assert content == await store.read(KEY, 0, size)
    assert [(KEY, size)] == await listed(store)


@pytest.mark.parametrize("pieces", [1, 7, 1000])
async def test_pieces_of_any_size_make_the_same_object(store: BlobStore, pieces: int) -> None:
    content = pattern(2000)

    await put(store, KEY, content, pieces=pieces)

    assert content == await store.read(KEY, 0, 2000)


async def test_one_piece_may_be_larger_than_several_parts(store: BlobStore) -> None:
    content = pattern(20 * MIB)

    await put(store, KEY, content, pieces=20 * MIB)

    assert hashlib.sha256(content).digest() == hashlib.sha256(await content_of(store, KEY)).digest()


async def test_nothing_is_visible_before_commit(store: BlobStore) -> None:
    writer = store.writer(KEY)
    await writer.write(pattern(9 * MIB))

    assert await listed(store) == []
    with pytest.raises(FileNotFound):
        await store.size(KEY)
    with pytest.raises(FileNotFound):
        await store.read(KEY, 0, 1)

    await writer.abort()


async def test_a_range_gives_exactly_the_bytes_there_are(store: BlobStore) -> None:
    await put(store, KEY, b"0123456789")
    expected = {
        (0, 10): b"0123456789",
        (0, 4): b"0123",
        (3, 4): b"3456",
        (9, 1): b"9",
        (8, 100): b"89",
        (10, 1): b"",
        (11, 5): b"",
        (2**40, 2**40): b"",
        (5, 0): b"",
        (50, 0): b"",
    }

    assert expected == {(start, length): await store.read(KEY, start, length) for start, length in expected}


async def test_a_range_without_length_reaches_to_the_end(store: BlobStore) -> None:
    await put(store, KEY, b"0123456789")

    async with aclosing(store.stream(KEY, 7)) as pieces:
        assert b"".join([piece async for piece in pieces]) == b"789"
    async with aclosing(store.stream(KEY, 10)) as pieces:
        assert b"".join([piece async for piece in pieces]) == b""


async def test_an_empty_object_has_empty_ranges(store: BlobStore) -> None:
    await put(store, KEY, b"")

    assert await store.read(KEY, 0, 100) == b""
    assert await content_of(store, KEY) == b""


@pytest.mark.parametrize(("start", "length"), [(-1, 1), (0, -1)])
async def test_a_negative_range_is_a_value_error(store: BlobStore, start: int, length: int) -> None:
    await put(store, KEY, b"0123456789")

    with pytest.raises(ValueError, match="a range"):
        await store.read(KEY, start, length)


async def test_a_stream_may_be_left_early(store: BlobStore) -> None:
    content = pattern(4 * MIB)
    await put(store, KEY, content)

    async with aclosing(store.stream(KEY)) as pieces:
        first = await anext(pieces)

    assert content[: len(first)] == first
    assert content == await content_of(store, KEY)


async def test_an_absent_object_is_not_found(store: BlobStore) -> None:
    for attempt in (store.size(KEY), store.read(KEY, 0, 10), store.read(KEY, 0, 0), content_of(store, KEY)):
        with pytest.raises(FileNotFound):
            await attempt


async def test_deleting_removes_the_object_and_an_absent_one_is_fine(store: BlobStore) -> None:
    await put(store, KEY, b"content")
    await put(store, "ab/cd/ff", b"other")

    await store.delete(KEY)
    await store.delete(KEY)
    await store.delete("00")
    await store.delete("ab")

    assert await listed(store) == [("ab/cd/ff", 5)]


async def test_aborting_an_upload_nobody_began_is_fine(store: BlobStore) -> None:
    await store.abort_upload(KEY, None)
    await store.abort_upload(KEY, "bm8tc3VjaC11cGxvYWQ")
    with pytest.raises(FileNotFound):
        await store.size(KEY)


@exclusive("put")
async def test_the_second_object_under_a_key_is_refused_and_the_first_stays(store: BlobStore) -> None:
    await put(store, KEY, b"first")
    writer = store.writer(KEY)
    await writer.write(b"second")

    with pytest.raises(Conflict):
        await writer.commit()

    assert await store.read(KEY, 0, 100) == b"first"


@exclusive("complete")
async def test_the_second_large_object_under_a_key_is_refused_and_the_first_stays(store: BlobStore) -> None:
    await put(store, KEY, b"first")
    writer = store.writer(KEY)
    await writer.write(pattern(9 * MIB))

    with pytest.raises(Conflict):
        await writer.commit()

    assert await store.read(KEY, 0, 100) == b"first"


@exclusive("put")
async def test_of_many_writers_of_one_key_one_wins(store: BlobStore) -> None:
    contents = [pattern(1000, seed) for seed in range(6)]

    results = await asyncio.gather(*(put(store, KEY, content) for content in contents), return_exceptions=True)

    won = [content for content, result in zip(contents, results, strict=True) if result is None]
    assert [Conflict] * 5 == [type(result) for result in results if result is not None]
    assert won == [await store.read(KEY, 0, 2000)]


async def test_writers_of_different_keys_do_not_disturb_each_other(store: BlobStore) -> None:
    contents = {f"{number:02x}/aa": pattern(9 * MIB + number, number) for number in range(4)}
    contents |= {f"{number:02x}/bb": pattern(1000 + number, number) for number in range(12)}

    await asyncio.gather(*(put(store, key, content) for key, content in contents.items()))

    assert [(key, len(contents[key])) for key in sorted(contents)] == await listed(store)
    for key, content in contents.items():
        assert content == await store.read(key, 0, len(content))


@pytest.mark.parametrize("size", [10, 9 * MIB, 30 * MIB])
async def test_an_aborted_writer_leaves_nothing(store: BlobStore, size: int) -> None:
    writer = store.writer(KEY)
    await writer.write(pattern(size))

    await writer.abort()
    await writer.abort()

    assert await listed(store) == []
    with pytest.raises(RuntimeError):
        await writer.write(b"more")
    with pytest.raises(RuntimeError):
        await writer.commit()


async def test_abort_after_commit_changes_nothing(store: BlobStore) -> None:
    writer = store.writer(KEY)
    await writer.write(b"content")
    await writer.commit()

    await writer.abort()

    assert await store.read(KEY, 0, 100) == b"content"
    with pytest.raises(RuntimeError):
        await writer.commit()


@pytest.mark.parametrize("size", [0, 9 * MIB])
@pytest.mark.parametrize("patience", [0, 0.001, 0.02])
async def test_a_cancelled_commit_leaves_nothing(store: BlobStore, size: int, patience: float) -> None:
    async def upload() -> None:
        writer = store.writer(KEY)
        try:
            await writer.write(pattern(size))
            arrived.set()
            await writer.commit()
        except asyncio.CancelledError:
            await writer.abort()
            raise

    arrived = asyncio.Event()
    task = asyncio.create_task(upload())
    await arrived.wait()
    await asyncio.sleep(patience)
    task.cancel()

    result = (await asyncio.gather(task, return_exceptions=True))[0]

    # It may have been too late to cancel: then it is there, whole.
    assert ([(KEY, size)] if result is None else []) == await listed(store)


async def test_objects_are_listed_in_the_order_of_their_keys(store: BlobStore) -> None:
    for key in ("ab0", "0/1", "ab/c0/d", "a", "f", "ab/c1"):
        await put(store, key, key.encode())

    assert [(key, len(key)) for key in ("0/1", "a", "ab/c0/d", "ab/c1", "ab0", "f")] == await listed(store)


async def test_a_listed_object_says_when_it_was_stored(store: BlobStore) -> None:
    await put(store, KEY, b"content")

    async with aclosing(store.list()) as objects:
        found = [stored async for stored in objects]

    assert timedelta(seconds=-5) < datetime.now(UTC) - found[0].modified < timedelta(minutes=1)


BAD_KEYS = [
    "",
    "/",
    "/ab",
    "ab/",
    "ab//cd",
    "..",
    "ab/../cd",
    "ab/.",
    "AB",
    "xyz",
    "ab\0",
    "ab\n",
    "a b",
    "٣",
    "a" * 201,
]


async def test_other_keys_are_refused(store: BlobStore) -> None:
    now = datetime.now(UTC)

    for key in BAD_KEYS:
        for attempt in (
            store.size,
            lambda key: store.read(key, 0, 1),
            lambda key: content_of(store, key),
            store.delete,
            lambda key: store.abort_upload(key, None),
            lambda key: store.abort_upload(key, "id"),
        ):
            with pytest.raises(ValueError, match="is not a storage key"):
                await attempt(key)
        with pytest.raises(ValueError, match="is not a storage key"):
            store.writer(key)
        with pytest.raises(ValueError, match="is not a storage key"):
            store.path(key)
        with pytest.raises(ValueError, match="is not a storage key"):
            store.presign(key, file_name="x", now=now)


async def test_a_writer_killed_before_commit_leaves_nothing_visible_and_its_key_is_free(
    store: BlobStore, url: str
) -> None:
    upload_id = await killed_writer(url)

    assert await listed(store) == []
    async with aclosing(store.unfinished()) as uploads:
        (left,) = [upload async for upload in uploads]
    assert (KEY, upload_id or None) == (left.key, left.upload_id)
    # The moto server says 2010 of all of them.
    assert timedelta(seconds=-5) < datetime.now(UTC) - left.begun
    await store.abort_upload(KEY, upload_id or None)
    async with aclosing(store.unfinished()) as uploads:
        assert [] == [upload async for upload in uploads]
    await put(store, KEY, b"content")
    assert await listed(store) == [(KEY, 7)]
