"""What simple API 1.5 tells of reserved prefixes, and that nothing is told where it is off."""

from __future__ import annotations

import json
from typing import Any

import pytest

from registry import accounts, grants, standings
from registry.model import Group, Project
from tests.formats.pypi.pages import V1_JSON, base, delete, put
from tests.people import OPERATOR, People, Person

ABSENT = 404


@pytest.fixture
async def acme(people: People) -> Group:
    return await people.group("acme", visibility="public")


@pytest.fixture
async def inside(people: People, acme: Group) -> Project:
    return await people.project(acme, visibility="public")


async def switch(people: People, *, on: bool) -> None:
    await accounts.update_settings(people.services.db, OPERATOR, {"pypi_namespaces": on})


async def reserve(people: People, group: Group, *prefixes: str) -> None:
    for prefix in prefixes:
        await grants.create(people.services.db, OPERATOR, group, "pypi", prefix)


async def read(person: Person, place: Project | Group, rest: str) -> Any:
    """The JSON document, or the status of a refusal."""
    response = await person.get(f"{base(place)}/{rest}", headers={"Accept": V1_JSON})
    if response.status != 200:
        return response.status
    assert V1_JSON == response.headers["Content-Type"]
    return json.loads(await response.read())


async def versions(person: Person, project: Project) -> list[str]:
    """What each of the two pages, in both forms, says of its version."""
    found = []
    for page in ("simple/", "simple/acme-widget/"):
        found.append((await read(person, project, page))["meta"]["api-version"])
        html = await (await person.get(f"{base(project)}/{page}", headers={"Accept": "text/html"})).text()
        found.append(html.partition('repository-version" content="')[2].partition('"')[0])
    return found


async def test_version_and_key_appear_only_where_the_setting_is_on(
    people: People, acme: Group, inside: Project
) -> None:
    await put(people.root, inside, "acme-widget", "1.0")
    await reserve(people, acme, "acme")
    plain = await versions(people.anonymous, inside)
    page = await read(people.anonymous, inside, "simple/acme-widget/")
    assert "1.5" not in plain
    assert "namespaces" not in page
    assert [ABSENT, ABSENT] == [await read(people.root, inside, rest) for rest in ("namespaces", "namespace/acme")]

    await switch(people, on=True)

    assert ["1.5"] * 4 == await versions(people.anonymous, inside)
    shown = await read(people.anonymous, inside, "simple/acme-widget/")
    assert [{"name": "acme", "owned": True}] == shown.pop("namespaces")
    assert {**page, "meta": {**page["meta"], "api-version": "1.5"}} == shown

    await switch(people, on=False)
    assert (plain, page) == (
        await versions(people.anonymous, inside),
        await read(people.anonymous, inside, "simple/acme-widget/"),
    )


async def test_a_page_tells_whether_the_owner_of_the_prefix_published_it_all(
    people: People, acme: Group, inside: Project
) -> None:
    above = await people.group("above", visibility="public")
    stranger = await people.project(above, visibility="public")
    both = await people.project(acme, visibility="public")
    for place in (inside, stranger):
        await put(people.root, place, "acme-tools-x", "1.0")
        await put(people.root, place, "plain", "1.0")
    await reserve(people, acme, "acme", "acme-tools")
    await switch(people, on=True)

    async def namespaces(place: Project | Group, name: str) -> Any:
        return (await read(people.anonymous, place, f"simple/{name}/"))["namespaces"]

    owned = [{"name": "acme", "owned": True}, {"name": "acme-tools", "owned": True}]
    assert owned == await namespaces(inside, "Acme.Tools.x")
    assert owned == await namespaces(acme, "acme-tools-x")
    assert [{**one, "owned": False} for one in owned] == await namespaces(stranger, "acme-tools-x")
    assert None is await namespaces(stranger, "plain")
    assert ABSENT == await read(people.anonymous, both, "simple/acme-tools-x/")


async def test_who_no_longer_offers_a_name_does_not_take_it_from_the_owner_of_the_prefix(people: People) -> None:
    top = await people.group("top", visibility="public")
    acme = await people.group("acme", parent=top, visibility="public")
    inside = await people.project(acme, visibility="public")
    gone, quarantined = [await people.project(top, visibility="public") for _ in range(2)]
    for place in (inside, gone, quarantined):
        await put(people.root, place, "acme-x", "1.0")
    await reserve(people, acme, "acme")
    await switch(people, on=True)

    async def owned() -> Any:
        return (await read(people.anonymous, top, "simple/acme-x/"))["namespaces"]

    assert [{"name": "acme", "owned": False}] == await owned()
    await delete(people, gone, "acme-x")
    assert [{"name": "acme", "owned": False}] == await owned()
    status: dict[str, Any] = {"status": "quarantined", "reason": None}
    await standings.set_status(people.services.db, OPERATOR, quarantined, "pypi", "acme-x", **status)
    assert [{"name": "acme", "owned": True}] == await owned()


async def test_the_endpoints_tell_what_is_reserved_to_who_may_see_the_owner(
    people: People, acme: Group, inside: Project
) -> None:
    secret = await people.group("secret", visibility="private")
    await reserve(people, acme, "acme-tools-x", "acme", "acme-tools")
    await reserve(people, secret, "hidden")
    await switch(people, on=True)
    meta = {"meta": {"api-version": "1.5"}}
    names = ["acme", "acme-tools", "acme-tools-x"]

    for place in (inside, acme):
        listed = await read(people.anonymous, place, "namespaces")
        assert {**meta, "namespaces": [{"name": name} for name in names]} == listed
        listed = await read(people.root, place, "namespaces")
        assert [*names, "hidden"] == [one["name"] for one in listed["namespaces"]]
    top = {"name": "acme", "parent": None, "children": names[1:], "owner": "acme"}
    middle = {"name": "acme-tools", "parent": "acme", "children": names[2:], "owner": "acme"}
    last = {"name": "acme-tools-x", "parent": "acme-tools", "children": [], "owner": "acme"}
    for expected in (top, middle, last):
        assert {**meta, **expected} == await read(people.anonymous, inside, f"namespace/{expected['name']}")
    assert {**meta, **middle} == await read(people.anonymous, inside, "namespace/Acme.Tools/")
    alone = {"name": "hidden", "parent": None, "children": [], "owner": "secret"}
    assert {**meta, **alone} == await read(people.root, inside, "namespace/hidden")
    unseen = [await read(people.anonymous, inside, f"namespace/{name}") for name in ("hidden", "other", "acme-tool")]
    assert [ABSENT] * 3 == unseen


async def test_a_project_may_be_named_like_the_endpoints(people: People, inside: Project) -> None:
    await switch(people, on=True)
    for name in ("namespaces", "namespace"):
        await put(people.root, inside, name, "1.0")
        assert name == (await read(people.anonymous, inside, f"simple/{name}/"))["name"]
