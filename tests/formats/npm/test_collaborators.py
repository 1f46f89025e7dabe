"""`npm access`: what a project's visibility and members mean for its packages."""

from __future__ import annotations

from typing import Any

import pytest

from registry.access import AccessLevel
from registry.model import Group, Project
from tests.formats.npm.transcripts import path, publish, refused, set_settings, username
from tests.people import People, Person

OF = "-/package/@acme%2fwidget"


@pytest.fixture
async def hidden(people: People, group: Group, project: Project) -> Project:
    await publish(people.root, project, "gadget", "1.0.0")
    hidden = await people.project(group)
    await publish(people.root, hidden, "@acme/widget", "1.0.0")
    return hidden


async def asked(person: Person, place: Project | Group | None, rest: str) -> Any:
    answer = await person.get(path(place, rest))
    return await answer.json() if answer.status == 200 else (await refused(answer))[0]


async def test_a_package_is_as_visible_as_its_project(
    people: People, group: Group, project: Project, hidden: Project
) -> None:
    member = await people.member(hidden, AccessLevel.GUEST)
    pullable = await people.project(package_registry_access_level="public")
    await publish(people.root, pullable, "open", "1.0.0")

    for place in (hidden, group, None):
        assert {"public": False} == await asked(member, place, f"{OF}/visibility")
        assert {"access": "restricted", "public": False} == await asked(member, place, f"{OF}/access")
    assert {"public": True} == await asked(people.anonymous, project, "-/package/gadget/visibility")
    assert {"access": "public", "public": True} == await asked(people.anonymous, pullable, "-/package/open/access")
    # Public is what everybody can install.
    closed = await people.project(visibility="public", package_registry_access_level="private")
    await publish(people.root, closed, "shut", "1.0.0")
    assert {"public": False} == await asked(people.root, closed, "-/package/shut/visibility")
    await set_settings(people, None, package_registry_allow_anyone_to_pull_option=False)
    assert {"public": False} == await asked(people.root, pullable, "-/package/open/visibility")
    assert [401, 404, 404] == [
        await asked(people.anonymous, hidden, f"{OF}/visibility"),
        await asked(await people.user(), hidden, f"{OF}/visibility"),
        await asked(member, hidden, "-/package/nothing/visibility"),
    ]


async def test_access_is_not_changed_by_package(people: People, project: Project, hidden: Project) -> None:
    owner = await people.member(hidden, AccessLevel.OWNER)

    async def change(person: Person, place: Project, of: str, **document: Any) -> tuple[int, str]:
        answer = await person.ask("POST", path(place, f"{of}/access"), json=document)
        return (200, "") if answer.status == 200 else await refused(answer)

    for wanted in ("restricted", "private"):
        assert (200, "") == await change(owner, hidden, OF, access=wanted)
    assert (200, "") == await change(owner, project, "-/package/gadget", access="public")
    assert (200, "") == await change(owner, hidden, OF, publish_requires_tfa=False)
    status, text = await change(owner, hidden, OF, access="public")
    assert (403, True) == (status, "visibility of the project" in text)
    status, text = await change(owner, hidden, OF, publish_requires_tfa=True)
    assert (403, True) == (status, "no one-time passwords" in text)
    assert 400 == (await change(owner, hidden, OF, access="secret"))[0]
    assert 401 == (await change(people.anonymous, project, "-/package/gadget", access="public"))[0]
    for method in ("PUT", "DELETE"):
        answer = await owner.ask(method, path(hidden, "-/team/acme/developers/package"), json={"package": "gadget"})
        assert 403 == (await refused(answer))[0]


async def test_collaborators_are_the_members_of_the_project(people: People, group: Group, hidden: Project) -> None:
    owner = await people.member(group, AccessLevel.OWNER)
    guest = await people.member(hidden, AccessLevel.GUEST)
    developer = await people.member(hidden, AccessLevel.DEVELOPER)
    reader = await people.member(hidden, AccessLevel.DEVELOPER, scopes=("read_user", "read_api"))
    everybody = {await username(one): may for one, may in
                 ((owner, "write"), (guest, "read"), (developer, "write"), (reader, "write"))}  # fmt: skip

    for person in (guest, reader):
        assert everybody == await asked(person, hidden, f"{OF}/collaborators")
        assert everybody == await asked(person, group, f"{OF}/collaborators")
    name = await username(guest)
    assert {name: "read"} == await asked(guest, hidden, f"{OF}/collaborators?user={name}&format=cli")
    assert {} == await asked(guest, hidden, f"{OF}/collaborators?user=nobody")
    deploy = await people.deploy_token(hidden)
    assert [403, 404] == [await asked(one, hidden, f"{OF}/collaborators") for one in (deploy, await people.user())]


async def test_packages_are_listed_by_user_and_by_scope(
    people: People, group: Group, project: Project, hidden: Project
) -> None:
    developer = await people.member(hidden, AccessLevel.DEVELOPER)
    guest = await people.member(group, AccessLevel.GUEST)
    outsider, name = await people.user(), await username(developer)

    for place in (group, None):
        assert {"@acme/widget": "write"} == await asked(developer, place, f"-/user/{name}/package?format=cli")
        assert {"@acme/widget": "read", "gadget": "read"} == await asked(
            guest, place, f"-/user/{await username(guest)}/package"
        )
        assert {} == await asked(outsider, place, f"-/user/{await username(outsider)}/package")
        assert {"@acme/widget": "write"} == await asked(developer, place, "-/org/acme/package")
        assert [404, 404] == [await asked(outsider, place, "-/org/acme/package"),
                              await asked(developer, place, "-/org/unknown/package")]  # fmt: skip
    assert 403 == await asked(outsider, None, f"-/user/{name}/package")
    assert [401, 401] == [
        await asked(people.anonymous, project, rest) for rest in ("-/org/acme/package", "-/user/ada/package")
    ]
