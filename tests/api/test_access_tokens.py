"""Access tokens of projects and groups through the management API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from registry.access import AccessLevel
from registry.model import Group, Project
from registry.services import Services
from tests.api.asking import MISSING_RIGHTS, NO_PROJECT, NOT_SIGNED_IN, call, events, lacks_scope, made
from tests.people import People, Person

VALUES: dict[str, Any] = {"name": "ci", "scopes": ["api"]}


def base(home: Project | Group) -> str:
    noun = "projects" if isinstance(home, Project) else "groups"
    return f"/{noun}/{home.id}/access_tokens"


def absent(home: Project | Group) -> tuple[int, Any]:
    return 404, {"message": f"404 {'Project' if isinstance(home, Project) else 'Group'} Access Token Not Found"}


@pytest.fixture(params=["project", "group"])
async def home(request: pytest.FixtureRequest, people: People) -> Project | Group:
    group = await people.group("acme")
    return await people.project(group, "tool") if request.param == "project" else group


async def test_an_access_token_is_a_bot_with_a_role(people: People, services: Services, home: Project | Group) -> None:
    owner = await people.member(home, AccessLevel.OWNER)
    noun = "project" if isinstance(home, Project) else "group"
    token = await made(owner, base(home), **VALUES, access_level=30, expires_at="2099-01-01", description="d")
    bot = Person(people.client, token.pop("token"))

    assert {
        "id": token["id"],
        "name": "ci",
        "revoked": False,
        "created_at": token["created_at"],
        "description": "d",
        "scopes": ["api"],
        "user_id": token["user_id"],
        "last_used_at": None,
        "active": True,
        "expires_at": "2099-01-01",
        "access_level": 30,
        "resource_type": noun,
        "resource_id": home.id,
    } == token
    assert (200, [token]) == await call(owner, "GET", base(home))
    assert (200, token) == await call(owner, "GET", f"{base(home)}/{token['id']}")

    user = (await call(bot, "GET", "/user"))[1]
    assert (True, None, f"{noun}_{home.id}_bot_") == (user["bot"], user["namespace_id"], user["username"][:-32])
    member = (await call(bot, "GET", f"/{noun}s/{home.id}/members/{user['id']}"))[1]
    assert 30 == member["access_level"]
    assert f"{noun}_access_token_created" == (await events(services))[-1]


async def test_who_may_do_what(people: People, home: Project | Group) -> None:
    least = AccessLevel.MAINTAINER if isinstance(home, Project) else AccessLevel.OWNER
    token = await made(people.root, base(home), **VALUES, access_level=10)
    calls = (
        ("GET", base(home)),
        ("POST", base(home)),
        ("GET", f"{base(home)}/{token['id']}"),
        ("POST", f"{base(home)}/{token['id']}/rotate"),
        ("DELETE", f"{base(home)}/{token['id']}"),
    )
    for level in (AccessLevel.GUEST, AccessLevel.DEVELOPER, AccessLevel.MAINTAINER, AccessLevel.OWNER):
        caller = await people.member(home, level)
        if level < least:
            for method, path in calls:
                assert MISSING_RIGHTS == await call(caller, method, path, json=VALUES)
    outsider, reader = await people.user(), await people.member(home, AccessLevel.OWNER, scopes=("read_api",))
    for method, path in calls:
        assert 404 == (await call(outsider, method, path, json=VALUES))[0]
        assert NOT_SIGNED_IN == await call(people.anonymous, method, path, json=VALUES)
        if method != "GET":
            assert lacks_scope() == await call(reader, method, path, json=VALUES)
        else:
            assert 200 == (await call(reader, method, path))[0]


async def test_nobody_makes_a_bot_above_themselves(people: People) -> None:
    project = await people.project()
    maintainer = await people.member(project, AccessLevel.MAINTAINER)
    above = (
        400,
        {"message": "400 Bad request - Access level of the token contains permissions not held by the creating user"},
    )
    assert above == await call(maintainer, "POST", base(project), json={**VALUES, "access_level": 50})
    assert 40 == (await made(maintainer, base(project), **VALUES))["access_level"]
    for values, body in (
        ({}, {"error": "name is missing, scopes is missing"}),
        ({**VALUES, "access_level": 60}, {"error": "access_level does not have a valid value"}),
        ({**VALUES, "scopes": ["sudo"]}, {"error": "scopes does not have a valid value"}),
    ):
        assert (400, body) == await call(maintainer, "POST", base(project), json=values)

    owned = await made(people.root, base(project), **VALUES, access_level=50)
    assert MISSING_RIGHTS == await call(maintainer, "POST", f"{base(project)}/{owned['id']}/rotate")


async def test_a_bot_makes_no_tokens_and_no_groups(people: People) -> None:
    project = await people.project()
    bot = Person(people.client, (await made(people.root, base(project), **VALUES, access_level=50))["token"])

    for path, values in (
        (base(project), VALUES),
        (f"/projects/{project.id}/deploy_tokens", {"name": "d", "scopes": ["read_package_registry"]}),
        ("/groups", {"name": "g", "path": "g"}),
    ):
        assert MISSING_RIGHTS == await call(bot, "POST", path, json=values)
    assert 400 == (await call(bot, "POST", "/projects", json={"name": "p"}))[0]
    assert 200 == (await call(bot, "GET", base(project)))[0]


async def test_rotation_keeps_the_bot(people: People, home: Project | Group) -> None:
    token = await made(people.root, base(home), **VALUES, expires_at="2099-01-01")
    bot = Person(people.client, token["token"])

    status, new = await call(people.root, "POST", f"{base(home)}/{token['id']}/rotate")
    week = str(datetime.now(UTC).date() + timedelta(weeks=1))
    assert (200, token["user_id"], 40, week) == (status, new["user_id"], new["access_level"], new["expires_at"])
    assert 401 == (await call(bot, "GET", "/user"))[0]
    assert token["user_id"] == (await call(Person(people.client, new["token"]), "GET", "/user"))[1]["id"]

    # Reuse of the replaced one ends the family.
    refused = (400, {"message": "400 Bad request - Token already revoked"})
    assert refused == await call(people.root, "POST", f"{base(home)}/{token['id']}/rotate")
    assert 401 == (await call(Person(people.client, new["token"]), "GET", "/user"))[0]


async def test_a_bot_rotates_itself_at_home_only(people: People) -> None:
    project, other = await people.project(), await people.project(visibility="public")
    token = await made(people.root, base(project), **VALUES, access_level=10)
    bot = Person(people.client, token["token"])

    assert NOT_SIGNED_IN == await call(bot, "POST", f"{base(other)}/self/rotate")
    assert 405 == (await call(bot, "POST", "/personal_access_tokens/self/rotate"))[0]
    assert NOT_SIGNED_IN == await call(people.root, "POST", f"{base(project)}/self/rotate")
    assert NOT_SIGNED_IN == await call(people.anonymous, "POST", f"{base(other)}/self/rotate")
    status, new = await call(bot, "POST", f"{base(project)}/self/rotate", json={"expires_at": "2099-05-05"})
    assert (200, "2099-05-05", 10) == (status, new["expires_at"], new["access_level"])
    reader = await made(people.root, base(project), name="r", scopes=["read_api"])
    assert lacks_scope() == await call(Person(people.client, reader["token"]), "POST", f"{base(project)}/self/rotate")


async def test_revoked_tokens_stay_listed_as_inactive(people: People, home: Project | Group) -> None:
    token = await made(people.root, base(home), **VALUES)
    bot = Person(people.client, token["token"])

    assert (204, None) == await call(people.root, "DELETE", f"{base(home)}/{token['id']}")
    assert 401 == (await call(bot, "GET", "/user"))[0]
    assert (200, []) == await call(people.root, "GET", f"{base(home)}?state=active")
    status, (seen,) = await call(people.root, "GET", f"{base(home)}?state=inactive")
    assert (200, token["id"], True) == (status, seen["id"], seen["revoked"])


async def test_a_token_of_another_place_is_not_found_here(people: People) -> None:
    group = await people.group("acme")
    project, other = await people.project(group), await people.project(group)
    token = await made(people.root, base(other), **VALUES)
    personal = (await call(people.root, "GET", "/personal_access_tokens/self"))[1]

    for home in (project, group):
        for token_id in (token["id"], personal["id"], 4711, "99999999999999999999"):
            for method, path in (("GET", ""), ("POST", "/rotate"), ("DELETE", "")):
                assert absent(home) == await call(people.root, method, f"{base(home)}/{token_id}{path}")
        assert (200, []) == await call(people.root, "GET", base(home))
    assert 200 == (await call(Person(people.client, token["token"]), "GET", "/user"))[0]


async def test_bots_go_with_their_project(people: People) -> None:
    project = await people.project(visibility="internal")
    token = await made(people.root, base(project), **VALUES)
    bot = Person(people.client, token["token"])
    assert 200 == (await call(bot, "GET", f"/projects/{project.id}"))[0]

    await call(people.root, "DELETE", f"/projects/{project.id}")
    assert NOT_SIGNED_IN == await call(bot, "GET", "/user")
    assert NO_PROJECT == await call(people.root, "GET", base(project))
    assert 404 == (await call(people.root, "GET", f"/users/{token['user_id']}"))[0]
