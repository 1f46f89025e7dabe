"""A third format is one more value of `Format`: this one lives here, and the kernel does not know of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from registry import app, catalog
from registry.access import Ability, AccessLevel
from registry.db import package_files, packages
from registry.documents import Page
from registry.errors import Conflict, FileNotFound, Forbidden, NotFound, RegistryError, Unauthenticated
from registry.model import Group
from registry.server import bodies, files, responses
from registry.server.context import Context
from registry.server.routes import READABLE, Face, Format, Route
from registry.services import Services
from tests import inventory
from tests.conftest import ProductionServer
from tests.people import People, Person


def say(_request: web.BaseRequest, error: RegistryError) -> web.Response:
    return web.Response(status=error.status, text=f"no: {error.text}")


async def publish(context: Context) -> web.StreamResponse:
    """`PUT <name>/<version>`: the body is a note, one file per version."""
    name, version = context.params["name"], context.params["version"]
    async with context.services.ingest.upload(limit=context.file_limit, algorithms=frozenset()) as upload:
        async for chunk in bodies.chunks(context.request):
            await upload.write(chunk)
        blob = await upload.finish()
        publication = catalog.Publication(
            package_type="notes",
            name=name,
            normalized_name=name.lower(),
            version=version,
            file_name=f"{version}.txt",
            blob=blob,
            one_file=True,
        )
        try:
            published = await catalog.publish(context.services.db, context.author, context.project, publication)
        except Conflict as error:
            raise Forbidden(f"{name} {version} is written already") from error
        if published.outcome == "created":
            upload.keep()
    return responses.json({"id": published.package_id}, status=201)


async def index(context: Context) -> web.StreamResponse:
    """`GET <name>`: one line per version."""
    name = context.params["name"].lower()
    serials = await context.services.lookups.serials("notes", name, context.target.projects)
    if not serials.exists:
        raise NotFound

    async def render() -> Page:
        rows = await package_files.list_files(context.services.db, "notes", name, context.target.projects)
        lines = [f"{row.version} {row.sha256} {context.base_url}/{name}/{row.version}\n" for row in rows]
        return Page("".join(lines).encode(), "text/plain")

    return await responses.document(context, ("notes", context.base_url, name, serials.pairs), render)


async def download(context: Context) -> web.StreamResponse:
    name, file_name = context.params["name"].lower(), f"{context.params['version']}.txt"
    file = await package_files.find_named_file(context.services.db, "notes", name, context.target.projects, file_name)
    if file is None:
        raise FileNotFound
    return await files.send(context, file)


async def delete(context: Context) -> web.StreamResponse:
    ids = await packages.list_package_ids(
        context.services.db, context.project.id, "notes", context.params["name"].lower(), [context.params["version"]]
    )
    await catalog.delete_packages(context.services.db, context.author, context.project, ids)
    return web.Response(status=204)


NOTES = Format(
    package_type="notes",
    file_limit=1000,
    face=Face(render=say, unknown=NotFound, hidden=Unauthenticated, lacking=Unauthenticated),
    routes=(
        Route("PUT", "/{name}/{version}", publish, Ability.CREATE_PACKAGE),
        Route("DELETE", "/{name}/{version}", delete, Ability.DESTROY_PACKAGE),
        Route("GET", "/{name}", index, Ability.READ_PACKAGE, READABLE),
        Route("GET", "/{name}/{version}", download, Ability.READ_PACKAGE, READABLE),
    ),
)


@pytest.fixture
async def server(services: Services) -> AsyncIterator[TestServer]:
    """The usual application with one more format on its table."""
    table = app.routes()
    table.mount(NOTES)
    server = ProductionServer(app.make_app(services, table=table), host="127.0.0.1")
    await server.start_server()
    object.__setattr__(services.settings, "external_url", f"http://127.0.0.1:{server.port}")
    yield server
    await server.close()


@pytest.fixture
async def group(people: People) -> Group:
    return await people.group("acme", visibility="public")


async def told(person: Person, method: str, path: str, **options: bytes) -> tuple[int, str]:
    response = await person.ask(method, path, **options)
    return response.status, await response.text()


@pytest.mark.parametrize("storage_url", ["local", "s3"], indirect=True)
async def test_it_publishes_lists_serves_and_deletes(people: People, client: TestClient, group: Group) -> None:
    project = await people.project(group, visibility="public")
    maintainer = await people.member(project, AccessLevel.MAINTAINER)
    base, below = f"/api/v4/projects/{project.id}/packages/notes", f"/api/v4/groups/{group.id}/-/packages/notes"

    assert 201 == (await told(maintainer, "PUT", f"{base}/Diary/1", data=b"dear diary"))[0]
    assert 201 == (await told(maintainer, "PUT", f"{base}/Diary/2", data=b"again"))[0]
    assert (403, "no: Diary 2 is written already") == await told(maintainer, "PUT", f"{base}/Diary/2", data=b"other")
    assert (200, "dear diary") == await told(people.anonymous, "GET", f"{base}/diary/1")
    for place in (base, below):
        listed = await people.anonymous.get(f"{place}/diary")
        lines = [line.split() for line in (await listed.text()).splitlines()]
        assert [["1", str(client.make_url(f"{place}/diary/1"))], ["2", str(client.make_url(f"{place}/diary/2"))]] == [
            [line[0], line[2]] for line in lines
        ]
        again = await people.anonymous.get(f"{place}/diary", headers={"If-None-Match": listed.headers["ETag"]})
        assert (304, "no-cache") == (again.status, again.headers["Cache-Control"])

    assert 204 == (await told(maintainer, "DELETE", f"{base}/diary/1"))[0]

    assert 404 == (await told(people.anonymous, "GET", f"{base}/diary/1"))[0]
    assert 1 == len((await told(people.anonymous, "GET", f"{below}/diary"))[1].splitlines())
    assert (("Diary", "2", "2.txt"),) == (await inventory.take(people.services)).files


async def test_the_kernel_keeps_its_access_rules_and_limits(people: People, group: Group) -> None:
    project = await people.project(group, visibility="private")
    persons = {
        "anonymous": people.anonymous,
        "outsider": await people.user(),
        "reporter": await people.member(project, AccessLevel.REPORTER),
        "developer": await people.member(project, AccessLevel.DEVELOPER),
        "write token": await people.deploy_token(project, "write_package_registry"),
    }
    base = f"/api/v4/projects/{project.id}/packages/notes"

    seen = {
        who: (
            (await told(person, "PUT", f"{base}/diary/{number}", data=b"x"))[0],
            (await told(person, "GET", f"{base}/diary"))[0],
            (await told(person, "DELETE", f"{base}/diary/{number}"))[0],
        )
        for number, (who, person) in enumerate(persons.items())
    }

    assert {
        "anonymous": (401, 401, 401),
        "outsider": (404, 404, 404),
        "reporter": (403, 404, 403),
        "developer": (201, 200, 403),
        "write token": (201, 200, 204),
    } == seen
    developer = persons["developer"]
    assert (413, "no: File is too large: the limit is 1000 bytes") == await told(
        developer, "PUT", f"{base}/diary/9", data=b"x" * 1001
    )
    assert (404, "no: 404 Not Found") == await told(developer, "GET", f"{base}/diary/1/2/3")
    assert (405, "no: 405 Method Not Allowed") == await told(developer, "PATCH", f"{base}/diary")
    assert (401, "no: 401 Unauthorized") == await told(people.anonymous, "GET", f"{base}/diary?private_token=wrong")


async def test_formats_do_not_see_each_other(people: People, group: Group) -> None:
    project = await people.project(group, visibility="public")
    base = f"/api/v4/projects/{project.id}/packages"
    await told(people.root, "PUT", f"{base}/notes/widget/1.0.0", data=b"x")

    assert 302 == (await told(people.root, "GET", f"{base}/npm/widget"))[0]
    assert 302 == (await told(people.root, "GET", f"{base}/pypi/simple/widget/"))[0]
