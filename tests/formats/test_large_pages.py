"""Pages of many entries: what is kept from one rendering to the next never shows."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import orjson
import pytest
from aiohttp.test_utils import TestClient

from registry import app, catalog
from registry.db import package_files, packages
from registry.db.connection import Db
from registry.db.packages import Outline
from registry.model import Project
from registry.services import Services
from tests.bench import seed
from tests.conftest import ProductionServer
from tests.people import OPERATOR, ROOT_TOKEN, People

CORGI = "application/vnd.npm.install-v1+json"
PAGES = [
    ("pypi/simple/large/", "application/vnd.pypi.simple.v1+json"),
    ("pypi/simple/large/", "text/html"),
    ("npm/large", "application/json"),
    ("npm/large", CORGI),
]


async def read(client: TestClient, place: str) -> list[tuple[str, bytes]]:
    """Every page in every coding with its ETag, inflated."""
    found = []
    for path, media_type in PAGES:
        for coding in ("identity", "gzip"):
            headers = {"Accept": media_type, "Accept-Encoding": coding, "PRIVATE-TOKEN": ROOT_TOKEN}
            response = await client.get(f"/api/v4/{place}/packages/{path}", headers=headers)
            assert response.status == 200
            found.append((response.headers["ETag"], await response.read()))
    return found


async def read_anew(services: Services, database_url: str, place: str) -> list[tuple[str, bytes]]:
    """The same by a replica that has just started."""
    async with (
        app.open_services(services.settings, database_url) as others,
        TestClient(ProductionServer(app.make_app(others), host="127.0.0.1")) as client,
    ):
        return await read(client, place)


async def ids(services: Services, project: Project, kind: str) -> dict[str, int]:
    found = await packages.list_numbers(services.db, kind, ["large"], [project.id])
    return {number.version: number.id for number in found}


@pytest.mark.parametrize("level", ["projects/{project}", "groups/{group}/-"])
async def test_after_every_kind_of_change_a_page_is_what_a_new_server_answers(
    services: Services, database_url: str, people: People, level: str
) -> None:
    group = await people.group()
    first, second = [await people.project(group, visibility="private") for _ in range(2)]
    place = level.format(project=first.id, group=group.id)
    for project in (first, second):
        await seed.pypi_files(services.db, project, "large", 90)
    await seed.npm_versions(services.db, first, "large", 150)

    async def publish_here() -> None:
        await seed.pypi_files(services.db, first, "large", 1, first=1000)
        await seed.npm_versions(services.db, first, "large", 1, first=1000)

    async def publish_versions_again_in_another_project() -> None:
        await seed.npm_versions(services.db, second, "large", 40)

    async def deprecate() -> None:
        await catalog.deprecate(services.db, OPERATOR, first, "npm", "large", {"1.0.7": "old", "1.2.3": "older"})

    async def take_it_back() -> None:
        await catalog.deprecate(services.db, OPERATOR, first, "npm", "large", {"1.0.7": None})

    async def delete_the_first() -> None:
        for kind, version in (("npm", "1.0.0"), ("pypi", "1.0")):
            numbers = await ids(services, first, kind)
            await catalog.delete_packages(services.db, OPERATOR, first, [numbers[version]])

    async def delete_a_file() -> None:
        number = (await ids(services, first, "pypi"))["1.44"]
        file_id: Any = await services.db.fetchval("SELECT id FROM package_files WHERE package_id = $1", number)
        await catalog.delete_file(services.db, OPERATOR, first, number, file_id)

    before = await read(people.client, place)
    for change in (
        publish_here,
        publish_versions_again_in_another_project,
        deprecate,
        take_it_back,
        delete_the_first,
        delete_a_file,
    ):
        await change()
        after = await read(people.client, place)

        assert after == await read_anew(services, database_url, place)
        assert after != before or change is publish_versions_again_in_another_project
        before = after


@pytest.mark.parametrize(
    ("module", "function", "path"),
    [(package_files, "list_file_marks", "pypi/simple/large/"), (packages, "find_outline", "npm/large")],
)
async def test_a_page_whose_rows_change_while_it_is_read_is_read_again_as_of_one_moment(
    services: Services,
    database_url: str,
    people: People,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    function: str,
    path: str,
) -> None:
    project = await people.project(visibility="private")
    place = f"projects/{project.id}"

    async def publish(number: int) -> None:
        await seed.pypi_files(services.db, project, "large", 1, first=number)
        await seed.npm_versions(services.db, project, "large", 1, first=number)

    for number in range(3):
        await publish(number)
    await read(people.client, place)
    await publish(3)
    find: Any = getattr(module, function)
    moments: list[str] = []

    async def find_and_lose(db: Db, *arguments: Any) -> object:
        """The newest version is found, and gone before its row is read."""
        found: object = await find(db, *arguments)
        moments.append(await db.fetchval("SHOW transaction_isolation"))
        if len(moments) == 1:
            for kind in ("pypi", "npm"):
                numbers = await ids(services, project, kind)
                await catalog.delete_packages(services.db, OPERATOR, project, [max(numbers.values())])
        return found

    monkeypatch.setattr(module, function, find_and_lose)
    response = await people.client.get(
        f"/api/v4/{place}/packages/{path}", headers={"Accept": PAGES[0][1], "PRIVATE-TOKEN": ROOT_TOKEN}
    )

    assert 200 == response.status
    assert ["read committed", "repeatable read"] == moments
    document = orjson.loads(await response.read())
    assert {"1.0", "1.1", "1.2"} == set(document["versions"]) or ["1.0.0", "1.0.1", "1.0.2"] == [*document["versions"]]
    monkeypatch.undo()
    assert await read(people.client, place) == await read_anew(services, database_url, place)


async def test_a_version_that_is_deprecated_while_it_is_read_is_read_again(
    services: Services, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = await people.project(visibility="private")
    await seed.npm_versions(services.db, project, "large", 1)
    find = packages.find_outline
    moments: list[str] = []

    async def find_and_deprecate(db: Db, *arguments: Any) -> Outline | None:
        found = await find(db, *arguments)
        moments.append(await db.fetchval("SHOW transaction_isolation"))
        if len(moments) == 1:
            await catalog.deprecate(services.db, OPERATOR, project, "npm", "large", {"1.0.0": "old"})
        return found

    monkeypatch.setattr(packages, "find_outline", find_and_deprecate)
    response = await people.client.get(
        f"/api/v4/projects/{project.id}/packages/npm/large/latest", headers={"PRIVATE-TOKEN": ROOT_TOKEN}
    )

    assert "old" == (await response.json())["deprecated"]
    assert ["read committed", "repeatable read"] == moments
