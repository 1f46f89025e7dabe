"""Fixtures: a registry in this process, and replicas of it to be killed."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientSession

from registry import failpoints
from registry.services import Services
from tests.faults.deeds import Place
from tests.faults.replicas import Replica, replica
from tests.people import People

Fork = Callable[..., AbstractAsyncContextManager[Replica]]
NewPlace = Callable[[], Any]

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def _disarmed() -> AsyncIterator[None]:
    yield
    failpoints.arm(None)


@pytest.fixture
async def s3_url(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh bucket, made without a client, which takes a second to build."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    name = f"faults-{next(_numbers)}"
    async with ClientSession() as session, session.put(f"{s3_endpoint}/{name}") as response:
        assert 200 == response.status
    return f"s3://{name}/?endpoint_url={s3_endpoint}&region=us-east-1"


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    """A client without kept connections: one that was killed at the other end would be tried again."""
    async with ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        yield session


@pytest.fixture
def new_place(people: People, session: ClientSession) -> NewPlace:
    """Make another empty project."""

    async def make() -> Place:
        return Place(session, await people.project(visibility="public"))

    return make


@pytest.fixture
def fork(people: People, services: Services, database_url: str, tmp_path: Path) -> Fork:
    """Start a replica of the registry in this process."""

    def start(failpoint: str | None = None, **changed: Any) -> AbstractAsyncContextManager[Replica]:
        constants = {name: changed.pop(name) for name in tuple(changed) if "__" in name}
        url = changed.pop("database_url", database_url)
        settings = services.settings.model_copy(update=changed)
        return replica(settings, url, tmp_path / "replica.log", failpoint=failpoint, **constants)

    return start
