"""Stages of npm: the requests of `npm stage` as they are sent, and the registry that shows what is staged."""

from __future__ import annotations

import json
from typing import Any

from yarl import URL

from registry.access import AccessLevel
from registry.model import Project
from tests.formats.npm.transcripts import (
    ABBREVIATED,
    a_publication,
    encoded,
    packument,
    path,
    publish,
    refused,
    send,
    tarball_of,
    username,
)
from tests.people import People, Person
from tests.staging import open_stage, stage_version

WIDGET = "@acme/widget"


async def staged(person: Person, project: Project, query: str = "") -> dict[str, Any]:
    answer = await person.get(path(project, f"-/stage{query}"))
    assert 200 == answer.status, await answer.text()
    found: dict[str, Any] = await answer.json()
    return found


async def test_a_version_is_staged_listed_shown_fetched_and_approved(project: Project, developer: Person) -> None:
    document = a_publication(WIDGET, "1.0.0", tag="next")
    answer = await developer.ask("POST", path(project, f"-/stage/package/{encoded(WIDGET)}"), json=document)
    told = await answer.json()
    assert 201 == answer.status
    stage_id = told["stageId"]
    assert {
        "stageId": stage_id,
        "status": "pending",
        "name": WIDGET,
        "version": "1.0.0",
        "ok": True,
        "success": True,
    } == told

    found = await staged(developer, project)
    (item,) = found["items"]
    assert {
        "id": stage_id, "packageName": WIDGET, "version": "1.0.0", "tag": "next", "createdAt": item["createdAt"],
        "actor": await username(developer), "actorType": "user", "status": "pending",
        "shasum": document["versions"]["1.0.0"]["dist"]["shasum"],
    } == item  # fmt: skip
    assert (1, item) == (found["total"], await (await developer.get(path(project, f"-/stage/{stage_id}"))).json())
    tarball = await developer.get(path(project, f"-/stage/{stage_id}/tarball"))
    assert (200, tarball_of(document)) == (tarball.status, await tarball.read())

    for _ in range(2):
        approved = await developer.ask("POST", path(project, f"-/stage/{stage_id}/approve"))
        assert (200, {"ok": True, "success": True, "stageId": stage_id, "status": "approved"}) == (
            approved.status, await approved.json(),
        )  # fmt: skip
    assert {"items": [], "total": 0} == await staged(developer, project)
    assert {"next": "1.0.0", "latest": "1.0.0"} == (await packument(developer, project, WIDGET))["dist-tags"]
    for rest in ("", "/tarball"):
        assert 404 == (await developer.get(path(project, f"-/stage/{stage_id}{rest}"))).status


async def test_staged_versions_are_listed_by_package_and_page(project: Project, developer: Person) -> None:
    for name, version in ((WIDGET, "1.0.0"), (WIDGET, "2.0.0"), ("other", "1.0.0")):
        assert 201 == (await stage_version(developer, project, name, version))[0]

    async def listed(query: str) -> tuple[list[tuple[str, str]], int]:
        found = await staged(developer, project, query)
        return [(item["packageName"], item["version"]) for item in found["items"]], found["total"]

    assert ([("other", "1.0.0"), (WIDGET, "2.0.0"), (WIDGET, "1.0.0")], 3) == await listed("")
    assert ([(WIDGET, "2.0.0"), (WIDGET, "1.0.0")], 2) == await listed(f"?package={encoded(WIDGET)}")
    assert ([(WIDGET, "1.0.0")], 3) == await listed("?page=1&perPage=2")


