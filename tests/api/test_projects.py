"""Projects through the management API."""

from __future__ import annotations

import asyncio

from registry.access import AccessLevel
from registry.services import Services
from tests.api.asking import (
    MISSING_RIGHTS,
    NO_GROUP,
    NO_PROJECT,
    NOT_SIGNED_IN,
    call,
    events,
    lacks_scope,
    made,
)
from tests.people import People, Person


async def paths(person: Person, path: str) -> list[str]:
    status, found = await call(person, "GET", path)
    assert 200 == status, found
    return [one["path_with_namespace"] for one in found]


async def test_a_developer_makes_a_project_in_a_group(people: People, services: Services) -> None:
    group = await people.group("acme")
    developer = await people.member(group, AccessLevel.DEVELOPER)
    project = await made(developer, "/projects", name="My Tool", namespace_id=group.id, description="Builds")

    base = services.settings.base_url
    assert {
        "id": project["id"],
        "description": "Builds",
        "name": "My Tool",
        "name_with_namespace": "acme / My Tool",
        "path": "my-tool",
        "path_with_namespace": "acme/my-tool",
        "created_at": project["created_at"],
        "default_branch": "main",
        "tag_list": [],
        "topics": [],
        "web_url": f"{base}/acme/my-tool",
        "avatar_url": None,
        "star_count": 0,
        "forks_count": 0,
        "last_activity_at": project["created_at"],
        "visibility": "private",
        "namespace": {
            "id": group.id,
            "name": "acme",
            "path": "acme",
            "kind": "group",
            "full_path": "acme",
            "parent_id": None,
            "avatar_url": None,
            "web_url": f"{base}/groups/acme",
        },
        "_links": {
            "self": f"{base}/api/v4/projects/{project['id']}",
            "members": f"{base}/api/v4/projects/{project['id']}/members",
        },
        "packages_enabled": True,
        "package_registry_access_level": "enabled",
        "empty_repo": True,
        "archived": False,
        "creator_id": developer.user_id,
        "permissions": {
            "project_access": {"access_level": 40, "notification_level": 3},
            "group_access": {"access_level": 30, "notification_level": 3},
        },
        "npm_package_requests_forwarding": True,
        "pypi_package_requests_forwarding": True,
        "pypi_validation": "basic",
        "npm_validation": "default",
        "immutable_file_names": False,
        "attestation_identities": [],
        "package_stages_required": False,
        "package_stages_four_eyes": False,
        "package_stage_days": 7,
    } == project
    assert (200, project) == await call(developer, "GET", "/projects/acme%2Fmy-tool")
    assert (200, project) == await call(developer, "GET", f"/projects/{project['id']}")
    assert "project_created" in await events(services)


async def test_an_owner_of_the_group_is_not_made_a_member_of_the_project(people: People) -> None:
    group = await people.group("acme")
    owner = await people.member(group, AccessLevel.OWNER)
    project = await made(owner, "/projects", name="tool", namespace_id=group.id)
    assert (200, []) == await call(owner, "GET", f"/projects/{project['id']}/members")


async def test_without_a_namespace_a_project_is_personal(people: People) -> None:
    person = await people.user()
    username = (await call(person, "GET", "/user"))[1]["username"]
    project = await made(person, "/projects", path="tool.js", visibility="public")

    assert (f"{username}/tool.js", "user", "tool.js") == (
        project["path_with_namespace"],
        project["namespace"]["kind"],
        project["name"],
    )
    status, seen = await call(people.anonymous, "GET", f"/projects/{username}%2Ftool.js")
    assert 200 == status
    assert "permissions" not in seen


async def test_a_namespace_where_one_may_not_create_is_not_valid(people: People) -> None:
    hidden = await people.group("hidden")
    public = await people.group("public", visibility="public")
    reporter = await people.member(hidden, AccessLevel.REPORTER)
    other = await people.user()
    personal = (await call(other, "GET", "/user"))[1]["namespace_id"]

    refusal = (400, {"message": {"namespace": ["is not valid"]}})
    for namespace_id in (hidden.id, public.id, personal, 4711):
        values = {"name": "tool", "namespace_id": namespace_id}
        assert refusal == await call(reporter, "POST", "/projects", json=values)
    assert NOT_SIGNED_IN == await call(people.anonymous, "POST", "/projects", json={"name": "tool"})


REFUSED_A_PROJECT = [
    ({}, {"error": "name, path are missing, at least one parameter must be provided"}),
    ({"name": "a", "visibility": "open"}, {"error": "visibility does not have a valid value"}),
    (
        {"name": "a", "package_registry_access_level": "everybody"},
        {"error": "package_registry_access_level does not have a valid value"},
    ),
    ({"name": "a", "namespace_id": "acme"}, {"error": "namespace_id is invalid"}),
    ({"name": {"a": 1}}, {"error": "name is invalid"}),
    ({"name": "tool"}, {"message": {"path": ["has already been taken"]}}),
    ({"name": "tool", "pypi_validation": "lax"}, {"error": "pypi_validation does not have a valid value"}),
]


