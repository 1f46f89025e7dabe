"""Fixtures: a real Postgres, real stores, a running application, and clients that say what a person does."""

from __future__ import annotations

import asyncio
import functools
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from registry import app
from registry.db.migrate import migrate
from registry.embedded import EmbeddedPostgres
from registry.services import Services
from registry.settings import Settings
from tests import pooler
from tests.clients.toolbox import Missing
from tests.databases import drop
from tests.people import ROOT_TOKEN, People
from tests.s3servers import chosen

TEMPLATE = "registry_template"
BUCKET = "registry-tests"
# `TEST_POOLER=pgbouncer` runs the suite through a transaction pooler.
POOLED = pooler.wanted(os.environ)

if POOLED:
    # The tests' own connections, too, may find another session behind each transaction.
    asyncpg.connect = functools.partial(asyncpg.connect, statement_cache_size=0)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """One server for the whole run, with a migrated template database."""
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as directory:
        Path(directory).chmod(0o755)
        with EmbeddedPostgres.start(Path(directory) / "data", unsafe_fast=True) as server:
            asyncio.run(_make_template(server))
            yield server


async def _make_template(server: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(server.url)
    await connection.execute(f"CREATE DATABASE {TEMPLATE}")
    await connection.close()
    await migrate(server.url_for(TEMPLATE))


@pytest.fixture
async def database_url(postgres: EmbeddedPostgres, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A fresh database with the current schema, behind the pooler when the run is to have one."""
    name = f"test_{os.urandom(6).hex()}"
    connection = await asyncpg.connect(postgres.url)
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
    yield (request.getfixturevalue("pgbouncer") if POOLED else postgres).url_for(name)
    await drop(connection, name)
    await connection.close()


@pytest.fixture(scope="session")
def pgbouncer(postgres: EmbeddedPostgres) -> Iterator[pooler.Pooler]:
    """A pooler in transaction mode in front of every database of the run."""
    try:
        with pooler.running(postgres) as running:
            yield running
    except Missing as missing:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(missing))


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The moto server over real HTTP, or the one that this run is for."""
    other = chosen()
    if other is not None:
        yield other.endpoint
        return
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
async def s3_url(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh bucket."""
    from aiobotocore.session import get_session

    other = chosen()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", other.access_key if other else "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", other.secret_key if other else "testing")
    bucket = f"{BUCKET}-{os.urandom(4).hex()}"
    async with get_session().create_client("s3", endpoint_url=s3_endpoint, region_name="us-east-1") as client:
        await client.create_bucket(Bucket=bucket)
    return f"s3://{bucket}/?endpoint_url={s3_endpoint}&region=us-east-1"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a laptop; a test may override the fixture."""
    return Settings(data_dir=tmp_path, stale_seconds=5)


@pytest.fixture(params=["local"])
def storage_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where objects go; parametrise indirectly with `local` and `s3` to run on both."""
    if request.param == "s3":
        return str(request.getfixturevalue("s3_url"))
    return (tmp_path / "objects").as_uri()


@pytest.fixture
async def services(settings: Settings, storage_url: str, database_url: str) -> AsyncIterator[Services]:
    """The running parts."""
    settings = settings.model_copy(update={"storage_url": storage_url})
    async with app.open_services(settings, database_url) as running:
        yield running


class ProductionServer(TestServer):
    """The application behind the server that `registry serve` puts in front of it."""

    async def _make_runner(self, **options: Any) -> web.BaseRunner[Any]:
        return web.ServerRunner(app.make_server(self.app, **options))


@pytest.fixture
async def server(services: Services) -> AsyncIterator[TestServer]:
    """The application on a real port; documents name that port."""
    server = ProductionServer(app.make_app(services), host="127.0.0.1")
    await server.start_server()
    object.__setattr__(services.settings, "external_url", f"http://127.0.0.1:{server.port}")
    yield server
    await server.close()


@pytest.fixture
async def client(server: TestServer) -> AsyncIterator[TestClient]:
    """A client without credentials."""
    async with TestClient(server) as client:
        yield client


@pytest.fixture
async def people(services: Services, client: TestClient) -> People:
    """root, and whoever a test makes."""
    from registry import accounts

    await accounts.ensure_root(services.db, ROOT_TOKEN)
    return People(services, client)
