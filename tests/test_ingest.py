"""Ingest: what arrives is hashed, limited and stored, and what does not arrive whole leaves nothing."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import logging
import shutil
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from hypothesis import HealthCheck, given
from hypothesis import settings as rules
from hypothesis import strategies as st

from registry import ingest as module
from registry import metrics
from registry.db.connection import Database, open_database
from registry.errors import TooBusy, TooLarge, Unavailable
from registry.ingest import PIECE, UPLOAD_MEMORY, Ingest, Upload
from registry.model import Blob, Digests
from registry.storage import BlobStore, open_store
from tests.outages import Outage, proxied
from tests.storage.servers import Proxy, running_proxy

MIB = 1024 * 1024
EVERY = frozenset({"sha256", "md5", "sha1", "sha512", "blake2b_256"})
_numbers = itertools.count()
both_stores = pytest.mark.parametrize("storage_url", ["local", "s3"], indirect=True)


@pytest.fixture
async def s3_url(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh bucket, made without a client, which takes a second to build."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    name = f"ingest-{next(_numbers)}"
    async with ClientSession() as session, session.put(f"{s3_endpoint}/{name}") as response:
        assert 200 == response.status
    return f"s3://{name}/?endpoint_url={s3_endpoint}&region=us-east-1"


@pytest.fixture
async def outage(database_url: str) -> AsyncIterator[Outage]:
    async with proxied(database_url) as outage:
        yield outage


@pytest.fixture
async def db(outage: Outage) -> AsyncIterator[Database]:
    db = await open_database(outage.url, pool_size=6)
    yield db
    await db.close()


@pytest.fixture
async def store(storage_url: str) -> AsyncIterator[BlobStore]:
    async with open_store(storage_url) as store:
        yield store


@pytest.fixture
def ingest(db: Database, store: BlobStore) -> Any:
    ingest = Ingest(db, store, memory=8 * UPLOAD_MEMORY)
    yield ingest
    ingest.close()


def pattern(size: int) -> bytes:
    return hashlib.shake_128(b"seed").digest(size)


def digests(content: bytes, *algorithms: str) -> Digests:
    blake2b = hashlib.blake2b(content, digest_size=32)
    named = {name: hashlib.new(name, content).hexdigest() for name in algorithms if name != "blake2b_256"}
    return Digests(**named, **({"blake2b_256": blake2b.hexdigest()} if "blake2b_256" in algorithms else {}))


async def send(upload: Upload, content: bytes, *, piece: int = 64 * 1024) -> None:
    for start in range(0, len(content), piece):
        await upload.write(content[start : start + piece])


async def receive(ingest: Ingest, content: bytes, *, algorithms: frozenset[str] = frozenset()) -> Blob:
    async with ingest.upload(limit=len(content), algorithms=algorithms) as upload:
        await send(upload, content)
        blob = await upload.finish()
        upload.keep()
    return blob


async def objects(store: BlobStore) -> dict[str, bytes]:
    async with aclosing(store.list()) as found:
        keys = [one.key async for one in found]
    return {key: await store.read(key, 0, 10**9) for key in keys}


async def rows(db: Database) -> list[tuple[str, int | None]]:
    return [(row["state"], row["size"]) for row in await db.fetch("SELECT state, size FROM blobs ORDER BY id")]


@both_stores
@rules(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=40), times=st.sampled_from([1, 1, 7, 40_000]), cuts=st.lists(st.floats(0, 1)))
async def test_any_chunking_gives_the_same_object_and_digests(
    db: Database, store: BlobStore, ingest: Ingest, content: bytes, times: int, cuts: list[float]
) -> None:
    content *= times
    ends = sorted({int(len(content) * cut) for cut in cuts} | {len(content)})
    async with ingest.upload(limit=len(content), algorithms=EVERY) as upload:
        start = 0
        for end in ends:
            await upload.write(content[start:end])
            start = end
        blob = await upload.finish()
        assert (len(content), digests(content, *EVERY)) == (blob.size, blob.digests)
        assert content == await store.read(blob.key, 0, len(content) + 1)
    assert ({}, []) == (await objects(store), await rows(db))


@both_stores
async def test_a_large_file_is_stored_in_parts_and_is_whole(db: Database, store: BlobStore, ingest: Ingest) -> None:
    content = pattern(20 * MIB + 1)
    blob = await receive(ingest, content, algorithms=frozenset({"sha512"}))
    assert {blob.key: content} == await objects(store)
    assert (digests(content, "sha256", "sha512"), len(content)) == (blob.digests, blob.size)
    assert [("open", len(content))] == await rows(db)


@both_stores
async def test_an_empty_file_is_a_file(store: BlobStore, ingest: Ingest) -> None:
    blob = await receive(ingest, b"")
    assert ({blob.key: b""}, digests(b"", "sha256")) == (await objects(store), blob.digests)


async def test_the_row_holds_what_was_computed(db: Database, ingest: Ingest) -> None:
    async with ingest.upload(limit=10, algorithms=frozenset({"md5", "sha1"})) as upload:
        upload.also("blake2b_256")
        await upload.write(b"content")
        blob = await upload.finish()
        upload.keep()
    row = await db.fetchrow("SELECT key, size, sha256, md5, sha1, sha512, blake2b_256, upload_id FROM blobs")
    assert row is not None
    expected = digests(b"content", "sha256", "md5", "sha1", "blake2b_256")
    assert blob == Blob(blob.id, row["key"], 7, expected)
    assert (expected.sha256, expected.md5, expected.sha1, None, expected.blake2b_256, None) == tuple(row)[2:]


async def test_keys_never_repeat_and_say_nothing(ingest: Ingest) -> None:
    keys = [(await receive(ingest, b"the same bytes")).key for _ in range(20)]
    assert 20 == len(set(keys))
    assert all(set(key) <= set("0123456789abcdef/") for key in keys)


# --- limits ---------------------------------------------------------------------------------------------------------


@both_stores
async def test_the_limit_is_exact_and_what_exceeds_it_leaves_nothing(
    db: Database, store: BlobStore, ingest: Ingest
) -> None:
    for limit in (0, 10, PIECE, 9 * MIB):
        content = pattern(limit + 1)
        with pytest.raises(TooLarge, match=f"the limit is {limit} bytes"):
            async with ingest.upload(limit=limit, algorithms=frozenset()) as upload:
                await send(upload, content)
        assert ({}, []) == (await objects(store), await rows(db))
        async with ingest.upload(limit=limit, algorithms=frozenset()) as upload:
            await send(upload, content[:-1])
            assert limit == (await upload.finish()).size


async def test_when_memory_is_full_uploads_wait_and_then_are_told(db: Database, store: BlobStore) -> None:
    ingest = Ingest(db, store, memory=3 * UPLOAD_MEMORY, wait_seconds=0.5)
    refused = metrics.REGISTRY.get_sample_value("registry_ratelimited_total", {"rule": "uploads"}) or 0
    leave = asyncio.Event()

    async def stay() -> None:
        async with ingest.upload(limit=10, algorithms=frozenset()) as upload:
            await upload.write(b"x")
            await leave.wait()

    staying = [asyncio.create_task(stay()) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(TooBusy) as caught:
        async with ingest.upload(limit=10, algorithms=frozenset(), length=UPLOAD_MEMORY):
            raise AssertionError
    assert (429, 10, module.REFUSAL) == (caught.value.status, caught.value.retry_after, caught.value.text)
    assert refused + 1 == metrics.REGISTRY.get_sample_value("registry_ratelimited_total", {"rule": "uploads"})
    # What is small passes by.
    for length in (0, 1000, 2 * MIB):
        async with ingest.upload(limit=10, algorithms=frozenset(), length=length) as upload:
            await upload.write(b"small")
    waiting = [asyncio.create_task(receive(ingest, b"late")) for _ in range(4)]
    cancelled = asyncio.create_task(receive(ingest, b"gone"))
    await asyncio.sleep(0.05)
    cancelled.cancel()
    leave.set()
    assert [4] * 4 == [blob.size for blob in await asyncio.gather(*waiting)]
    await asyncio.gather(*staying, cancelled, return_exceptions=True)
    assert {b"late"} == set((await objects(store)).values())
    assert (0, 0) == (ingest._large.taken, ingest._small.taken)
    ingest.close()


# --- what goes wrong on the way -------------------------------------------------------------------------------------


@both_stores
async def test_a_client_that_goes_away_leaves_no_object_and_no_row(
    db: Database, store: BlobStore, ingest: Ingest
) -> None:
    for sent in (0, 10, PIECE, 9 * MIB, 20 * MIB):
        with pytest.raises(ConnectionResetError):
            async with ingest.upload(limit=100 * MIB, algorithms=EVERY) as upload:
                await send(upload, pattern(sent))
                raise ConnectionResetError
        assert ({}, []) == (await objects(store), await rows(db))


@both_stores
async def test_a_request_that_is_cancelled_leaves_no_object_and_no_row(
    db: Database, store: BlobStore, ingest: Ingest
) -> None:
    async def upload_for_ever(sent: int, sending: asyncio.Event) -> None:
        async with ingest.upload(limit=100 * MIB, algorithms=EVERY) as upload:
            await send(upload, pattern(sent))
            sending.set()
            await asyncio.Event().wait()

    for sent in (10, 20 * MIB):
        sending = asyncio.Event()
        task = asyncio.create_task(upload_for_ever(sent, sending))
        await sending.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ({}, []) == (await objects(store), await rows(db))


@both_stores
async def test_a_finished_file_that_is_refused_leaves_no_object_and_no_row(
    db: Database, store: BlobStore, ingest: Ingest
) -> None:
    async with ingest.upload(limit=10 * MIB, algorithms=frozenset()) as upload:
        await send(upload, pattern(9 * MIB))
        blob = await upload.finish()
        assert [blob.key] == list(await objects(store))
    assert ({}, []) == (await objects(store), await rows(db))


async def test_what_a_file_refers_to_stays_even_when_the_publisher_was_not_told(
    db: Database, store: BlobStore, ingest: Ingest
) -> None:
    async with ingest.upload(limit=10, algorithms=frozenset()) as upload:
        await upload.write(b"content")
        blob = await upload.finish()
        await db.execute("UPDATE blobs SET state = 'stored'")
    assert ({blob.key: b"content"}, [("stored", 7)]) == (await objects(store), await rows(db))


async def test_with_postgres_away_a_finished_file_is_left_alone(
    db: Database, store: BlobStore, ingest: Ingest, outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether it was published is not known then: its object must outlive the doubt."""
    async with ingest.upload(limit=10, algorithms=frozenset()) as upload:
        await upload.write(b"content")
        blob = await upload.finish()
        outage.fail()
    assert ["An abandoned upload is left to the janitor: Unavailable"] == [record.message for record in caplog.records]
    outage.recover()
    assert ({blob.key: b"content"}, [("open", 7)]) == (await objects(store), await rows(db))