async def test_a_project_that_cannot_be_is_refused(people: People) -> None:
    await made(people.root, "/projects", name="tool")
    for values, body in REFUSED_A_PROJECT:
        assert (400, body) == await call(people.root, "POST", "/projects", json=values)


NO_OBJECTS = [b"{", b"[]", b"\xff", b'"text"']


async def test_a_body_that_is_no_object_is_refused(people: People) -> None:
    for body in NO_OBJECTS:
        status, answer = await call(
            people.root, "POST", "/projects", data=body, headers={"Content-Type": "application/json"}
        )
        assert (400, ["message"]) == (status, list(answer))


async def test_a_hidden_project_looks_like_an_absent_one(people: People) -> None:
    project = await people.project()
    outsider = await people.user()

    for person in (outsider, people.anonymous):
        assert NO_PROJECT == await call(person, "GET", f"/projects/{project.id}")
        assert NO_PROJECT == await call(person, "GET", "/projects/4711")
        assert NO_PROJECT == await call(person, "GET", "/projects/no%2Fsuch")
    for method in ("PUT", "DELETE"):
        assert NO_PROJECT == await call(outsider, method, f"/projects/{project.id}")
        assert NOT_SIGNED_IN == await call(people.anonymous, method, f"/projects/{project.id}")
    assert (404, {"error": "404 Not Found"}) == await call(people.root, "GET", f"/projects/{project.full_path}")


async def test_maintainers_change_a_project_and_owners_its_visibility(people: People, services: Services) -> None:
    group = await people.group("acme", visibility="public")
    project = await people.project(group, "tool")
    developer = await people.member(project, AccessLevel.DEVELOPER)
    maintainer = await people.member(project, AccessLevel.MAINTAINER)
    owner = await people.member(project, AccessLevel.OWNER)
    here = f"/projects/{project.id}"

    assert MISSING_RIGHTS == await call(developer, "PUT", here, json={"name": "New"})
    status, changed = await call(
        maintainer, "PUT", here, json={"name": "New", "path": "new", "package_registry_access_level": "public"}
    )
    assert (200, "acme/new", "New", "public") == (
        status,
        changed["path_with_namespace"],
        changed["name"],
        changed["package_registry_access_level"],
    )
    assert MISSING_RIGHTS == await call(maintainer, "PUT", here, json={"visibility": "public"})
    assert 200 == (await call(maintainer, "PUT", here, json={"visibility": "private"}))[0]
    assert "public" == (await call(owner, "PUT", here, json={"visibility": "public"}))[1]["visibility"]
    assert (await call(owner, "PUT", here, data={"packages_enabled": "false"}))[1]["packages_enabled"] is False
    assert ["project_updated"] * 4 == (await events(services))[-4:]


async def test_two_changes_at_once_both_last(people: People) -> None:

    project = await people.project()
    here = f"/projects/{project.id}"
    await asyncio.gather(
        *(call(people.root, "PUT", here, json={name: "changed"}) for name in ("name", "path", "description"))
    )
    status, seen = await call(people.root, "GET", here)
    assert (200, "changed", "changed", "changed") == (status, seen["name"], seen["path"], seen["description"])


async def test_a_project_is_never_more_open_than_its_group(people: People) -> None:
    group = await people.group("acme")
    refusal = (400, {"message": {"visibility_level": ["public is not allowed in a group that is private"]}})
    values = {"name": "tool", "namespace_id": group.id, "visibility": "public"}
    assert refusal == await call(people.root, "POST", "/projects", json=values)
    project = await people.project(group)
    assert refusal == await call(people.root, "PUT", f"/projects/{project.id}", json={"visibility": "public"})


async def test_package_settings_override_those_above(people: People) -> None:
    project = await people.project(await people.group("acme"))
    maintainer = await people.member(project, AccessLevel.MAINTAINER)
    here = f"/projects/{project.id}"

    await call(people.root, "PUT", "/application/settings", json={"pypi_validation": "standard"})
    assert "standard" == (await call(maintainer, "GET", here))[1]["pypi_validation"]
    await call(people.root, "PUT", "/groups/acme", json={"pypi_validation": "strict", "immutable_file_names": True})
    seen = (await call(maintainer, "GET", here))[1]
    assert ("strict", True) == (seen["pypi_validation"], seen["immutable_file_names"])
    seen = (await call(maintainer, "PUT", here, json={"pypi_validation": "basic", "npm_validation": "strict"}))[1]
    assert ("basic", "strict") == (seen["pypi_validation"], seen["npm_validation"])
    assert "strict" == (await call(maintainer, "PUT", here, json={"pypi_validation": None}))[1]["pypi_validation"]


