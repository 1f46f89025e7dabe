"""The breaker: a store that fails in a row is left alone, and used again when it answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime

import pytest
from aiohttp import web

from registry import metrics
from registry.errors import FileNotFound, Unavailable
from registry.storage import breaker
from registry.storage.breaker import GuardedStore, guarded
from registry.storage.s3 import S3Store
from tests.storage.servers import Proxy

MIB = 1024 * 1024
KEY = "ab/cd"
FAILURES = 3
REFUSED = "The object store does not answer, try again later"


async def failing(request: web.Request, body: bytes) -> web.StreamResponse | None:
    return web.Response(status=400, text="<Error><Code>Strange</Code></Error>")  # not one that botocore tries again


@pytest.fixture
async def store(proxied: S3Store, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GuardedStore]:
    monkeypatch.setattr(breaker, "OPEN_SECONDS", 0.2)
    async with guarded(proxied, failures=FAILURES) as store:
        assert isinstance(store, GuardedStore)
        await put(store, KEY, b"content")
        yield store


async def put(store: GuardedStore, key: str, content: bytes) -> None:
    writer = store.writer(key)
    await writer.write(content)
    await writer.commit()


async def fail(store: GuardedStore, times: int) -> None:
    for _ in range(times):
        with pytest.raises(Unavailable):
            await store.size(KEY)


def openings() -> tuple[float | None, float]:
    read = metrics.REGISTRY.get_sample_value
    return read("registry_store_breaker_open"), read("registry_store_breaker_openings_total") or 0


async def test_a_store_that_fails_in_a_row_is_not_asked_until_it_answers(store: GuardedStore, proxy: Proxy) -> None:
    _, before = openings()
    proxy.answer = failing
    await fail(store, FAILURES)
    asked = len(proxy.seen)
    with pytest.raises(Unavailable, match=REFUSED) as caught:
        await store.admit(1)
    assert 1 <= caught.value.retry_after
    with pytest.raises(Unavailable, match=REFUSED):
        store.writer("ef")
    with pytest.raises(Unavailable, match=REFUSED):
        await store.read(KEY, 0, 1)
    with pytest.raises(Unavailable, match=REFUSED):
        async with aclosing(store.stream(KEY)) as pieces:
            await anext(pieces)
    with pytest.raises(Unavailable, match=REFUSED):
        await store.delete(KEY)
    # Redirects need no answer of the store.
    assert store.presign(KEY, file_name="a", now=datetime.now(UTC)) is not None
    assert (asked, (1, before + 1)) == (len(proxy.seen), openings())

    await asyncio.sleep(0.5)
    assert asked < len(proxy.seen)
    with pytest.raises(Unavailable, match=REFUSED):  # the probe has found no answer, either
        store.check()
    proxy.answer = None
    async with asyncio.timeout(5):
        while openings()[0]:
            await asyncio.sleep(0.02)
    assert (7, b"content") == (await store.size(KEY), await store.read(KEY, 0, 10))
    await put(store, "ef", b"more")


async def test_failures_with_an_answer_in_between_are_not_in_a_row(store: GuardedStore, proxy: Proxy) -> None:
    for _ in range(3):
        proxy.answer = failing
        await fail(store, FAILURES - 1)
        proxy.answer = None
        with pytest.raises(FileNotFound):
            await store.size("00")
    store.check()


async def test_uploads_count_when_the_store_is_asked(store: GuardedStore, proxy: Proxy) -> None:
    proxy.answer = failing
    for _ in range(FAILURES):
        writer = store.writer("ef")
        await writer.write(b"kept until there is more")
        with pytest.raises(Unavailable):
            await writer.commit()
    with pytest.raises(Unavailable, match=REFUSED):
        store.check()


async def test_trouble_of_who_is_told_the_upload_id_is_none_of_the_store(store: GuardedStore) -> None:
    async def opened(upload_id: str) -> None:
        raise Unavailable("the database does not answer")

    for _ in range(FAILURES):
        writer = store.writer("ef", opened=opened)
        with pytest.raises(Unavailable, match="database"):
            await writer.write(bytes(8 * MIB + 1))
    store.check()


async def test_who_goes_away_says_nothing_about_the_store(store: GuardedStore, proxy: Proxy) -> None:
    reached = asyncio.Event()

    async def hang(request: web.Request, body: bytes) -> web.StreamResponse | None:
        reached.set()
        await asyncio.sleep(0.5)
        return None

    proxy.answer = hang
    for _ in range(FAILURES):
        reached.clear()
        task = asyncio.create_task(store.size(KEY))
        await reached.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    store.check()


async def test_without_a_number_of_failures_nothing_is_refused(proxied: S3Store, proxy: Proxy) -> None:
    proxy.answer = failing
    async with guarded(proxied, failures=0) as store:
        for _ in range(2 * FAILURES):
            with pytest.raises(Unavailable, match="answered 400"):
                await store.size(KEY)
