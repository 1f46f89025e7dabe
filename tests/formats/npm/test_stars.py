"""Stars: everybody changes their own, and sees those of packages that are theirs to see."""

from __future__ import annotations

import json

import pytest

from registry.access import AccessLevel
from registry.model import Group, Project
from tests.formats.npm.transcripts import a_publication, encoded, packument, path, publish, refused, send, username
from tests.people import People, Person


@pytest.fixture
async def project(people: People, project: Project) -> Project:
    for name in ("gadget", "@acme/widget"):
        await publish(people.root, project, name, "1.0.0")
    return project


async def starred(person: Person, place: Project | Group | None, name: str) -> list[str]:
    answer = await person.get(path(place, f"-/_view/starredByUser?key=%22{name}%22"))
    return [row["value"] for row in (await answer.json())["rows"]]


async def put(person: Person, project: Project, name: str, users: dict[str, bool]) -> int:
    """What `npm star` and `npm unstar` send."""
    found = await packument(person, project, name)
    document = {"_id": name, "_rev": found["_rev"], "users": users}
    headers = {"npm-command": "star" if users else "unstar"}
    return (await person.ask("PUT", path(project, encoded(name)), json=document, headers=headers)).status


async def star(person: Person, method: str, name: str, place: Project | Group | None) -> int:
    """What pnpm sends."""
    return (await person.ask(method, path(place, f"-/user/package/{encoded(name)}/star"))).status


async def test_both_ways_to_star_are_the_same(people: People, group: Group, project: Project) -> None:
    ada, bob = await people.user(), await people.user()
    mine, theirs = await username(ada), await username(bob)
    before = (await packument(ada, project, "gadget"))["_rev"]

    # Nobody stars for another.
    assert [200, 200] == [await put(ada, project, "gadget", {mine: True, theirs: True}),
                          await star(ada, "PUT", "@acme/widget", group)]  # fmt: skip
    for place in (project, group, None):
        assert ["@acme/widget", "gadget"] == await starred(bob, place, mine.upper())
        assert [] == await starred(ada, place, theirs)
    assert [200, 200, 200] == [await put(ada, project, "@acme/widget", {}), await star(ada, "DELETE", "gadget", group),
                               await star(ada, "DELETE", "gadget", project)]  # fmt: skip
    assert [] == await starred(ada, project, mine)
    assert before == (await packument(ada, project, "gadget"))["_rev"]


async def test_stars_tell_nobody_what_they_may_not_see(people: People, group: Group, project: Project) -> None:
    hidden = await people.project(group)
    member = await people.member(hidden, AccessLevel.GUEST)
    await publish(people.root, hidden, "secret", "1.0.0")
    await star(member, "PUT", "secret", hidden)
    await star(member, "PUT", "gadget", project)
    name, outsider = await username(member), await people.user()

    assert ["gadget", "secret"] == await starred(member, None, name)
    for place in (group, None):
        assert ["gadget"] == await starred(outsider, place, name)
    assert 404 == await star(outsider, "PUT", "secret", hidden)
    await people.root.ask("DELETE", path(hidden, "secret/-rev/" + (await packument(member, hidden, "secret"))["_rev"]))
    assert ["gadget"] == await starred(member, None, name)


async def test_who_is_nobody_and_what_is_nothing_is_refused(people: People, project: Project) -> None:
    person = await people.user()
    deploy = await people.deploy_token(project)
    publication = a_publication("gadget", "2.0.0")

    # What is allowed to readers is starring alone, whatever they say that it is.
    assert 400 == (await send(person, project, publication, **{"npm-command": "star"})).status
    assert 403 == (await send(person, project, publication)).status
    assert 403 == (await send(person, project, {"name": "gadget", "users": {}})).status
    hidden = await people.project()
    assert 404 == (await send(person, hidden, {"name": "gadget", "users": {}}, **{"npm-command": "star"})).status
    assert [401, 403] == [await star(one, "PUT", "gadget", project) for one in (people.anonymous, deploy)]
    assert 404 == await star(person, "PUT", "nothing", project)
    for key in ("", "?key=", "?key=ada", f"?key={json.dumps(7)}", "?key=%ff"):
        assert 400 == (await refused(await person.get(path(project, f"-/_view/starredByUser{key}"))))[0], key
    assert 401 == (await people.anonymous.get(path(project, "-/_view/starredByUser?key=%22ada%22"))).status
