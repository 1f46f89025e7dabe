"""Groups through the management API."""

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
    return [one["full_path"] for one in found]


async def test_anybody_makes_a_group_and_owns_it(people: People, services: Services) -> None:
    person = await people.user()
    group = await made(person, "/groups", name="Acme Inc", path="acme", visibility="public", description="Tools")

    assert {
        "id": group["id"],
        "web_url": f"{services.settings.base_url}/groups/acme",
        "name": "Acme Inc",
        "path": "acme",
        "description": "Tools",
        "visibility": "public",
        "request_access_enabled": False,
        "project_creation_level": "developer",
        "subgroup_creation_level": "maintainer",
        "avatar_url": None,
        "full_name": "Acme Inc",
        "full_path": "acme",
        "created_at": group["created_at"],
        "parent_id": None,
        "npm_package_requests_forwarding": True,
        "pypi_package_requests_forwarding": True,
        "lock_npm_package_requests_forwarding": False,
        "lock_pypi_package_requests_forwarding": False,
        "pypi_validation": "basic",
        "npm_validation": "default",
        "immutable_file_names": False,
        "attestation_identities": [],
        "package_stages_required": False,
        "package_stages_four_eyes": False,
        "package_stage_days": 7,
    } == group
    status, member = await call(person, "GET", f"/groups/acme/members/{person.user_id}")
    assert (200, 50) == (status, member["access_level"])
    assert "group_created" in await events(services)
    assert (200, group) == await call(people.anonymous, "GET", "/groups/ACME")


async def test_a_subgroup_needs_a_maintainer(people: People) -> None:
    group = await people.group("acme")
    developer = await people.member(group, AccessLevel.DEVELOPER)
    maintainer = await people.member(group, AccessLevel.MAINTAINER)
    outsider = await people.user()
    values = {"name": "Sub", "path": "sub", "parent_id": group.id}

    assert MISSING_RIGHTS == await call(developer, "POST", "/groups", json=values)
    assert NO_GROUP == await call(outsider, "POST", "/groups", json=values)
    assert NO_GROUP == await call(outsider, "POST", "/groups", json={**values, "parent_id": 4711})
    assert NOT_SIGNED_IN == await call(people.anonymous, "POST", "/groups", json=values)
    sub = await made(maintainer, "/groups", **values)
    assert ("acme/sub", "acme / Sub", group.id) == (sub["full_path"], sub["full_name"], sub["parent_id"])


REFUSED_A_GROUP = [
    ({}, {"error": "name is missing, path is missing"}),
    ({"name": "A", "path": ""}, {"error": "path is empty"}),
    ({"name": "A", "path": "a", "visibility": "secret"}, {"error": "visibility does not have a valid value"}),
    ({"name": "A", "path": "a", "parent_id": "x"}, {"error": "parent_id is invalid"}),
    ({"name": "A", "path": "Taken"}, {"message": {"path": ["has already been taken"]}}),
    ({"name": "A\0", "path": "a"}, {"error": "name is invalid"}),
    ({"name": "A\n", "path": "a"}, {"message": {"name": ["holds control characters"]}}),
    ({"name": " ", "path": "a"}, {"message": {"name": ["can't be blank"]}}),
    ({"name": "A" * 256, "path": "a"}, {"message": {"name": ["is too long (maximum is 255 characters)"]}}),
    (
        {"name": "A", "path": "a", "description": "d" * 2001},
        {"message": {"description": ["is too long (maximum is 2000 characters)"]}},
    ),
]


async def test_a_group_that_cannot_be_is_refused(people: People) -> None:
    await people.group("taken")
    for values, body in REFUSED_A_GROUP:
        assert (400, body) == await call(people.root, "POST", "/groups", json=values)


AMBIGUOUS = ["a/b", "-a", ".a", "a.", "a.git", "a.atom", "42", "ä", "a b"]


async def test_paths_that_would_be_ambiguous_are_refused(people: People) -> None:
    for path in AMBIGUOUS:
        status, body = await call(people.root, "POST", "/groups", json={"name": "A", "path": path})
        assert (400, ["path"]) == (status, list(body["message"]))


async def test_what_is_hidden_looks_like_what_is_absent(people: People) -> None:
    group = await people.group("acme")
    outsider = await people.user()

    for person in (outsider, people.anonymous):
        assert NO_GROUP == await call(person, "GET", f"/groups/{group.id}")
        assert NO_GROUP == await call(person, "GET", "/groups/acme")
        assert NO_GROUP == await call(person, "GET", "/groups/4711")
    for method in ("PUT", "DELETE"):
        assert NO_GROUP == await call(outsider, method, "/groups/acme")
        assert NOT_SIGNED_IN == await call(people.anonymous, method, "/groups/acme")
        assert NOT_SIGNED_IN == await call(people.anonymous, method, "/groups/4711")


