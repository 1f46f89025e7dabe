"""Stages through the management API: who may do what, what is told, and that nobody else sees a thing."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from yarl import URL

from registry.access import AccessLevel
from registry.model import Group, Project
from registry.services import Services
from tests.api.asking import ABSENT_STAGE, MISSING_RIGHTS, NO_PROJECT, NOT_SIGNED_IN, call, events, links
from tests.formats.npm.transcripts import a_publication, encoded, send, tarball_of
from tests.formats.npm.transcripts import path as npm_path
from tests.formats.npm.transcripts import publish as npm_publish
from tests.formats.pypi.pages import base as pypi_base
from tests.formats.pypi.pages import page, put, sha256
from tests.people import People, Person
from tests.staging import ask, open_stage, stage_file, stage_version, stages_of

WHEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture
async def group(people: People) -> Group:
    return await people.group("acme", visibility="public")


@pytest.fixture
async def project(people: People, group: Group) -> Project:
    return await people.project(group, visibility="public")


@pytest.fixture
async def developer(people: People, project: Project) -> Person:
    return await people.member(project, AccessLevel.DEVELOPER)


def base(project: Project) -> str:
    return stages_of(project).removeprefix("/api/v4")


async def test_a_developer_opens_fills_looks_at_promotes_and_drops_stages(
    people: People, services: Services, project: Project, developer: Person
) -> None:
    stage = await open_stage(developer, project, title="the big one")
    stage_id = stage["id"]
    address = f"{services.settings.base_url}/api/v4/projects/{project.id}/packages/pypi/stages/{stage_id}"
    name = (await call(developer, "GET", "/user"))[1]["username"]
    times = [stage.pop(key) for key in ("created_at", "expires_at")]
    assert {
        "id": stage_id, "project_id": project.id, "package_type": "pypi", "title": "the big one", "sealed": False,
        "state": "open", "author": name, "promoted_at": None, "upload_url": address,
        "preview_url": f"{address}/simple/", "files": [], "packages": [],
    } == stage  # fmt: skip
    assert UUID(stage_id).version == 4
    assert all(WHEN.fullmatch(time) for time in times)

    for version in ("1.0", "2.0"):
        assert (201, '{"message":"201 Created"}') == await stage_file(developer, project, stage, version)
    _, shown = await ask(developer, "GET", project, f"/{stage_id}")
    first, second = shown["files"]
    assert WHEN.fullmatch(first.pop("created_at"))
    assert {
        "id": first["id"], "name": "demo", "version": "1.0", "file_name": "demo-1.0.tar.gz", "size": 15,
        "file_sha256": sha256(b"demo-1.0.tar.gz"), "author": name,
    } == first  # fmt: skip
    assert (204, None) == await ask(developer, "DELETE", project, f"/{stage_id}/files/{second['id']}")
    assert ABSENT_STAGE == await ask(developer, "DELETE", project, f"/{stage_id}/files/{second['id']}")

    status, promoted = await ask(developer, "POST", project, f"/{stage_id}/promote")
    ((package,), files) = promoted["packages"], promoted["files"]
    assert (200, "promoted", [], "demo", "1.0") == (
        status, promoted["state"], files, package["name"], package["version"],
    )  # fmt: skip
    status, found = await call(developer, "GET", f"/projects/{project.id}/packages/{package['id']}")
    assert (200, "demo", "1.0") == (status, found["name"], found["version"])
    assert (200, promoted) == await ask(developer, "GET", project, f"/{stage_id}")
    assert (200, promoted) == await ask(developer, "POST", project, f"/{stage_id}/promote")
    closed = (409, {"message": "409 Conflict - The stage is promoted"})
    assert closed == await ask(developer, "DELETE", project, f"/{stage_id}")

    other = await open_stage(developer, project, "npm")
    empty = (409, {"message": "409 Conflict - The stage is empty"})
    assert empty == await ask(developer, "POST", project, f"/{other['id']}/promote")
    assert (204, None) == await ask(developer, "DELETE", project, f"/{other['id']}")
    assert (404, {"message": "404 Stage Not Found"}) == await ask(developer, "GET", project, f"/{other['id']}")
    assert [
        "package_stage_created", "package_file_staged", "package_file_staged", "package_file_unstaged",
        "package_stage_promoted", "package_published", "package_stage_created", "package_stage_dropped",
    ] == (await events(services))[-8:]  # fmt: skip


async def test_stages_are_listed_newest_first_by_page_type_and_state(project: Project, developer: Person) -> None:
    ids = [(await open_stage(developer, project, kind))["id"] for kind in ("pypi", "npm", "pypi")]
    await stage_version(developer, project, "widget", "1.0.0")

    async def listed(query: str) -> list[str]:
        status, found = await call(developer, "GET", f"{base(project)}{query}")
        assert 200 == status, found
        return [stage["id"] for stage in found]

    newest, *rest = await listed("")
    assert [ids[2], ids[1], ids[0]] == rest
    assert [newest, ids[1]] == await listed("?package_type=npm")
    assert [] == await listed("?state=promoted")
    answer = await developer.get(f"{stages_of(project)}?per_page=3&page=2")
    assert ([ids[0]], "4", "2") == (
        [stage["id"] for stage in await answer.json()], answer.headers["X-Total"], answer.headers["X-Total-Pages"],
    )  # fmt: skip
    assert {"prev", "first", "last"} == set(links(answer))


async def test_what_cannot_be_is_refused(project: Project, developer: Person) -> None:
    for values, status, text in (
        ({}, 400, "package_type is missing"),
        ({"package_type": "maven"}, 400, "package_type does not have a valid value"),
        ({"package_type": "npm", "title": "x" * 256}, 400, "is too long"),
        ({"package_type": "npm", "title": "a\nb"}, 400, "holds control characters"),
    ):
        answer = await developer.ask("POST", stages_of(project), json=values)
        assert (status, True) == (answer.status, text in await answer.text()), (values, await answer.text())
    for nothing in ("1", "x" * 300, "00000000-0000-4000-8000-000000000000"):
        answer = await developer.get(URL(f"{stages_of(project)}/{nothing}", encoded=True))
        assert 404 == answer.status, nothing
    assert (200, []) == await ask(developer, "GET", project)


async def test_stages_are_for_those_who_may_publish(people: People, project: Project, developer: Person) -> None:
    stage = await open_stage(developer, project)
    await stage_file(developer, project, stage, "1.0")
    reporter = await people.member(project, AccessLevel.REPORTER)
    reading, writing = [await people.deploy_token(project, f"{what}_package_registry") for what in ("read", "write")]
    private = await people.project()
    for rest in ("", f"/{stage['id']}"):
        assert NOT_SIGNED_IN == await ask(people.anonymous, "GET", project, rest)
        assert MISSING_RIGHTS == await ask(reporter, "GET", project, rest)
        assert 403 == (await ask(reading, "GET", project, rest))[0]
        assert 200 == (await ask(writing, "GET", project, rest))[0]
        assert NO_PROJECT == await ask(developer, "GET", private, rest)
    for method, rest in (("POST", "/promote"), ("DELETE", "")):
        assert MISSING_RIGHTS == await ask(reporter, method, project, f"/{stage['id']}{rest}")
    assert 403 == (await stage_file(reporter, project, stage, "2.0"))[0]
    assert 201 == (await stage_file(writing, project, stage, "2.0"))[0]


async def test_a_stage_is_nowhere_but_in_its_project_and_its_format(
    people: People, project: Project, developer: Person
) -> None:
    stage = await open_stage(developer, project)
    await stage_file(developer, project, stage, "1.0")
    other = await people.project(visibility="public")
    elsewhere = [f"{pypi_base(other)}/stages/{stage['id']}/simple/demo/"]
    elsewhere.append(str(npm_path(project, f"-/stages/{stage['id']}/demo")))
    elsewhere.append(str(npm_path(project, f"-/stage/{stage['id']}")))
    for path in elsewhere:
        assert 404 == (await people.root.get(path)).status, path
    assert 404 == (await ask(people.root, "POST", other, f"/{stage['id']}/promote"))[0]
    for method, rest in (("POST", "/approve"), ("DELETE", "")):
        assert 404 == (await people.root.ask(method, npm_path(project, f"-/stage/{stage['id']}{rest}"))).status
    assert ["demo"] == [file["name"] for file in (await ask(developer, "GET", project, f"/{stage['id']}"))[1]["files"]]


async def everything_shown(person: Person, project: Project, group: Group) -> dict[str, Any]:
    """What anybody may learn about `demo` and `@acme/widget`, by address: status and text, without what varies."""
    file, tarball = "demo-2.0.tar.gz", "@acme/widget/-/widget-2.0.0.tgz"
    paths: list[str | URL] = []
    for place, api in ((project, f"/api/v4/projects/{project.id}"), (group, f"/api/v4/groups/{group.id}")):
        paths += [f"{pypi_base(place)}/simple/", f"{pypi_base(place)}/simple/demo/", f"{pypi_base(place)}/simple/new/"]
        paths += [f"{pypi_base(place)}/files/{sha256(file.encode())}/{file}", f"{api}/packages"]
        paths += [f"{api}/packages?package_name=demo", f"{api}/packages?order_by=version"]
    for level in (project, group, None):
        for rest in (encoded("@acme/widget"), encoded("@acme/new"), tarball, "@acme/widget/2.0.0",
                     "-/v1/search?text=widget", "-/v1/search?text=new", "-/package/@acme%2fwidget/dist-tags",
                     "-/package/@acme%2fnew/dist-tags"):  # fmt: skip
            paths.append(npm_path(level, rest))
    found = {}
    for path in paths:
        answer = await person.get(path)
        # When it was downloaded, and when the search was made.
        found[str(path)] = (
            answer.status,
            re.sub(r'"(last_downloaded_at|time)":("[^"]*"|null)', "", await answer.text()),
        )
    return found


async def test_what_is_staged_is_nowhere_to_be_seen_until_it_is_promoted_and_gone_when_it_is_dropped(
    people: People, services: Services, group: Group, project: Project, developer: Person
) -> None:
    await put(developer, project, "demo", "1.0")
    await npm_publish(developer, project, "@acme/widget", "1.0.0")
    reporter = await people.member(project, AccessLevel.REPORTER)
    before = [await everything_shown(person, project, group) for person in (people.anonymous, reporter, developer)]

    for _ in range(2):
        stage = await open_stage(developer, project)
        for name, version in (("demo", "2.0"), ("new", "1.0")):
            assert 201 == (await stage_file(developer, project, stage, version, name=name))[0]
        for name, version in (("@acme/widget", "2.0.0"), ("@acme/new", "1.0.0")):
            assert 201 == (await stage_version(developer, project, name, version, tag="beta"))[0]
        after = [await everything_shown(person, project, group) for person in (people.anonymous, reporter, developer)]
        for was, now in zip(before, after, strict=True):
            changed = {path for path in was if was[path] != now[path]}
            # A name that is staged is asked of nobody else any more: the one thing that is told.
            assert changed <= {path for path in was if path.endswith("/simple/new/")}, changed
            assert {404} >= {now[path][0] for path in changed}
        for staged in (await ask(developer, "GET", project))[1]:
            assert (204, None) == await ask(developer, "DELETE", project, f"/{staged['id']}")
    assert [] == await services.db.fetch("SELECT id FROM staged_files")
    assert [0, 0] == list((await services.db.fetchrow(
        "SELECT count(*) FILTER (WHERE state = 'stored') - 2, count(*) - 10 FROM blobs"
    )) or ())  # fmt: skip


async def test_a_staged_name_is_not_asked_of_the_public_index(project: Project, developer: Person) -> None:
    assert 302 == (await developer.get(f"{pypi_base(project)}/simple/demo/")).status
    assert 302 == (await developer.get(npm_path(project, "widget"))).status
    await stage_file(developer, project, await open_stage(developer, project), "1.0")
    await stage_version(developer, project, "widget", "1.0.0")
    assert 404 == await page(developer, project, "demo")
    assert 404 == (await developer.get(npm_path(project, "widget"))).status


async def test_a_preview_is_for_who_may_read_the_project_and_knows_the_id(people: People) -> None:
    for visibility, expected in (("public", (200, 200)), ("private", (401, 404))):
        project = await people.project(visibility=visibility)
        developer = await people.member(project, AccessLevel.DEVELOPER)
        stage = await open_stage(developer, project)
        await stage_file(developer, project, stage, "1.0")
        preview = f"{URL(stage['preview_url']).relative()}demo/"
        outsider = await people.user()
        assert expected == ((await people.anonymous.get(preview)).status, (await outsider.get(preview)).status)
        answer = await developer.get(preview)
        assert ("private, no-cache", "no-referrer") == (
            answer.headers["Cache-Control"], answer.headers["Referrer-Policy"],
        )  # fmt: skip
        await ask(developer, "DELETE", project, f"/{stage['id']}")
        assert 404 == (await developer.get(preview)).status


async def test_an_expired_stage_is_gone_before_the_janitor_comes(
    services: Services, project: Project, developer: Person
) -> None:
    stage = await open_stage(developer, project)
    await stage_file(developer, project, stage, "1.0")
    preview = f"{URL(stage['preview_url']).relative()}demo/"
    assert 200 == (await developer.get(preview)).status
    await services.db.execute("UPDATE stages SET expires_at = now() + interval '1 second'")
    await put(developer, project, "another", "1.0")
    assert 200 == (await developer.get(preview)).status
    await services.db.execute("SELECT pg_sleep(1.1)")
    assert 404 == (await developer.get(preview)).status
    assert 404 == (await ask(developer, "GET", project, f"/{stage['id']}"))[0]
    assert (200, []) == await ask(developer, "GET", project)


async def test_the_settings_of_a_group_decide_for_its_projects(
    people: People, group: Group, project: Project, developer: Person
) -> None:
    values = {"package_stages_required": True, "package_stages_four_eyes": True, "package_stage_days": 2}
    assert 200 == (await call(people.root, "PUT", f"/groups/{group.id}", json=values))[0]
    answer = await developer.upload(project, "demo-1.0.tar.gz", b"x", name="demo", version="1.0")
    assert (403, True) == (answer.status, "through stages only" in await answer.text())
    document = a_publication("@acme/widget", "1.0.0")
    answer = await send(developer, project, document)
    assert (403, True) == (answer.status, "through stages only" in await answer.text())
    stage = await open_stage(developer, project)
    assert 48 == round((_time(stage["expires_at"]) - _time(stage["created_at"])) / 3600)
    await stage_file(developer, project, stage, "1.0")
    words = "403 Forbidden - who staged a file may not promote it: somebody else has to"
    assert (403, {"message": words}) == await ask(developer, "POST", project, f"/{stage['id']}/promote")
    second = await people.member(project, AccessLevel.DEVELOPER)
    assert 200 == (await ask(second, "POST", project, f"/{stage['id']}/promote"))[0]
    for wrong in ({"package_stage_days": 0}, {"package_stage_days": 366}, {"package_stages_required": "perhaps"}):
        assert 400 == (await call(people.root, "PUT", f"/groups/{group.id}", json=wrong))[0]


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


# --- all or nothing ---------------------------------------------------------------------------------------------------

ROUNDS, VERSIONS, NAMES = 4, 3, ("one", "two")


async def test_a_reader_who_never_rests_sees_all_of_a_promotion_or_nothing(
    people: People, project: Project, developer: Person
) -> None:
    """Pages of two names, read by turns: versions come in whole rounds, and never to one name before the other."""
    seen: list[int] = []
    promoted = asyncio.Event()

    async def read() -> None:
        last = 0
        while not promoted.is_set() or last < ROUNDS * VERSIONS:
            for name in NAMES:
                found = await page(people.anonymous, project, name)
                number = 0 if isinstance(found, int) else len(found)
                assert 0 == number % VERSIONS, (name, found)
                assert number >= last, (name, number, last)
                last = number
                seen.append(number)

    readers = [asyncio.create_task(read()) for _ in range(3)]
    for number in range(ROUNDS):
        stage = await open_stage(developer, project)
        for name in NAMES:
            for minor in range(VERSIONS):
                assert 201 == (await stage_file(developer, project, stage, f"{number}.{minor}", name=name))[0]
        assert 200 == (await ask(developer, "POST", project, f"/{stage['id']}/promote"))[0]
    promoted.set()
    async with asyncio.timeout(30):
        await asyncio.gather(*readers)
    assert len(seen) > 2 * ROUNDS
    assert ROUNDS * VERSIONS == seen[-1]


async def test_several_npm_packages_are_promoted_at_once(people: People, project: Project, developer: Person) -> None:
    stage = await open_stage(developer, project, "npm")
    documents = [a_publication(f"@acme/{name}", "1.0.0") for name in NAMES]
    for document in documents:
        url = URL(f"{stage['upload_url']}{encoded(document['name'])}", encoded=True).relative()
        answer = await developer.ask("PUT", url, json=document)
        assert 200 == answer.status, await answer.text()
    over = asyncio.Event()

    async def read() -> set[tuple[int, ...]]:
        found = set()
        while not over.is_set():
            # Who sees the first sees the second, which is asked for later.
            pair = [(await people.anonymous.get(npm_path(project, encoded(f"@acme/{name}")))).status for name in NAMES]
            found.add(tuple(pair))
        return found

    reader = asyncio.create_task(read())
    status, body = await ask(developer, "POST", project, f"/{stage['id']}/promote")
    assert (200, [f"@acme/{name}" for name in NAMES]) == (status, [one["name"] for one in body["packages"]])
    over.set()
    assert (200, 404) not in await reader
    for document in documents:
        found = await people.anonymous.get(npm_path(project, f"{document['name']}/-/{document['name']}-1.0.0.tgz"))
        assert (200, tarball_of(document)) == (found.status, await found.read())