async def test_with_postgres_away_nothing_is_stored(
    db: Database, store: BlobStore, ingest: Ingest, outage: Outage
) -> None:
    outage.fail()
    with pytest.raises(Unavailable):
        await receive(ingest, b"content")
    assert {} == await objects(store)
    outage.recover()
    assert [] == await rows(db)


async def test_when_postgres_goes_before_the_file_is_noted_the_janitor_has_a_row_to_go_by(
    db: Database, store: BlobStore, ingest: Ingest, outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Unavailable):
        async with ingest.upload(limit=MIB, algorithms=frozenset()) as upload:
            await send(upload, pattern(PIECE))
            outage.fail()
            await upload.finish()
    assert 1 == len(caplog.records)
    outage.recover()
    assert ({}, [("open", None)]) == (await objects(store), await rows(db))


async def test_a_blob_the_janitor_took_meanwhile_is_the_janitors(
    db: Database, store: BlobStore, ingest: Ingest
) -> None:
    async with ingest.upload(limit=10, algorithms=frozenset()) as upload:
        await upload.write(b"content")
        await upload.finish()
        await db.execute("UPDATE blobs SET state = 'doomed'")
    assert [("doomed", 7)] == await rows(db)


async def test_a_directory_that_goes_away_is_an_outage_and_the_janitor_has_a_row_to_go_by(
    db: Database, ingest: Ingest, tmp_path: Path
) -> None:
    with pytest.raises(Unavailable):
        async with ingest.upload(limit=20 * MIB, algorithms=frozenset()) as upload:
            await send(upload, pattern(5 * MIB))
            shutil.rmtree(tmp_path / "objects")
            await upload.finish()
    assert [("open", None)] == await rows(db)


