"""Reserved prefixes: who makes them, and what they keep from happening."""

from __future__ import annotations

from typing import Any

import pytest

from registry import accounts, tree
from registry.access import AccessLevel
from registry.model import Group, Project
from registry.upstream import PUBLIC
from tests import inventory
from tests.api.asking import NO_GROUP, call, events, made
from tests.formats.pypi.pages import base, delete, put
from tests.people import OPERATOR, People

BASE = "/package_grants"


@pytest.fixture
async def acme(people: People) -> Group:
    return await people.group("acme", visibility="public")


@pytest.fixture
async def project(people: People, acme: Group) -> Project:
    return await people.project(acme, "tools", visibility="public")


@pytest.fixture
async def stranger(people: People) -> Project:
    return await people.project(await people.group("stranger", visibility="public"), "tools", visibility="public")


async def reserve(people: People, group: Group, prefix: str) -> Any:
    return await made(people.root, BASE, prefix=prefix, group_id=str(group.id))


async def test_an_administrator_reserves_lists_and_gives_back(people: People, acme: Group) -> None:
    grant = await made(people.root, BASE, prefix="Acme.Tools", group_id="acme")
    created_at = grant.pop("created_at")
    assert {
        "id": grant["id"],
        "package_type": "pypi",
        "prefix": "acme-tools",
        "group_id": acme.id,
        "group_path": "acme",
    } == grant
    other = await reserve(people, acme, "acme")
    assert (200, [other, {**grant, "created_at": created_at}]) == await call(people.root, "GET", BASE)
    assert (204, None) == await call(people.root, "DELETE", f"{BASE}/{grant['id']}")
    assert (200, [other]) == await call(people.root, "GET", BASE)
    assert (404, {"message": "404 Grant Not Found"}) == await call(people.root, "DELETE", f"{BASE}/{grant['id']}")
    told = [name for name in await events(people.services) if name.startswith("name_prefix")]
    assert ["name_prefix_granted", "name_prefix_granted", "name_prefix_revoked"] == told


TAKEN = "has already been taken"
NO_NAME = "is not a valid package name (see PEP 508)"


@pytest.mark.parametrize(
    ("prefix", "problem"),
    [
        ("acme", TAKEN),
        ("ACME", TAKEN),
        ("acme-tools", TAKEN),
        ("-acme", NO_NAME),
        ("acm\u00e9", NO_NAME),
        ("a" * 256, NO_NAME),
    ],
)
async def test_a_prefix_that_overlaps_another_groups_or_is_no_name_is_refused(
    people: People, acme: Group, stranger: Project, prefix: str, problem: str
) -> None:
    await reserve(people, acme, "acme")
    answer = await call(people.root, "POST", BASE, json={"prefix": prefix, "group_id": "stranger"})
    assert (400, {"message": {"prefix": [problem]}}) == answer
    assert NO_GROUP == await call(people.root, "POST", BASE, json={"prefix": "x", "group_id": "nobody"})
    assert 201 == (await call(people.root, "POST", BASE, json={"prefix": "acmefoo", "group_id": "stranger"}))[0]


async def test_a_foreign_upload_is_refused_with_409_and_leaves_nothing(
    people: People, acme: Group, project: Project, stranger: Project
) -> None:
    grant = await reserve(people, acme, "acme")
    before = await inventory.take(people.services)

    for name in ("acme", "Acme_Widget"):
        response = await people.root.upload(stranger, f"{name}-1.0.tar.gz", b"x", name=name, version="1.0")
        document = await response.json()
        normalized = name.lower().replace("_", "-")
        text = f"409 Conflict - {normalized} is reserved: names that begin with acme belong to another group (PEP 752)"
        assert (409, text, text) == (response.status, document["message"], document["code"])
        # No `--skip-existing` may take it for a duplicate.
        assert "already" not in text + (response.reason or "")
    assert before == await inventory.take(people.services)

    developer = await people.member(project, AccessLevel.DEVELOPER)
    await put(developer, project, "acme-widget", "1.0")
    await put(people.root, stranger, "acmefoo", "1.0")
    await call(people.root, "DELETE", f"{BASE}/{grant['id']}")
    await put(people.root, stranger, "acme-widget", "1.0")


async def test_what_a_foreign_project_had_before_goes_on_until_it_is_deleted(
    people: People, acme: Group, stranger: Project
) -> None:
    await put(people.root, stranger, "acme-widget", "1.0")
    await reserve(people, acme, "acme")

    await put(people.root, stranger, "acme-widget", "2.0")
    await delete(people, stranger, "acme-widget")
    response = await people.root.upload(stranger, "acme_widget-3.0.tar.gz", b"x", name="acme-widget", version="3.0")

    assert 409 == response.status


async def test_a_reserved_name_is_never_asked_of_the_public_index(
    people: People, acme: Group, project: Project, stranger: Project
) -> None:
    grant = await reserve(people, acme, "acme")

    async def seen() -> list[tuple[int, str | None]]:
        places = (project, acme, stranger)
        answers = [
            await people.root.get(f"{base(place)}/simple/{name}/")
            for place in places
            for name in ("Acme.New", "acmefoo")
        ]
        return [(answer.status, answer.headers.get("Location")) for answer in answers]

    elsewhere = f"{PUBLIC['pypi']}/simple"
    assert [(404, None), (302, f"{elsewhere}/acmefoo/")] * 3 == await seen()
    await call(people.root, "DELETE", f"{BASE}/{grant['id']}")
    assert [(302, f"{elsewhere}/Acme.New/"), (302, f"{elsewhere}/acmefoo/")] * 3 == await seen()


async def test_the_grants_of_a_group_are_gone_with_it(people: People, acme: Group, stranger: Project) -> None:
    await reserve(people, acme, "acme")
    await tree.delete_group(people.services.db, OPERATOR, acme)

    assert (200, []) == await call(people.root, "GET", BASE)
    await put(people.root, stranger, "acme", "1.0")
    await accounts.update_settings(people.services.db, OPERATOR, {"pypi_namespaces": True})
    answer = await people.root.get(f"{base(stranger)}/namespaces")
    assert [] == (await answer.json())["namespaces"]
