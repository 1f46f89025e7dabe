"""Stages of PyPI: what an upload to one is told, and the index that shows it beside what is released."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from yarl import URL

from registry import staging, standings
from registry.model import Project
from tests.formats.pypi.pages import V1_JSON, base, links, put, set_settings, sha256
from tests.people import OPERATOR, People, Person
from tests.staging import ask, open_stage, stage_file

STAGED = "is in a stage: promote or drop that first"


@pytest.fixture
async def stage(project: Project, developer: Person) -> dict[str, Any]:
    return await open_stage(developer, project)


def preview(stage: dict[str, Any], rest: str = "") -> str:
    return f"{URL(stage['preview_url']).relative()}{rest}"


async def document(person: Person, path: str) -> dict[str, Any]:
    answer = await person.get(path, headers={"Accept": V1_JSON})
    assert (200, V1_JSON) == (answer.status, answer.headers["Content-Type"]), await answer.text()
    found: dict[str, Any] = await answer.json(content_type=None)
    return found


async def test_a_preview_has_released_files_beside_staged_ones_in_both_forms(
    people: People, project: Project, developer: Person, stage: dict[str, Any]
) -> None:
    await put(developer, project, "Demo", "1.0", requires_python=">=3.8")
    await put(developer, project, "released", "1.0")
    await stage_file(developer, project, stage, "2.0", name="demo")
    await stage_file(developer, project, stage, "1.0", name="New.Name")
    anyone = people.anonymous

    index = await document(anyone, preview(stage))
    assert ["demo", "new-name", "released"] == sorted(
        one["name"].lower().replace(".", "-") for one in index["projects"]
    )
    anchors = await anyone.get(preview(stage))
    assert ["Demo", "New.Name", "released"] == await links(anchors)

    found = await document(anyone, preview(stage, "demo/"))
    assert ["1.0", "2.0"] == found["versions"]
    first, second = found["files"]
    assert ("Demo-1.0.tar.gz", ">=3.8", "demo-2.0.tar.gz", 15) == (
        first["filename"], first["requires-python"], second["filename"], second["size"],
    )  # fmt: skip
    text = await (await anyone.get(preview(stage, "demo/"))).text()
    hrefs = [html.unescape(one) for one in re.findall(r'href="([^"]+)"', text)]
    assert [f"{one['url']}#sha256={one['hashes']['sha256']}" for one in found["files"]] == hrefs
    assert f"/stages/{stage['id']}/files/" in second["url"]
    for file in found["files"]:
        answer = await anyone.get(str(URL(preview(stage, "demo/")).join(URL(file["url"])).relative()))
        content = await answer.read()
        assert (200, file["hashes"]["sha256"], file["size"]) == (answer.status, sha256(content), len(content))

    before = await anyone.get(preview(stage, "demo/"))
    unchanged = await anyone.get(preview(stage, "demo/"), headers={"If-None-Match": before.headers["ETag"]})
    assert 304 == unchanged.status
    await stage_file(developer, project, stage, "3.0", name="demo")
    changed = await anyone.get(preview(stage, "demo/"), headers={"If-None-Match": before.headers["ETag"]})
    assert ["Demo-1.0.tar.gz", "demo-2.0.tar.gz", "demo-3.0.tar.gz"] == await links(changed)


async def test_files_of_a_preview_belong_to_it_alone(
    people: People, project: Project, developer: Person, stage: dict[str, Any]
) -> None:
    await stage_file(developer, project, stage, "1.0")
    file = f"files/{sha256(b'demo-1.0.tar.gz')}/demo-1.0.tar.gz"
    other = await open_stage(developer, project)
    own = f"{base(project)}/stages/{stage['id']}/{file}"
    assert 200 == (await people.anonymous.get(own)).status
    ranged = await people.anonymous.get(own, headers={"Range": "bytes=0-3"})
    assert (206, b"demo") == (ranged.status, await ranged.read())
    head = await people.anonymous.ask("HEAD", own)
    assert (200, "15") == (head.status, head.headers["Content-Length"])
    for path in (f"{base(project)}/stages/{other['id']}/{file}", f"{base(project)}/{file}"):
        assert 404 == (await people.anonymous.get(path)).status
    assert 404 == (await people.anonymous.get(own.replace("demo-1.0", "demo-2.0"))).status


async def test_a_quarantined_name_is_closed_in_a_preview_too(
    people: People, project: Project, developer: Person, stage: dict[str, Any]
) -> None:
    await put(developer, project, "demo", "1.0")
    for name, version in (("demo", "2.0"), ("staged", "1.0")):
        await stage_file(developer, project, stage, version, name=name)
    before = {name: await document(people.anonymous, preview(stage, f"{name}/")) for name in ("demo", "staged")}
    for name, shown in before.items():
        assert {"status": "active"} == shown["project-status"]
        await standings.set_status(
            people.services.db, OPERATOR, project, "pypi", name, status="quarantined", reason="malware"
        )

        after = await document(people.anonymous, preview(stage, f"{name}/"))
        html = await (await people.anonymous.get(preview(stage, f"{name}/"))).text()
        downloads = [(await people.anonymous.get(URL(one["url"]).relative())).status for one in shown["files"]]

        assert ({"status": "quarantined", "reason": "malware"}, []) == (after["project-status"], after["files"])
        assert (True, False) == ('content="quarantined"' in html, "<a " in html)
        assert [403] * len(shown["files"]) == downloads
    await standings.set_status(people.services.db, OPERATOR, project, "pypi", "demo", status="active", reason=None)
    assert before["demo"] == await document(people.anonymous, preview(stage, "demo/"))


async def test_what_a_preview_does_not_have_is_the_projects_matter(
    people: People, project: Project, developer: Person, stage: dict[str, Any]
) -> None:
    await put(developer, project, "released", "1.0")
    assert ["released-1.0.tar.gz"] == await links(await developer.get(preview(stage, "released/")))
    forwarded = await developer.get(preview(stage, "unknown/"))
    assert (302, "no-referrer") == (forwarded.status, forwarded.headers["Referrer-Policy"])
    assert stage["id"] not in forwarded.headers["Location"]
    await set_settings(people, project, pypi_package_requests_forwarding=False)
    assert 404 == (await developer.get(preview(stage, "unknown/"))).status


async def test_an_upload_is_checked_like_any_other_and_leaves_nothing_when_refused(
    people: People, project: Project, developer: Person, stage: dict[str, Any]
) -> None:
    await put(developer, project, "demo", "1.0")
    assert (201, True) == ((done := await stage_file(developer, project, stage, "2.0"))[0], "201 Created" in done[1])
    assert 201 == (await stage_file(developer, project, stage, "2.0"))[0]
    other = await open_stage(developer, project)
    for where, version, content, status, words in (
        (stage, "1.0", b"", 400, "already exists"),
        (stage, "2.0", b"other", 403, f"demo-2.0.tar.gz is in stage {stage['id']}"),
        (other, "2.0", b"", 403, f"demo-2.0.tar.gz is in stage {stage['id']}"),
        (stage, "not a version", b"", 400, "ersion"),
    ):
        told = await stage_file(developer, project, where, version, content=content)
        assert (status, True) == (told[0], words in told[1]), told
    answer = await developer.upload(project, "demo-2.0.tar.gz", b"demo-2.0.tar.gz", name="demo", version="2.0")
    assert (403, True) == (answer.status, STAGED in await answer.text())
    npm = await open_stage(developer, project, "npm")
    wrong = {"upload_url": stage["upload_url"].replace(stage["id"], npm["id"])}
    assert 404 == (await stage_file(developer, project, wrong, "3.0"))[0]
    rows = await people.services.db.fetch("SELECT state FROM blobs WHERE state <> 'doomed'")
    assert ["stored", "stored"] == [row["state"] for row in rows]


async def test_an_upload_to_a_stage_that_takes_none_is_not_taken_for_done(
    project: Project, developer: Person, stage: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """twine 6.1, poetry 2 and pdm with --skip-existing pass over any 409."""
    await stage_file(developer, project, stage, "1.0")
    with monkeypatch.context() as limits:
        limits.setattr(staging, "MAX_FILES", 1)
        status, told = await stage_file(developer, project, stage, "2.0")
        assert (403, True) == (status, "The stage has 1 files: promote it first" in told)
    assert 200 == (await ask(developer, "POST", project, f"/{stage['id']}/promote"))[0]
    status, told = await stage_file(developer, project, stage, "2.0")
    assert (403, True) == (status, "The stage is promoted" in told)
