"""A busy registry: what publishing clients do when their upload has to come back later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from registry.access import AccessLevel
from registry.ingest import REFUSAL, SMALL_UPLOAD
from registry.model import Project
from registry.settings import Settings
from tests import inventory
from tests.clients import npm, pypi
from tests.clients.process import Client
from tests.people import People

pytestmark = pytest.mark.client

FindClient = Callable[[str], Client]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"upload_wait_seconds": 1})


@pytest.fixture
async def project(people: People) -> Project:
    return await people.project()


async def occupy(people: People) -> AsyncExitStack:
    """Take all memory there is for small uploads."""
    stack, ingest = AsyncExitStack(), people.services.ingest
    while ingest._small.taken + SMALL_UPLOAD <= people.services.settings.upload_memory_bytes // 4:
        await stack.enter_async_context(ingest.room(SMALL_UPLOAD - 2**20))
    return stack


async def test_twine_asks_once_and_tells_its_user(
    people: People, project: Project, find_client: FindClient, tmp_path: Path
) -> None:
    developer = await people.member(project, AccessLevel.DEVELOPER)
    directory = pypi.project_directory(tmp_path / "demo")
    who = ("__token__", developer.token or "")
    before = pypi.requests()
    async with await occupy(people):
        refused = await pypi.publish(find_client("twine"), pypi.upload_url(people, project), who, directory)
    assert 0 != refused.code
    assert REFUSAL in " ".join(refused.text.split()), refused.text
    assert {("pypi", "429"): 1} == dict(pypi.requests() - before)
    assert inventory.EMPTY == await inventory.take(people.services)
    again = await pypi.publish(find_client("twine"), pypi.upload_url(people, project), who, directory)
    assert 0 == again.code, again.text


async def test_npm_comes_back_by_itself(
    people: People, project: Project, find_client: FindClient, tmp_path: Path
) -> None:
    client, before = find_client("npm-11"), pypi.requests()
    directory = npm.write_package(tmp_path / "widget", "widget", "1.0.0")
    npm.configure(client, people, directory, project, await people.member(project, AccessLevel.DEVELOPER))
    with (directory / ".npmrc").open("a") as settings:
        settings.write("fetch-retry-mintimeout=200\nfetch-retry-maxtimeout=1000\n")
    async with await occupy(people), asyncio.timeout(30):
        publishing = asyncio.create_task(npm.done(client, *npm.PUBLISH[client.name], cwd=directory))
        while not (pypi.requests() - before)["{name:scoped}", "429"]:
            await asyncio.sleep(0.05)
    assert "+ widget@1.0.0" in await publishing
    assert (("widget", "1.0.0"),) == (await inventory.take(people.services)).packages