async def test_owners_change_a_group_and_what_is_below_moves_along(people: People, services: Services) -> None:
    group = await people.group("acme")
    project = await people.project(await people.group("sub", parent=group), "tool")
    owner = await people.member(group, AccessLevel.OWNER)
    maintainer = await people.member(group, AccessLevel.MAINTAINER)

    assert MISSING_RIGHTS == await call(maintainer, "PUT", f"/groups/{group.id}", json={"name": "New"})
    status, changed = await call(
        owner, "PUT", f"/groups/{group.id}", json={"path": "new", "name": "New", "description": "d"}
    )
    assert (200, "new", "New", "d") == (status, changed["full_path"], changed["name"], changed["description"])
    status, moved = await call(owner, "GET", "/projects/new%2Fsub%2Ftool")
    assert (200, project.id, "New / sub / tool") == (status, moved["id"], moved["name_with_namespace"])
    assert NO_PROJECT == await call(owner, "GET", "/projects/acme%2Fsub%2Ftool")
    assert "group_updated" in await events(services)


async def test_a_group_is_never_more_open_than_the_one_above_nor_less_than_what_is_below(people: People) -> None:
    group = await people.group("acme", visibility="internal")
    await people.project(group, "tool", visibility="internal")

    status, body = await call(
        people.root, "POST", "/groups", json={"name": "S", "path": "s", "parent_id": group.id, "visibility": "public"}
    )
    assert (400, {"message": {"visibility_level": ["public is not allowed in a group that is internal"]}}) == (
        status,
        body,
    )
    status, body = await call(people.root, "PUT", f"/groups/{group.id}", json={"visibility": "private"})
    below = "private is not allowed since there are internal projects or groups below"
    assert (400, {"message": {"visibility_level": [below]}}) == (status, body)


async def test_deleting_a_group_deletes_everything_below(people: People, services: Services) -> None:
    group = await people.group("acme")
    sub = await people.group("sub", parent=group)
    project = await people.project(sub, "tool")
    owner = await people.member(group, AccessLevel.OWNER)
    maintainer = await people.member(group, AccessLevel.MAINTAINER)
    bot = await made(people.root, f"/projects/{project.id}/access_tokens", name="bot", scopes=["api"])

    assert MISSING_RIGHTS == await call(maintainer, "DELETE", "/groups/acme")
    assert (202, {"message": "202 Accepted"}) == await call(owner, "DELETE", "/groups/acme")
    for path in ("/groups/acme", "/groups/acme%2Fsub"):
        assert NO_GROUP == await call(people.root, "GET", path)
    assert NO_PROJECT == await call(people.root, "GET", f"/projects/{project.id}")
    assert NOT_SIGNED_IN == await call(Person(people.client, bot["token"]), "GET", "/user")
    assert ["project_deleted", "group_deleted"] == (await events(services))[-2:]
    await made(people.root, "/groups", name="Acme", path="acme")


async def test_what_is_made_while_its_group_is_deleted_is_refused_or_gone(people: People, services: Services) -> None:
    group = await people.group("acme")
    sub = await people.group("sub", parent=group)
    makers = [
        call(people.root, "POST", path, json={"name": "p", "path": f"p{number}", key: home})
        for number, (path, key, home) in enumerate(
            [
                ("/projects", "namespace_id", sub.id),
                ("/groups", "parent_id", group.id),
                ("/groups", "parent_id", sub.id),
            ]
            * 3
        )
    ]
    answers = await asyncio.gather(*makers[:5], call(people.root, "DELETE", "/groups/acme"), *makers[5:])

    assert {status for status, _ in answers} <= {201, 202, 400, 404}
    assert 0 == await services.db.fetchval("SELECT count(*) FROM routes WHERE path LIKE 'acme%'")


