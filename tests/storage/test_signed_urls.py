"""Presigned URLs, asked for by a client that knows nothing but the URL, from the server that signs them."""

from __future__ import annotations

from datetime import UTC, datetime

import aiohttp
import pytest
from yarl import URL

from registry.storage import BlobStore
from tests.s3servers import chosen

from .objects import KEY, pattern, put


@pytest.fixture(params=["s3"])
def url(request: pytest.FixtureRequest) -> str:
    moto, bucket = request.getfixturevalue("moto"), request.getfixturevalue("bucket")
    return f"s3://{bucket}/some/prefix?endpoint_url={moto}"


async def test_a_signed_url_gives_the_object_its_file_name_and_ranges(store: BlobStore) -> None:
    content = pattern(100_000)
    await put(store, KEY, content)

    url = store.presign(KEY, file_name="some file-1.0+local.tar.gz", now=datetime.now(UTC))

    assert url is not None
    async with aiohttp.ClientSession() as session:
        async with session.get(URL(url, encoded=True)) as answer:
            assert (200, content) == (answer.status, await answer.read())
            assert "some file-1.0+local.tar.gz" in answer.headers["Content-Disposition"]
        async with session.get(URL(url, encoded=True), headers={"Range": "bytes=10-19"}) as answer:
            assert (206, content[10:20]) == (answer.status, await answer.read())


@pytest.mark.skipif(chosen() is None, reason="moto checks no signatures")
async def test_a_url_signed_for_one_object_opens_no_other_and_ends(store: BlobStore) -> None:
    for key in (KEY, "00"):
        await put(store, key, b"content")
    good = store.presign(KEY, file_name="x", now=datetime.now(UTC))
    old = store.presign(KEY, file_name="x", now=datetime(2020, 1, 1, tzinfo=UTC))

    assert good is not None
    assert old is not None
    async with aiohttp.ClientSession() as session:
        statuses = []
        for url in (good, good.replace(KEY, "00"), old, good.partition("?")[0]):
            async with session.get(URL(url, encoded=True)) as answer:
                statuses.append(answer.status)
    assert 200 == statuses[0]
    # Swift calls a request without any signature a bad one.
    assert {400, 403} >= set(statuses[1:])