async def test_owners_archive_and_delete(people: People, services: Services) -> None:
    project = await people.project()
    maintainer = await people.member(project, AccessLevel.MAINTAINER)
    owner = await people.member(project, AccessLevel.OWNER)
    here = f"/projects/{project.id}"

    for method, path in (("POST", f"{here}/archive"), ("POST", f"{here}/unarchive"), ("DELETE", here)):
        assert MISSING_RIGHTS == await call(maintainer, method, path)
    status, seen = await call(owner, "POST", f"{here}/archive")
    assert (201, True) == (status, seen["archived"])
    status, seen = await call(owner, "POST", f"{here}/unarchive")
    assert (201, False) == (status, seen["archived"])
    assert (202, {"message": "202 Accepted"}) == await call(owner, "DELETE", here)
    assert NO_PROJECT == await call(owner, "GET", here)
    assert NO_PROJECT == await call(people.root, "DELETE", here)
    assert "project_deleted" == (await events(services))[-1]


async def test_lists_show_what_the_caller_may_see(people: People) -> None:
    group = await people.group("acme", visibility="public")
    await people.project(group, "open", visibility="public")
    await people.project(group, "inner", visibility="internal")
    mine = await people.project(group, "mine")
    sub = await people.group("sub", parent=group)
    await people.project(sub, "deep")
    guest = await people.member(mine, AccessLevel.GUEST)
    maintainer = await people.member(sub, AccessLevel.MAINTAINER)
    outsider = await people.user()

    assert ["acme/open"] == await paths(people.anonymous, "/projects")
    assert ["acme/inner", "acme/open"] == await paths(outsider, "/projects")
    assert ["acme/mine", "acme/inner", "acme/open"] == await paths(guest, "/projects")
    assert ["acme/sub/deep", "acme/inner", "acme/open"] == await paths(maintainer, "/projects")
    assert ["acme/sub/deep", "acme/mine", "acme/inner", "acme/open"] == await paths(people.root, "/projects")
    assert ["acme/mine"] == await paths(guest, "/projects?membership=true")
    assert [] == await paths(guest, "/projects?min_access_level=20")
    assert ["acme/sub/deep"] == await paths(maintainer, "/projects?min_access_level=40")
    assert [] == await paths(maintainer, "/projects?owned=true")
    assert [] == await paths(people.root, "/projects?membership=true")

    assert ["acme/open"] == await paths(people.anonymous, "/groups/acme/projects")
    assert ["acme/inner", "acme/open"] == await paths(maintainer, f"/groups/{group.id}/projects")
    assert ["acme/sub/deep", "acme/inner", "acme/open"] == await paths(
        maintainer, "/groups/acme/projects?include_subgroups=true"
    )
    assert NO_GROUP == await call(outsider, "GET", "/groups/acme%2Fsub/projects")
    assert NO_GROUP == await call(people.anonymous, "GET", "/groups/acme%2Fsub/projects")


async def test_lists_are_filtered_and_ordered(people: People) -> None:
    group = await people.group("acme", visibility="public")
    for name in ("Beta", "alpha", "Gamma"):
        await made(people.root, "/projects", name=name, namespace_id=group.id, description=f"about {name}")
    await call(people.root, "PUT", "/projects/acme%2Fbeta", json={"visibility": "public"})
    await call(people.root, "POST", "/projects/acme%2Fgamma/archive")

    a, b, c = "acme/alpha", "acme/beta", "acme/gamma"
    assert [c, a, b] == await paths(people.root, "/projects")
    assert [b, a, c] == await paths(people.root, "/projects?sort=asc")
    assert [c, b, a] == await paths(people.root, "/projects?order_by=name")
    assert [a, b, c] == await paths(people.root, "/projects?order_by=path&sort=asc")
    assert [b, a, c] == await paths(people.root, "/projects?order_by=last_activity_at&sort=asc")
    assert [c] == await paths(people.root, "/projects?search=ABOUT%20gamma")
    assert [] == await paths(people.root, "/projects?search=acme")
    assert 3 == len(await paths(people.root, "/projects?search=acme&search_namespaces=true"))
    assert [b] == await paths(people.root, "/projects?visibility=public")
    assert [c] == await paths(people.root, "/projects?archived=true")
    assert [a, b] == await paths(people.root, "/projects?archived=no")
    status, found = await call(people.root, "GET", "/projects?simple=true")
    assert (200, False) == (status, any("permissions" in one for one in found))


async def test_a_read_token_reads_and_a_deploy_token_is_nobody(people: People) -> None:
    project = await people.project()
    other = await people.project(visibility="public")
    reader = await people.member(project, AccessLevel.OWNER, scopes=("read_api",))
    deploy = await people.deploy_token(project)

    assert 200 == (await call(reader, "GET", f"/projects/{project.id}"))[0]
    for method in ("PUT", "DELETE"):
        assert lacks_scope() == await call(reader, method, f"/projects/{project.id}", json={"name": "x"})
    assert NO_PROJECT == await call(deploy, "GET", f"/projects/{project.id}")
    for path in (f"/projects/{other.id}", "/projects", f"/projects/{project.id}/members", f"/projects/{project.id}"):
        assert await call(people.anonymous, "GET", path) == await call(deploy, "GET", path)
