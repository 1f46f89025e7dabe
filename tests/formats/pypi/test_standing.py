from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from registry.access import AccessLevel
from registry.db import package_names
from registry.model import Project
from tests.formats.pypi.pages import V1_JSON, base, delete, page, put
from tests.people import People, Person
from tests.staging import ask, open_stage, stage_file

SDIST, WHEEL = "My.Pkg-1.0.tar.gz", "My.Pkg-1.0-py3-none-any.whl"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
async def maintainer(people: People, project: Project) -> Person:
    return await people.member(project, AccessLevel.MAINTAINER)


async def put_two(person: Person, project: Project) -> None:
    for file_name in (SDIST, WHEEL):
        await put(person, project, "My.Pkg", "1.0", file_name)


async def patch(person: Person, project: Project, path: str, **values: Any) -> tuple[int, Any]:
    answer = await person.ask("PATCH", f"{base(project)}/names/{path}", json=values)
    return answer.status, await answer.json()


async def document(person: Person, project: Project, name: str = "my-pkg") -> Any:
    answer = await person.get(f"{base(project)}/simple/{name}/", headers={"Accept": V1_JSON})
    return await answer.json(content_type=V1_JSON)


async def yanks(person: Person, project: Project) -> dict[str, Any]:
    return {file["filename"]: file["yanked"] for file in (await document(person, project))["files"]}


def standing(file_name: str, *, yanked: bool = False, reason: str | None = None) -> dict[str, Any]:
    return {"file_name": file_name, "version": "1.0", "yanked": yanked, "yanked_reason": reason}


def name(*files: dict[str, Any], status: str = "active", reason: str | None = None) -> dict[str, Any]:
    return {"name": "my-pkg", "status": status, "status_reason": reason, "files": list(files)}


async def events(people: People) -> list[tuple[str, Any]]:
    rows = await people.services.db.fetch(
        "SELECT event_name, details FROM audit_events WHERE event_name ~ 'yank|status' ORDER BY id"
    )
    return [(row["event_name"], {**_json(row["details"])}) for row in rows]


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


async def test_a_yanked_release_is_marked_on_both_pages_until_it_is_taken_back(
    people: People, project: Project, developer: Person, maintainer: Person
) -> None:
    await put_two(developer, project)
    assert {SDIST: False, WHEEL: False} == await yanks(people.anonymous, project)
    reason = 'breaks "everything" <now>'

    # In another spelling of name and version.
    answer = await patch(maintainer, project, "my_pkg/versions/1.0.0", yanked=True, reason=reason)

    marked = name(standing(SDIST, yanked=True, reason=reason), standing(WHEEL, yanked=True, reason=reason))
    assert (200, marked) == answer
    assert {SDIST: reason, WHEEL: reason} == await yanks(people.anonymous, project)
    html = await (await people.anonymous.get(f"{base(project)}/simple/my-pkg/")).text()
    assert 2 == html.count('data-yanked="breaks &quot;everything&quot; &lt;now&gt;"')

    assert (200, name(standing(SDIST), standing(WHEEL))) == await patch(
        maintainer, project, "My.Pkg/versions/1.0", yanked=False
    )
    assert {SDIST: False, WHEEL: False} == await yanks(people.anonymous, project)
    about = {"package_type": "pypi", "name": "my-pkg", "files": [WHEEL, SDIST]}
    assert [("package_yanked", {**about, "reason": reason}), ("package_unyanked", about)] == await events(people)


async def test_one_file_is_yanked_without_a_reason(
    people: People, project: Project, developer: Person, maintainer: Person
) -> None:
    await put_two(developer, project)

    answer = await patch(maintainer, project, f"my-pkg/files/{WHEEL}", yanked=True, reason=" ")

    assert (200, name(standing(SDIST), standing(WHEEL, yanked=True))) == answer
    assert {SDIST: False, WHEEL: True} == await yanks(people.anonymous, project)
    html = await (await people.anonymous.get(f"{base(project)}/simple/my-pkg/")).text()
    assert 1 == html.count('data-yanked=""')


async def test_yanking_again_changes_nothing(
    people: People, project: Project, developer: Person, maintainer: Person
) -> None:
    await put_two(developer, project)
    for _ in range(2):
        assert 200 == (await patch(maintainer, project, "my-pkg/versions/1.0", yanked=True, reason="bad"))[0]

    assert ["package_yanked"] == [event for event, _ in await events(people)]


