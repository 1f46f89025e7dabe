"""The registry under test: two replicas of the application on one Postgres and one store, asked over HTTP."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import orjson
from yarl import URL

from registry import accounts, app, janitor
from registry.embedded import EmbeddedPostgres
from registry.inspection import Inspector
from registry.janitor import Grace
from registry.services import Services
from registry.settings import Settings
from tests.conftest import ProductionServer
from tests.databases import drop
from tests.people import ROOT_TOKEN
from tests.stateful.world import ROOT_PATH

REPLICAS = (0, 1)
EXTERNAL_URL = "http://registry.test"
# Nothing is under way when it is used, so nothing needs time.
_NONE = timedelta()
AT_ONCE = Grace(abandoned=_NONE, unreferenced=_NONE, restore=_NONE, changes=_NONE)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


class Replica:
    """One application with its own caches, on a port of its own."""

    def __init__(self, settings: Settings, database_url: str, inspector: Inspector) -> None:
        self._settings = settings
        self._database_url = database_url
        self._inspector = inspector
        self._open = AsyncExitStack()

    async def start(self) -> None:
        opened = await self._open.enter_async_context(app.open_services(self._settings, self._database_url))
        self.services = replace(opened, inspector=self._inspector)
        self._server = ProductionServer(app.make_app(self.services), host="127.0.0.1")
        await self._server.start_server()
        self._open.push_async_callback(self._server.close)

    async def stop(self) -> None:
        await self._open.aclose()

    def url(self, path: str) -> URL:
        return URL(f"http://127.0.0.1:{self._server.port}{path}", encoded=True)


class Registry:
    """The replicas, and a client of theirs."""

    def __init__(self, postgres: EmbeddedPostgres, template: str, directory: Path) -> None:
        self._postgres = postgres
        self._template = template
        self._directory = directory
        self._name = f"stateful_{os.urandom(6).hex()}"

    async def start(self) -> None:
        """A fresh database, an empty store."""
        await command(self._postgres, f"CREATE DATABASE {self._name} TEMPLATE {self._template} STRATEGY FILE_COPY")
        settings = Settings(data_dir=self._directory, external_url=EXTERNAL_URL, stale_seconds=0, database_pool=3)
        # Readers of archives keep nothing in mind and take longest to start, so they outlive the replicas.
        self._inspector = await Inspector().__aenter__()
        self.replicas = [Replica(settings, self._postgres.url_for(self._name), self._inspector) for _ in REPLICAS]
        for replica in self.replicas:
            await replica.start()
        await accounts.ensure_root(self.services.db, ROOT_TOKEN)
        self._session = aiohttp.ClientSession()

    async def close(self) -> None:
        await self._session.close()
        for replica in self.replicas:
            await replica.stop()
        await self._inspector.__aexit__(None, None, None)
        connection = await asyncpg.connect(self._postgres.url)
        await drop(connection, self._name)
        await connection.close()

    @property
    def services(self) -> Services:
        """The parts of some replica, for looks at rows and objects."""
        return self.replicas[0].services

    async def clear(self) -> None:
        """Forget all projects, and what a history that ended in disagreement may have left behind."""
        await self.ask(0, ROOT_TOKEN, "DELETE", f"/api/v4/groups/{ROOT_PATH}")
        await self.collect_garbage()
        await self.services.db.execute("DELETE FROM blobs")
        for key in [one.key async for one in self.services.store.list()]:
            await self.services.store.delete(key)

    async def restart(self, number: int) -> None:
        """One replica ends, another one takes its place."""
        await self.replicas[number].stop()
        await self.replicas[number].start()

    async def ask(
        self,
        replica: int,
        token: str | None,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: Any = None,
        json: Any = None,
    ) -> Answer:
        """One request; never followed elsewhere."""
        credentials = {} if token is None else {"PRIVATE-TOKEN": token}
        async with self._session.request(
            method,
            self.replicas[replica].url(path),
            headers={**credentials, **(headers or {})},
            data=data,
            json=json,
            allow_redirects=False,
        ) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def collect_garbage(self) -> list[str]:
        """Clean up as the janitor does, without any grace; answers what could not be removed."""
        steps = janitor.sweep(self.services.db, self.services.store, AT_ONCE)
        return [step.key or "" async for step in steps if step.action == "failed"]


async def command(postgres: EmbeddedPostgres, sql: str) -> None:
    """Something that concerns no database in particular."""
    connection = await asyncpg.connect(postgres.url)
    await connection.execute(sql)
    await connection.close()
