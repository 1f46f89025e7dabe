"""Deploy tokens through the management API."""

from __future__ import annotations

from typing import Any

import pytest

from registry.access import AccessLevel
from registry.model import Group, Project
from registry.services import Services
from tests.api.asking import MISSING_RIGHTS, NOT_SIGNED_IN, call, events, lacks_scope, made
from tests.people import People, Person, basic

VALUES: dict[str, Any] = {"name": "ci", "scopes": ["write_package_registry", "read_package_registry"]}
ABSENT = (404, {"message": "404 Deploy Token Not Found"})


def base(home: Project | Group) -> str:
    noun = "projects" if isinstance(home, Project) else "groups"
    return f"/{noun}/{home.id}/deploy_tokens"


@pytest.fixture(params=["project", "group"])
async def home(request: pytest.FixtureRequest, people: People) -> Project | Group:
    group = await people.group("acme")
    return await people.project(group, "tool") if request.param == "project" else group


async def test_a_deploy_token_is_made_listed_and_revoked(
    people: People, services: Services, home: Project | Group
) -> None:
    owner = await people.member(home, AccessLevel.OWNER)
    token = await made(owner, base(home), **VALUES, expires_at="2099-01-01T12:00:00+02:00")
    text = token.pop("token")

    assert text.startswith("gldt-")
    assert {
        "id": token["id"],
        "name": "ci",
        "username": f"gitlab+deploy-token-{token['id']}",
        "expires_at": "2099-01-01T10:00:00.000Z",
        "scopes": ["read_package_registry", "write_package_registry"],
        "revoked": False,
        "expired": False,
    } == token
    assert (200, [token]) == await call(owner, "GET", base(home))
    assert (200, token) == await call(owner, "GET", f"{base(home)}/{token['id']}")

    project = home if isinstance(home, Project) else await people.project(home)
    path = f"/projects/{project.id}/packages/pypi/simple"
    person = Person(people.client, headers=basic("anyone", text))
    assert 200 == (await person.get(f"/api/v4{path}")).status
    assert (204, None) == await call(owner, "DELETE", f"{base(home)}/{token['id']}")
    assert 401 == (await person.get(f"/api/v4{path}")).status
    assert ABSENT == await call(owner, "DELETE", f"{base(home)}/{token['id']}")
    assert (200, []) == await call(owner, "GET", f"{base(home)}?active=true")
    assert True is (await call(owner, "GET", f"{base(home)}?active=false"))[1][0]["revoked"]
    assert ["deploy_token_created", "deploy_token_revoked"] == [e for e in await events(services) if "deploy" in e]


async def test_a_deploy_token_that_cannot_be_is_refused(people: People) -> None:
    project = await people.project()
    for values, body in (
        ({}, {"error": "name is missing, scopes is missing"}),
        ({**VALUES, "scopes": ["api"]}, {"error": "scopes does not have a valid value"}),
        ({**VALUES, "expires_at": "tomorrow"}, {"error": "expires_at is invalid"}),
        (
            {**VALUES, "username": "a b"},
            {"message": {"username": ["can contain only letters, digits, '_', '-', '+', and '.'"]}},
        ),
    ):
        assert (400, body) == await call(people.root, "POST", base(project), json=values)
    token = await made(people.root, base(project), **VALUES, username="robot", expires_at="2020-01-01")
    assert ("robot", True) == (token["username"], token["expired"])
    form = {"name": "form", "scopes[]": "read_package_registry"}
    assert ["read_package_registry"] == (await call(people.root, "POST", base(project), data=form))[1]["scopes"]


async def test_maintainers_rule_projects_and_owners_groups_where_maintainers_look(
    people: People, home: Project | Group
) -> None:
    token = await made(people.root, base(home), **VALUES)
    one = f"{base(home)}/{token['id']}"
    look, change = (("GET", base(home)), ("GET", one)), (("POST", base(home)), ("DELETE", one))

    developer = await people.member(home, AccessLevel.DEVELOPER)
    outsider = await people.user()
    for method, path in (*look, *change):
        assert MISSING_RIGHTS == await call(developer, method, path, json=VALUES)
        assert 404 == (await call(outsider, method, path, json=VALUES))[0]
        assert NOT_SIGNED_IN == await call(people.anonymous, method, path, json=VALUES)
    reader = await people.member(home, AccessLevel.OWNER, scopes=("read_api",))
    maintainer = await people.member(home, AccessLevel.MAINTAINER)
    for method, path in look:
        assert 200 == (await call(reader, method, path))[0]
        assert 200 == (await call(maintainer, method, path))[0]
    for method, path in change:
        assert lacks_scope() == await call(reader, method, path, json=VALUES)
    expected = [201, 204] if isinstance(home, Project) else [403, 403]
    assert expected == [(await call(maintainer, method, path, json=VALUES))[0] for method, path in change]


async def test_all_deploy_tokens_are_for_administrators(people: People) -> None:
    group = await people.group("acme")
    project = await people.project(group)
    owner = await people.member(group, AccessLevel.OWNER)
    for home in (project, group):
        await made(owner, base(home), **VALUES)

    assert MISSING_RIGHTS == await call(owner, "GET", "/deploy_tokens")
    assert NOT_SIGNED_IN == await call(people.anonymous, "GET", "/deploy_tokens")
    assert 2 == len((await call(people.root, "GET", "/deploy_tokens?active=true"))[1])


async def test_a_deploy_token_of_another_place_is_not_found_here(people: People) -> None:
    group = await people.group("acme")
    project, other = await people.project(group), await people.project(group)
    token = await made(people.root, base(other), **VALUES)

    for home in (project, group):
        for token_id in (token["id"], 4711, "99999999999999999999"):
            for method in ("GET", "DELETE"):
                assert ABSENT == await call(people.root, method, f"{base(home)}/{token_id}")
        assert (200, []) == await call(people.root, "GET", base(home))
    assert (400, {"error": "token_id is invalid"}) == await call(people.root, "GET", f"{base(project)}/x")
    assert False is (await call(people.root, "GET", f"{base(other)}/{token['id']}"))[1]["revoked"]