@pytest.fixture
async def moto_proxy(s3_endpoint: str, s3_url: str) -> AsyncIterator[tuple[Proxy, str]]:
    async with running_proxy(s3_endpoint) as proxy:
        yield proxy, s3_url.replace(s3_endpoint, proxy.url)


def refusing(operation: str) -> Any:
    """Refuse one operation: a method and the names of its query options."""
    method, _, names = operation.partition("?")

    async def answer(request: web.Request, _: bytes) -> web.Response | None:
        asked = {name for name in request.query if name != "x-id"}
        refused = request.method == method and asked == set(names.split("&")) - {""}
        return web.Response(status=403) if refused else None

    return answer


async def test_a_store_that_fails_midway_is_an_outage_and_leaves_nothing(
    db: Database, moto_proxy: tuple[Proxy, str], caplog: pytest.LogCaptureFixture
) -> None:
    proxy, url = moto_proxy
    caplog.set_level(logging.ERROR)
    async with open_store(url) as store:
        ingest = Ingest(db, store, memory=UPLOAD_MEMORY)
        for operation in ("POST?uploads", "PUT?partNumber&uploadId", "POST?uploadId", "PUT"):
            proxy.answer = refusing(operation)
            with pytest.raises(Unavailable):
                await receive(ingest, pattern(100 if operation == "PUT" else 20 * MIB))
            proxy.answer = None
            assert ({}, []) == (await objects(store), await rows(db)), operation
        blob = await receive(ingest, pattern(100))
        assert {blob.key: pattern(100)} == await objects(store)
        ingest.close()


@both_stores
async def test_uploads_side_by_side_do_not_mix(db: Database, store: BlobStore, ingest: Ingest) -> None:
    contents = [bytes([number]) * (PIECE + number) for number in range(12)]
    blobs = await asyncio.gather(*(receive(ingest, content) for content in contents))
    assert {blob.key: content for blob, content in zip(blobs, contents, strict=True)} == await objects(store)
    assert [digests(content, "sha256") for content in contents] == [blob.digests for blob in blobs]