async def test_a_file_that_joins_a_yanked_release_is_yanked_and_one_that_joins_another_is_not(
    people: People, project: Project, developer: Person, maintainer: Person
) -> None:
    await put(developer, project, "My.Pkg", "1.0", SDIST)
    await put(developer, project, "My.Pkg", "2.0")
    await patch(maintainer, project, "my-pkg/versions/1.0", yanked=True, reason="bad")

    await put(developer, project, "My.Pkg", "1.0", WHEEL)
    await patch(maintainer, project, f"my-pkg/files/{SDIST}", yanked=False)
    await put(developer, project, "My.Pkg", "1.0", "My.Pkg-1.0.zip")

    assert {SDIST: False, WHEEL: "bad", "My.Pkg-1.0.zip": False, "My.Pkg-2.0.tar.gz": False} == await yanks(
        people.anonymous, project
    )


async def test_a_file_joins_a_yanked_release_however_name_and_version_are_spelled(
    people: People, project: Project, developer: Person, maintainer: Person
) -> None:
    await put(developer, project, "My.Pkg", "1.0", SDIST)
    await patch(maintainer, project, "my-pkg/versions/1", yanked=True, reason="bad")

    await put(developer, project, "my_pkg", "1.0", "my_pkg-1.0-py3-none-any.whl")
    await put(developer, project, "My.Pkg", "1.0.0", "My.Pkg-1.0.0.zip")
    await put(developer, project, "my_pkg", "1.0.1")
    stage = await open_stage(developer, project)
    assert 201 == (await stage_file(developer, project, stage, "v1.0", name="my-pkg"))[0]
    assert 200 == (await ask(developer, "POST", project, f"/{stage['id']}/promote"))[0]

    joined = [SDIST, "my_pkg-1.0-py3-none-any.whl", "My.Pkg-1.0.0.zip", "my-pkg-v1.0.tar.gz"]
    assert dict.fromkeys(joined, "bad") | {"my_pkg-1.0.1.tar.gz": False} == await yanks(people.anonymous, project)


async def test_a_file_published_while_its_release_is_being_yanked_is_yanked(
    people: People, project: Project, developer: Person, maintainer: Person
) -> None:
    await put(developer, project, "My.Pkg", "1.0", SDIST)
    async with people.services.db.transaction() as tx:
        # Both wait for the name, in this order: who yanks comes when the other file is there.
        await package_names.find_name_status(tx, project.id, "pypi", "my-pkg")
        both = []
        for one in (
            put(developer, project, "My.Pkg", "1.0", WHEEL),
            patch(maintainer, project, "my-pkg/versions/1.0", yanked=True),
        ):
            both.append(asyncio.create_task(one))
            while await people.services.db.fetchval(WAITING) < len(both):
                await asyncio.sleep(0.01)
    await asyncio.gather(*both)

    assert {SDIST: True, WHEEL: True} == await yanks(people.anonymous, project)


@pytest.mark.parametrize("path", ["versions/1.0", f"files/{SDIST}", ""])
async def test_who_may_not_delete_changes_no_standing(
    people: People, project: Project, developer: Person, path: str
) -> None:
    await put_two(developer, project)
    before = await document(people.anonymous, project)

    statuses = []
    for person in (developer, people.anonymous):
        answer = await person.ask(
            "PATCH", f"{base(project)}/names/my-pkg/{path}".rstrip("/"), json={"yanked": True, "status": "archived"}
        )
        statuses.append(answer.status)

    assert [403, 401] == statuses
    assert before == await document(people.anonymous, project)
    assert [] == await events(people)


async def test_a_protected_name_keeps_its_standing(
    people: People, project: Project, developer: Person, maintainer: Person
) -> None:
    await put_two(developer, project)
    rule = {"package_name_pattern": "My.*", "package_type": "pypi", "minimum_access_level_for_push": "owner"}
    made = await people.root.ask("POST", f"/api/v4/projects/{project.id}/packages/protection/rules", json=rule)
    assert 201 == made.status, await made.text()

    answers = [
        (await patch(maintainer, project, "my-pkg/versions/1.0", yanked=True))[0],
        (await patch(maintainer, project, "my-pkg", status="archived"))[0],
    ]

    assert [403, 403] == answers
    assert [] == await events(people)


