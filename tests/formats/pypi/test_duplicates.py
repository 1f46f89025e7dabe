from __future__ import annotations

import asyncio

import pytest

from registry import tree
from registry.model import Project
from tests import inventory
from tests.formats.pypi.forms import CONTENT, FILE_NAME, digest, upload
from tests.formats.pypi.pages import base, delete, put
from tests.formats.pypi.refusals import check_answer, post
from tests.people import OPERATOR, People, Person

BOTH = pytest.mark.parametrize("storage_url", ["local", "s3"], indirect=True)


@BOTH
async def test_identical_bytes_again_succeed_and_change_nothing(
    people: People, project: Project, developer: Person
) -> None:
    first = await post(developer, project, upload())
    before = await inventory.take(people.services)
    second = await post(developer, project, upload())

    assert (201, 201) == (first.status, second.status)
    assert {"message": "201 Created"} == await second.json()
    assert before == await inventory.take(people.services)
    assert 1 == await people.services.db.fetchval(
        "SELECT count(*) FROM audit_events WHERE event_name = 'package_published'"
    )


@BOTH
async def test_other_bytes_under_a_taken_file_name_are_refused_in_words_every_client_knows(
    people: People, project: Project, developer: Person
) -> None:
    await post(developer, project, upload())
    before = await inventory.take(people.services)

    for body in (
        upload(content=CONTENT + b"x"),
        upload(content=CONTENT[:-1]),
        upload(version="2.0"),
        upload(name="Demo"),
        upload(content=b""),
    ):
        response = await post(developer, project, body)
        await check_answer(response, 400, "")
        for text in ((await response.json())["message"], response.reason or ""):
            assert "already exists" in text
            assert "already been taken" in text
    assert before == await inventory.take(people.services)


async def test_a_deleted_file_name_is_free_again_unless_file_names_are_immutable(
    people: People, project: Project, developer: Person
) -> None:
    await put(developer, project, "demo", "1.0", FILE_NAME, CONTENT)
    await delete(people, project, "demo")
    await tree.update_project(people.services.db, OPERATOR, project, {}, {"immutable_file_names": True})
    refused = await post(developer, project, upload(content=b"other"))
    restored = await post(developer, project, upload())
    await delete(people, project, "demo")
    await tree.update_project(people.services.db, OPERATOR, project, {}, {"immutable_file_names": False})
    replaced = await post(developer, project, upload(content=b"other"))

    await check_answer(refused, 400, "already exists")
    assert (201, 201) == (restored.status, replaced.status)


@BOTH
async def test_of_fifty_uploads_of_one_file_name_exactly_one_wins(
    people: People, project: Project, developer: Person
) -> None:
    contents = [f"content {number}".encode() * 1000 for number in range(50)]

    async def attempt(content: bytes) -> int:
        return (await post(developer, project, upload(content=content))).status

    statuses = await asyncio.gather(*map(attempt, contents))

    assert [201] + [400] * 49 == sorted(statuses)
    winner = contents[statuses.index(201)]
    page = await people.anonymous.get(f"{base(project)}/simple/demo/")
    assert 1 == (await page.text()).count("<a href")
    file = await people.anonymous.get(f"{base(project)}/files/{digest('sha256', winner)}/{FILE_NAME}")
    assert winner == await file.read()
    left = await inventory.take(people.services)
    assert ((("demo", "1.0", FILE_NAME),), 1, 1) == (left.files, len(left.blobs), len(left.objects))


async def test_of_parallel_identical_uploads_all_succeed_and_one_is_kept(
    people: People, project: Project, developer: Person
) -> None:
    responses = await asyncio.gather(*(post(developer, project, upload()) for _ in range(20)))

    assert {201} == {response.status for response in responses}
    left = await inventory.take(people.services)
    assert ((("demo", "1.0", FILE_NAME),), 1, 1) == (left.files, len(left.blobs), len(left.objects))