async def test_a_staged_version_is_refused_to_everybody_else_and_a_released_one_is_not_staged(
    people: People, project: Project, developer: Person
) -> None:
    await publish(developer, project, WIDGET, "1.0.0")
    assert 201 == (await stage_version(developer, project, WIDGET, "1.1.0"))[0]
    before = await packument(developer, project, WIDGET)
    status, told = await refused(await send(developer, project, a_publication(WIDGET, "1.1.0")))
    assert (409, True) == (status, "is in a stage: promote or drop that first" in told)
    status, body = await stage_version(developer, project, WIDGET, "1.1.0", description="another")
    assert (409, True) == (status, "is in stage " in body["error"])
    status, body = await stage_version(developer, project, WIDGET, "1.0.0")
    assert (403, True) == (status, "already exists" in body["error"])
    status, body = await stage_version(developer, project, "Not-A-Name!", "1.0.0")
    assert 400 <= status < 500
    document = {key: value for key, value in a_publication(WIDGET, "1.2.0").items() if key != "_attachments"}
    answer = await developer.ask("POST", path(project, f"-/stage/package/{encoded(WIDGET)}"), json=document)
    status, told = await refused(answer)
    assert 400 <= status < 500
    assert before == await packument(developer, project, WIDGET)
    assert 1 == (await staged(developer, project))["total"]
    reporter = await people.member(project, AccessLevel.REPORTER)
    assert 403 == (await stage_version(reporter, project, WIDGET, "1.3.0"))[0]
    assert 403 == (await reporter.get(path(project, "-/stage"))).status


async def test_a_preview_is_a_registry_with_the_versions_of_the_stage(
    people: People, project: Project, developer: Person
) -> None:
    released = await publish(developer, project, WIDGET, "1.0.0")
    stage = await open_stage(developer, project, "npm")
    document = a_publication(WIDGET, "1.1.0", description="staged")
    for sent in (document, a_publication("new", "1.0.0", tag="beta")):
        url = URL(f"{stage['upload_url']}{encoded(sent['name'])}", encoded=True).relative()
        answer = await developer.ask("PUT", url, json=sent)
        assert (200, stage["id"]) == (answer.status, (await answer.json())["stageId"]), await answer.text()

    async def shown(name: str, accept: str = "application/json") -> dict[str, Any]:
        url = URL(f"{stage['preview_url']}{encoded(name)}", encoded=True).relative()
        answer = await people.anonymous.get(url, headers={"Accept": accept})
        assert (200, accept) == (answer.status, answer.headers["Content-Type"]), await answer.text()
        found: dict[str, Any] = json.loads(await answer.read())
        return found

    full, short = await shown(WIDGET), await shown(WIDGET, ABBREVIATED)
    assert (["1.0.0", "1.1.0"], {"latest": "1.1.0"}) == (list(full["versions"]), full["dist-tags"])
    assert (list(full["versions"]), full["dist-tags"]) == (list(short["versions"]), short["dist-tags"])
    assert await username(developer) == full["versions"]["1.1.0"]["_npmUser"]["name"]
    for version, content in (("1.0.0", released), ("1.1.0", tarball_of(document))):
        assert full["versions"][version]["dist"] == short["versions"][version]["dist"]
        url = full["versions"][version]["dist"]["tarball"]
        assert url.startswith(stage["preview_url"])
        answer = await people.anonymous.get(URL(url, encoded=True).relative())
        assert (200, content) == (answer.status, await answer.read())
    new = await shown("new")
    assert {"beta": "1.0.0", "latest": "1.0.0"} == new["dist-tags"]
    assert new["time"]["1.0.0"] == new["time"]["modified"]
    assert {"latest": "1.0.0"} == (await packument(people.anonymous, project, WIDGET))["dist-tags"]

    url = URL(f"{stage['preview_url']}unknown", encoded=True).relative()
    answer = await people.anonymous.get(url)
    assert (302, "no-referrer") == (answer.status, answer.headers["Referrer-Policy"])
    assert stage["id"] not in answer.headers["Location"]
    # What may change after it was looked at is not what `npm stage` is about.
    assert {"items": [], "total": 0} == await staged(developer, project)
    for method, rest in (("GET", ""), ("GET", "/tarball"), ("POST", "/approve"), ("DELETE", "")):
        assert 404 == (await developer.ask(method, path(project, f"-/stage/{stage['id']}{rest}"))).status