@pytest.mark.parametrize(
    ("path", "values", "status", "text"),
    [
        ("none/versions/1.0", {"yanked": True}, 404, "404 Package Not Found"),
        ("my-pkg/versions/3.0", {"yanked": True}, 404, "404 Package Not Found"),
        ("my-pkg/files/other.zip", {"yanked": True}, 404, "404 Package Not Found"),
        ("my-pkg/versions/1.0", {}, 400, "400 Bad request - yanked is missing"),
        ("my-pkg/versions/1.0", {"yanked": "perhaps"}, 400, "400 Bad request - yanked is invalid"),
        (
            "my-pkg/versions/1.0",
            {"yanked": True, "reason": "\x1b[2J"},
            400,
            "400 Bad request - reason has characters that cannot be printed",
        ),
        (
            "my-pkg/versions/1.0",
            {"yanked": True, "reason": "x" * 1001},
            400,
            "400 Bad request - reason is too long (maximum is 1000 characters)",
        ),
        ("none", {"status": "archived"}, 404, "404 Package Not Found"),
        ("my-pkg", {"status": "sleeping"}, 400, "400 Bad request - status does not have a valid value"),
        ("my-pkg", {}, 400, "400 Bad request - status is missing"),
    ],
)
async def test_what_cannot_be_meant_is_refused(
    people: People,
    project: Project,
    developer: Person,
    maintainer: Person,
    path: str,
    values: dict[str, Any],
    status: int,
    text: str,
) -> None:
    await put_two(developer, project)

    answer = await patch(maintainer, project, path, **values)

    assert (status, text) == (answer[0], answer[1]["message"])
    assert [] == await events(people)


@pytest.mark.parametrize("status", ["archived", "quarantined"])
async def test_an_archived_or_quarantined_name_takes_no_files_until_it_is_active_again(
    people: People, project: Project, developer: Person, maintainer: Person, status: str
) -> None:
    await put(developer, project, "My.Pkg", "1.0", SDIST)
    assert (200, name(standing(SDIST), status=status, reason="no more")) == await patch(
        maintainer, project, "My.Pkg", status=status, reason="no\n more "
    )

    refused = await developer.upload(project, WHEEL, b"content", name="My.Pkg", version="1.0")

    assert (403, f"403 Forbidden - My.Pkg is {status} and accepts no files") == (
        refused.status,
        (await refused.json())["message"],
    )
    assert (200, name(standing(SDIST))) == await patch(maintainer, project, "my-pkg", status="active")
    await put(developer, project, "My.Pkg", "1.0", WHEEL)
    assert [SDIST, WHEEL] == await page(people.anonymous, project, "my-pkg")
    about = {"package_type": "pypi", "name": "my-pkg"}
    assert [
        ("package_status_set", {**about, "status": status, "reason": "no more"}),
        ("package_status_set", {**about, "status": "active", "reason": None}),
    ] == await events(people)


@pytest.mark.parametrize("status", ["archived", "deprecated"])
async def test_a_name_that_still_serves_says_its_status_in_both_forms(
    people: People, project: Project, developer: Person, maintainer: Person, status: str
) -> None:
    digest = await put(developer, project, "My.Pkg", "1.0", SDIST)
    await patch(maintainer, project, "my-pkg", status=status, reason="use <other>")

    shown = await document(people.anonymous, project)
    html = await (await people.anonymous.get(f"{base(project)}/simple/my-pkg/")).text()
    got = await people.anonymous.get(f"{base(project)}/files/{digest}/{SDIST}")

    assert {"status": status, "reason": "use <other>"} == shown["project-status"]
    assert [SDIST] == [file["filename"] for file in shown["files"]]
    assert (
        f'    <meta name="pypi:project-status" content="{status}">\n'
        '    <meta name="pypi:project-status-reason" content="use &lt;other&gt;">\n'
        "    <title>Links for My.Pkg</title>\n"
    ) in html
    assert 200 == got.status


