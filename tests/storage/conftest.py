"""Stores to test: a directory, and the moto server over real HTTP, with a proxy in front for things to go wrong."""

from __future__ import annotations

import functools
import http.client
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import botocore.session
import pytest
from moto.server import ThreadedMotoServer

from registry.storage import BlobStore, open_store
from registry.storage.s3 import S3Store
from tests.s3servers import chosen

from .servers import Proxy, running_proxy, s3_store

_numbers = itertools.count()


@pytest.fixture(autouse=True, scope="session")
def api_read_once() -> Iterator[None]:
    """A server opens one client in its life, a test run hundreds: read botocore's description of S3 only once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", functools.cache(botocore.session.create_loader))
        yield


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    other = chosen()
    if other is not None:
        yield other.endpoint
        return
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    other = chosen()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", other.access_key if other else "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", other.secret_key if other else "not/a+secret")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def bucket(moto: str, credentials: None) -> str:
    name = f"bucket-{next(_numbers)}"
    if chosen() is not None:  # one that wants a signature
        session = botocore.session.get_session()
        session.create_client("s3", endpoint_url=moto, region_name="us-east-1").create_bucket(Bucket=name)
        return name
    with closing(http.client.HTTPConnection(moto.removeprefix("http://"))) as connection:
        connection.request("PUT", f"/{name}")
        assert connection.getresponse().status == 200
    return name


@pytest.fixture(params=["file", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return f"file://{tmp_path / 'objects'}"
    moto, bucket = request.getfixturevalue("moto"), request.getfixturevalue("bucket")
    return f"s3://{bucket}/some/prefix?endpoint_url={moto}"


@pytest.fixture
async def store(url: str) -> AsyncIterator[BlobStore]:
    async with open_store(url) as store:
        yield store


@pytest.fixture
async def s3(moto: str, bucket: str) -> AsyncIterator[S3Store]:
    store = await s3_store(f"s3://{bucket}?endpoint_url={moto}")
    yield store
    await store.close()


@pytest.fixture
async def proxy(moto: str) -> AsyncIterator[Proxy]:
    async with running_proxy(moto) as proxy:
        yield proxy


@pytest.fixture
async def proxied(proxy: Proxy, bucket: str) -> AsyncIterator[S3Store]:
    store = await s3_store(f"s3://{bucket}?endpoint_url={proxy.url}")
    yield store
    proxy.answer = None
    await store.close()
