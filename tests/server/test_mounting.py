"""Mounts: the routes of a project or group at an address of its own, and the same rules as anywhere."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from registry import accounts, mounts
from registry.access import AccessLevel
from registry.errors import InvalidField, Taken
from registry.model import Group, Project
from registry.mounts import Address, parse_address
from registry.services import Services
from tests.formats.npm.transcripts import a_publication, tarball_of
from tests.formats.pypi.pages import put
from tests.people import OPERATOR, People, Person

PYPI, NPM, EVIL = ({"Host": f"{name}.example.test"} for name in ("pypi", "npm", "evil"))
HTML = {"Accept": "text/html"}
JSON = {"Accept": "application/vnd.pypi.simple.v1+json"}


async def mount(services: Services, place: Project | Group, url: str, package_type: str = "") -> int:
    return (await mounts.create_mount(services.db, OPERATOR, place, url=url, package_type=package_type)).id


@pytest.fixture
async def project(people: People) -> Project:
    await accounts.update_settings(
        people.services.db,
        OPERATOR,
        {"pypi_package_requests_forwarding": False, "npm_package_requests_forwarding": False},
    )
    return await people.project(visibility="public")


async def text(person: Person, path: str, **headers: str) -> tuple[int, str]:
    response = await person.get(path, headers=headers)
    return response.status, await response.text()


async def npm_put(person: Person, path: str, name: str, version: str, host: dict[str, str]) -> tuple[int, bytes]:
    document = a_publication(name, version)
    response = await person.ask("PUT", path, json=document, headers=host)
    return response.status, tarball_of(document)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://PyPI.Example.com:443/", Address("https://pypi.example.com", "pypi.example.com", "")),
        ("http://h:8080/a/B.c/", Address("http://h:8080/a/B.c", "h:8080", "/a/B.c")),
        ("http://[::1]:81/x", Address("http://[::1]:81/x", "[::1]:81", "/x")),
        ("/team/python", Address("/team/python", "", "/team/python")),
        ("/", Address("/", "", "")),
    ],
)
def test_an_address_is_a_url_or_a_path(url: str, address: Address) -> None:
    assert address == parse_address(url)
    assert address == parse_address(address.url)


@pytest.mark.parametrize(
    "url",
    ["", "x", "x/y", "ftp://h", "https://", "https://u:p@h", "https://h?x", "https://h/#x", "https://h:99999", "//h/x",
     "https://h/api", "/api/v4", "/-/x", "/a//b", "/a/../b", "/%61", "/a/b/c/d/e", "https://h\n/x", "https://ä.de",
     "http://h:0", "https://a_b\\c", "https://[::1", "https://.a"],
)  # fmt: skip
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidField):
        parse_address(url)


async def test_a_host_and_a_path_serve_the_pages_with_urls_of_their_own(
    people: People, services: Services, project: Project
) -> None:
    content = b"of the wheel"
    await mount(services, project, "https://pypi.example.test", "pypi")
    await mount(services, project, "/team/python")
    await put(people.root, project, "demo", "1.0", "demo-1.0.tar.gz", content)

    base = services.settings.base_url
    for path, headers, root in (
        ("/simple/demo/", PYPI, "https://pypi.example.test"),
        ("/team/python/simple/demo", {}, f"{base}/team/python"),
        (f"/api/v4/projects/{project.id}/packages/pypi/simple/demo", PYPI,
         f"{base}/api/v4/projects/{project.id}/packages/pypi"),
    ):  # fmt: skip
        # Twice: the second answer is repeated from memory.
        for _ in range(2):
            status, body = await text(people.anonymous, path, **headers, **JSON)
            assert 200 == status
            (file,) = json.loads(body)["files"]
            assert file["url"].startswith(f"{root}/files/")
        below = file["url"].removeprefix("https://pypi.example.test").removeprefix(base)
        response = await people.anonymous.get(below, headers=headers)
        assert (200, content) == (response.status, await response.read())
    assert 404 == (await people.anonymous.get("/simple/demo/")).status


async def test_a_host_that_nobody_mounted_is_never_repeated(
    people: People, services: Services, project: Project
) -> None:
    await mount(services, project, "/team")
    await put(people.root, project, "demo", "1.0", "demo-1.0.tar.gz", b"x")
    await npm_put(people.root, "/team/widget", "widget", "1.0.0", {})

    for path in ("/team/simple/demo", "/team/simple", "/team/widget", "/team/nothing", "/simple/demo", "/"):
        headers = {**EVIL, "X-Forwarded-Host": "evil.example.test"}
        response = await people.anonymous.get(path, headers=headers)
        shown = await response.text() + str(response.headers)
        assert "evil" not in shown, path


async def test_the_same_path_is_another_one_at_another_host(people: People, services: Services) -> None:
    """Also when both answers are repeated from memory."""
    ours, theirs = [await people.project(visibility="public") for _ in range(2)]
    for place, host in ((ours, "pypi"), (theirs, "npm")):
        await mount(services, place, f"http://{host}.example.test")
        await put(people.root, place, f"of-{host}", "1.0", f"of_{host}-1.0.tar.gz", host.encode())

    for _ in range(3):
        found = [re.findall(r">([^<]+)</a>", (await text(people.anonymous, "/simple", **host, **HTML))[1])
                 for host in (PYPI, NPM)]  # fmt: skip
        assert [["of-pypi"], ["of-npm"]] == found


async def test_the_next_request_knows_of_a_mount_that_was_made_and_of_one_that_ended(
    people: People, services: Services, project: Project
) -> None:
    await put(people.root, project, "demo", "1.0", "demo-1.0.tar.gz", b"x")
    for _ in range(2):
        assert 404 == (await text(people.anonymous, "/simple/demo", **PYPI))[0]
        mount_id = await mount(services, project, "https://pypi.example.test")
        assert [200, 200] == [(await text(people.anonymous, "/simple/demo", **PYPI))[0] for _ in range(2)]
        await mounts.delete_mount(services.db, OPERATOR, mount_id)
    assert 404 == (await text(people.anonymous, "/simple/demo", **PYPI))[0]


async def test_rights_below_a_mount_are_those_of_the_place(people: People, services: Services) -> None:
    project = await people.project(visibility="private")
    await mount(services, project, "http://npm.example.test")
    reader = await people.member(project, AccessLevel.REPORTER)
    developer = await people.member(project, AccessLevel.DEVELOPER)
    outsider = await people.user()

    async def publish(person: Person) -> int:
        return (await npm_put(person, "/widget", "widget", "1.0.0", NPM))[0]

    assert [401, 404, 403, 200] == [await publish(one) for one in (people.anonymous, outsider, reader, developer)]
    read = [(await text(one, "/widget", **NPM))[0] for one in (people.anonymous, outsider, reader, developer)]
    assert [401, 404, 200, 200] == read


async def test_a_tarball_is_below_the_mount_that_was_asked(
    people: People, services: Services, project: Project
) -> None:
    await mount(services, project, "http://npm.example.test")
    for name, path in (("widget", "/widget"), ("@acme/widget", "/@acme%2fwidget")):
        status, tarball = await npm_put(people.root, path, name, "1.0.0", NPM)
        assert 200 == status
        document: Any = json.loads((await text(people.anonymous, path, **NPM))[1])
        url = document["versions"]["1.0.0"]["dist"]["tarball"]
        assert f"http://npm.example.test/{name}/-/{name}-1.0.0.tgz" == url
        response = await people.anonymous.get(url.removeprefix("http://npm.example.test"), headers=NPM)
        assert tarball == await response.read()
    assert (200, "{}") == await text(people.anonymous, "/-/ping", **NPM)
    assert 200 == (await text(people.anonymous, "/-/package/widget/dist-tags", **NPM))[0]


async def test_where_both_formats_are_pypis_paths_come_first_and_the_servers_own_before_all(
    people: People, services: Services, project: Project
) -> None:
    await mount(services, project, "http://npm.example.test")
    # What could be published and not be read is refused.
    assert 405 == (await npm_put(people.root, "/simple", "simple", "1.0.0", NPM))[0]
    assert 200 == (await npm_put(people.root, "/health", "health", "1.0.0", NPM))[0]
    assert (200, "text/html") == ((await people.root.get("/simple", headers={**NPM, **HTML})).status, "text/html")
    assert 200 == (await text(people.anonymous, "/-/health", **NPM))[0]
    assert "openapi" in (await text(people.anonymous, "/api/openapi.json", **NPM))[1]

    await mount(services, project, "http://pypi.example.test", "npm")
    assert 200 == (await npm_put(people.root, "/simple", "simple", "1.0.0", PYPI))[0]
    assert 200 == (await text(people.anonymous, "/simple", **PYPI))[0]


async def test_one_address_may_serve_each_format_from_another_place(people: People, services: Services) -> None:
    python, node = [await people.project(visibility="public") for _ in range(2)]
    await mount(services, node, "/both")
    await mount(services, python, "/both", "pypi")
    await put(people.root, python, "demo", "1.0", "demo-1.0.tar.gz", b"x")
    assert 200 == (await npm_put(people.root, "/both/widget", "widget", "1.0.0", {}))[0]
    assert [200, 200] == [(await text(people.anonymous, f"/both/{path}"))[0] for path in ("simple/demo", "widget")]
    for package_type in ("", "pypi"):
        with pytest.raises(Taken):
            await mount(services, node, "/both/", package_type)


@pytest.mark.usefixtures("project")
async def test_a_mount_of_the_host_and_a_longer_prefix_go_first(people: People, services: Services) -> None:
    places = {name: await people.project(visibility="public") for name in ("any", "deep", "host")}
    await mount(services, places["any"], "/")
    await mount(services, places["deep"], "/a/b")
    await mount(services, places["host"], "http://npm.example.test/a")
    for name, project in places.items():
        await put(people.root, project, name, "1.0", f"{name}-1.0.tar.gz", name.encode())

    async def names(path: str, **headers: str) -> list[str]:
        return re.findall(r">([^<]+)</a>", (await text(people.anonymous, path, **headers, **HTML))[1])

    assert [["any"], ["deep"], ["host"]] == [await names("/simple"), await names("/a/b/simple"),
                                             await names("/a/simple", **NPM)]  # fmt: skip
    assert 404 == (await text(people.anonymous, "/a/b/simple", **NPM))[0]


async def test_what_is_deleted_takes_its_mounts_along(people: People, services: Services, project: Project) -> None:
    await mount(services, project, "/team")
    assert 200 == (await text(people.anonymous, "/team/simple"))[0]
    assert 202 == (await people.root.ask("DELETE", f"/api/v4/projects/{project.id}")).status
    assert 404 == (await text(people.anonymous, "/team/simple"))[0]
    assert [] == list(await services.lookups.mounts())


async def test_an_error_below_a_mount_looks_as_the_format_says_it(
    people: People, services: Services, project: Project
) -> None:
    await mount(services, project, "/js", "npm")
    await mount(services, project, "/py", "pypi")
    assert {"error": "404 Not Found"} == json.loads((await text(people.anonymous, "/simple"))[1])
    assert {"error", "message"} == set(json.loads((await text(people.anonymous, "/js/-/no/such/route"))[1]))
    assert 405 == (await people.anonymous.ask("POST", "/py/simple")).status
    assert 401 == (await people.anonymous.ask("POST", "/py/legacy/")).status
    assert 401 == (await people.anonymous.ask("POST", "/py/")).status


async def test_a_group_is_read_at_its_mount_and_not_published_to(
    people: People, services: Services, project: Project
) -> None:
    group = await services.lookups.group(str(project.namespace_id))
    assert group is not None
    await mount(services, group, "/group")
    await put(people.root, project, "demo", "1.0", "demo-1.0.tar.gz", b"x")
    assert 200 == (await text(people.anonymous, "/group/simple/demo"))[0]
    assert 405 == (await people.root.ask("POST", "/group/legacy/", data=b"")).status
    assert 404 == (await npm_put(people.root, "/group/widget", "widget", "1.0.0", {}))[0]