async def test_a_quarantined_name_offers_no_files_anywhere(
    people: People, project: Project, developer: Person, maintainer: Person
) -> None:
    digest = await put(developer, project, "My.Pkg", "1.0", SDIST)
    url = f"{base(project)}/files/{digest}/{SDIST}"
    assert 200 == (await people.anonymous.get(url)).status
    await patch(maintainer, project, "my-pkg", status="quarantined", reason="malware")

    shown = await document(people.anonymous, project)
    html = await page(people.anonymous, project, "my-pkg")
    got = await people.anonymous.get(url)

    assert {
        "meta": {"api-version": "1.4"},
        "name": "my-pkg",
        "project-status": {"status": "quarantined", "reason": "malware"},
        "versions": [],
        "files": [],
    } == shown
    assert [] == html
    assert (403, "403 Forbidden - My.Pkg is quarantined and offers no files") == (
        got.status,
        (await got.json())["message"],
    )
    assert 403 == (await people.anonymous.get(f"{url}.metadata")).status
    assert 404 == (await people.anonymous.get(f"{base(project)}/pypi/my-pkg/json")).status


async def test_a_file_is_had_from_where_it_is_not_quarantined_although_it_was_refused_before(people: People) -> None:
    group = await people.group(visibility="public")
    one, two = [await people.project(group, visibility="public") for _ in range(2)]
    url = f"{base(group)}/files/{await put(people.root, one, 'demo', '1.0', content=b'same')}/demo-1.0.tar.gz"
    await patch(people.root, one, "demo", status="quarantined")
    assert 403 == (await people.anonymous.get(url)).status

    await put(people.root, two, "demo", "1.0", content=b"same")

    assert 200 == (await people.anonymous.get(url)).status


async def test_the_files_of_a_quarantined_name_are_told_to_who_may_free_it_only(
    people: People, project: Project, developer: Person, maintainer: Person
) -> None:
    await put(developer, project, "My.Pkg", "1.0", SDIST)
    await patch(maintainer, project, "my-pkg", status="quarantined")

    told = [
        await (await person.get(f"{base(project)}/names/my-pkg")).json()
        for person in (people.anonymous, developer, maintainer)
    ]

    hidden = name(status="quarantined")
    assert [hidden, hidden, name(standing(SDIST), status="quarantined")] == told


async def test_a_name_without_a_version_is_told_to_who_may_give_it_a_status_only(
    people: People, project: Project, developer: Person, maintainer: Person
) -> None:
    stage = await open_stage(developer, project)
    await stage_file(developer, project, stage, "1.0", name="staged")
    await put(developer, project, "deleted", "1.0")
    await delete(people, project, "deleted")

    told = {
        asked: [
            (await person.get(f"{base(project)}/names/{asked}")).status
            for person in (people.anonymous, developer, maintainer)
        ]
        for asked in ("staged", "deleted", "none")
    }

    assert {"staged": [404, 404, 200], "deleted": [404, 404, 200], "none": [404, 404, 404]} == told


async def test_below_a_group_a_name_is_as_alive_as_in_the_liveliest_project(people: People) -> None:
    group = await people.group(visibility="public")
    one, two = [await people.project(group, visibility="public") for _ in range(2)]
    await put(people.root, one, "demo", "1.0")
    await put(people.root, two, "demo", "2.0")
    seen = []
    for project, status in ((one, "quarantined"), (two, "archived"), (two, "quarantined")):
        await patch(people.root, project, "demo", status=status, reason=f"is {status}")
        answer = await people.anonymous.get(f"{base(group)}/simple/demo/", headers={"Accept": V1_JSON})
        shown = await answer.json(content_type=V1_JSON)
        seen.append((shown["project-status"], shown["versions"]))

    assert [
        ({"status": "active"}, ["2.0"]),
        ({"status": "archived", "reason": "is archived"}, ["2.0"]),
        ({"status": "quarantined", "reason": "is quarantined"}, []),
    ] == seen


async def test_the_standing_of_a_name_is_shown_to_who_may_read(
    people: People, project: Project, developer: Person
) -> None:
    await put_two(developer, project)

    found = await people.anonymous.get(f"{base(project)}/names/MY_PKG")
    absent = await people.anonymous.get(f"{base(project)}/names/none")

    assert (200, name(standing(SDIST), standing(WHEEL))) == (found.status, await found.json())
    assert (404, "404 Package Not Found") == (absent.status, (await absent.json())["message"])