async def test_lists_show_what_the_caller_may_see(people: People) -> None:
    await people.group("open", visibility="public")
    await people.group("inner", visibility="internal")
    hidden = await people.group("hidden")
    deep = await people.group("deep", parent=hidden)
    await people.group("deeper", parent=deep)
    await people.group("other", parent=hidden)
    member = await people.member(deep, AccessLevel.GUEST)
    outsider = await people.user()

    assert ["open"] == await paths(people.anonymous, "/groups")
    assert ["inner", "open"] == await paths(outsider, "/groups")
    # The group above is seen, its other children are not.
    assert ["hidden/deep", "hidden/deep/deeper", "hidden", "inner", "open"] == await paths(member, "/groups")
    assert ["hidden/deep", "hidden/deep/deeper"] == await paths(member, "/groups?all_available=false")
    assert [] == await paths(member, "/groups?owned=true")
    assert [] == await paths(member, "/groups?min_access_level=20")
    assert ["hidden/deep", "hidden/deep/deeper"] == await paths(member, "/groups?min_access_level=10")
    assert ["hidden/deep"] == await paths(member, f"/groups/{hidden.id}/subgroups")
    assert ["hidden/deep", "hidden/deep/deeper"] == await paths(member, "/groups/hidden/descendant_groups")
    assert 6 == len(await paths(people.root, "/groups"))
    assert NO_GROUP == await call(outsider, "GET", "/groups/hidden/subgroups")


async def test_lists_are_filtered_and_ordered(people: People) -> None:
    ids = {}
    for path, name in (("b", "Beta"), ("a", "alpha"), ("c", "Gamma 100%")):
        ids[path] = (await made(people.root, "/groups", path=path, name=name, visibility="public"))["id"]
    await made(people.root, "/groups", path="sub", name="Sub", parent_id=ids["a"])

    assert ["a", "b", "c", "a/sub"] == await paths(people.root, "/groups")
    assert ["a/sub", "c", "b", "a"] == await paths(people.root, "/groups?sort=desc")
    assert ["b", "a", "c", "a/sub"] == await paths(people.root, "/groups?order_by=id")
    assert ["a", "b", "c", "a/sub"] == await paths(people.root, "/groups?order_by=path")
    assert ["c"] == await paths(people.root, "/groups?search=100%25")
    assert ["a/sub"] == await paths(people.root, "/groups?visibility=private")
    assert ["a", "b", "c"] == await paths(people.root, "/groups?top_level_only=true")
    assert ["c", "a/sub"] == await paths(people.root, f"/groups?skip_groups[]={ids['a']}&skip_groups[]={ids['b']}")
    assert (400, {"error": "order_by does not have a valid value"}) == await call(
        people.root, "GET", "/groups?order_by=age"
    )


async def test_forwarding_cascades_and_can_be_locked(people: People) -> None:
    group = await people.group("acme")
    sub = await people.group("sub", parent=group)
    owner = await people.member(group, AccessLevel.OWNER)
    project = await people.project(sub, "tool")
    name = "npm_package_requests_forwarding"

    assert 200 == (await call(owner, "PUT", "/groups/acme", json={name: False}))[0]
    assert (await call(owner, "GET", f"/projects/{project.id}"))[1][name] is False
    assert (await call(owner, "PUT", f"/groups/{sub.id}", json={name: True}))[1][name] is True
    assert (await call(owner, "GET", f"/projects/{project.id}"))[1][name] is True
    assert (await call(owner, "PUT", f"/groups/{sub.id}", json={name: None}))[1][name] is False

    locked = await call(owner, "PUT", "/groups/acme", json={f"lock_{name}": True})
    assert (200, True) == (locked[0], locked[1][f"lock_{name}"])
    refusal = (400, {"message": {name: ["cannot be changed because it is locked by an ancestor"]}})
    assert refusal == await call(owner, "PUT", f"/groups/{sub.id}", json={name: True})
    assert refusal == await call(owner, "PUT", f"/projects/{project.id}", json={name: True})
    assert (await call(owner, "GET", f"/groups/{sub.id}"))[1][f"lock_{name}"] is True
    for path, home in (("/projects", {"namespace_id": sub.id}), ("/groups", {"parent_id": sub.id})):
        assert refusal == await call(owner, "POST", path, json={"name": "n", "path": "n", name: True, **home})
    strict = await made(owner, "/groups", name="n", path="n", parent_id=sub.id, pypi_validation="strict")
    assert ("strict", False) == (strict["pypi_validation"], strict[name])


async def test_a_read_token_reads(people: People) -> None:
    group = await people.group("acme")
    reader = await people.member(group, AccessLevel.OWNER, scopes=("read_api",))

    assert 200 == (await call(reader, "GET", "/groups/acme"))[0]
    assert lacks_scope() == await call(reader, "PUT", "/groups/acme", json={"name": "x"})
    assert lacks_scope() == await call(reader, "DELETE", "/groups/acme")
    assert lacks_scope() == await call(reader, "POST", "/groups", json={"name": "x", "path": "x"})
