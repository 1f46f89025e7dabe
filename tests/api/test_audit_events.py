"""Audit events through the management API: every change with who made it, from where, and to what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from yarl import URL

from registry.access import AccessLevel
from registry.model import Group, Project
from registry.services import Services
from tests.api.asking import MISSING_RIGHTS, NO_GROUP, NO_PROJECT, NOT_SIGNED_IN, call, lacks_scope, links, made
from tests.api.published import publish
from tests.formats.npm.transcripts import path as npm_path
from tests.formats.npm.transcripts import publish as npm_publish
from tests.formats.npm.transcripts import send
from tests.formats.pypi.pages import put
from tests.people import People, Person

ALL = "/audit_events"
NO_EVENT = (404, {"message": "404 Audit Event Not Found"})


def base(home: Project | Group) -> str:
    return f"/{'projects' if isinstance(home, Project) else 'groups'}/{home.id}/audit_events"


async def told(person: Person, path: str) -> list[dict[str, Any]]:
    status, found = await call(person, "GET", path)
    assert 200 == status, found
    return list(found)


@pytest.fixture
async def project(people: People) -> Project:
    return await people.project(await people.group("acme"), "tool")


async def test_an_event_has_gitlabs_shape(people: People, project: Project, services: Services) -> None:
    developer = await people.member(project, AccessLevel.DEVELOPER)
    digest = await put(developer, project, "demo", "1.0")
    (event, *_) = await told(people.root, base(project))
    row = await services.db.fetchrow(
        "SELECT p.id AS package_id, t.id AS token_id, u.name"
        "  FROM packages AS p, users AS u JOIN personal_access_tokens AS t ON t.user_id = u.id WHERE u.id = $1",
        developer.user_id,
    )
    assert row is not None
    assert {
        "id": event["id"],
        "author_id": developer.user_id,
        "entity_id": project.id,
        "entity_type": "Project",
        "event_name": "package_published",
        "details": {
            "event_name": "package_published",
            "author_name": row["name"],
            "author_class": "User",
            "token_id": row["token_id"],
            "target_id": row["package_id"],
            "target_type": "Packages::Package",
            "target_details": "pypi/demo/1.0/demo-1.0.tar.gz",
            "custom_message": "Package published",
            "ip_address": "127.0.0.1",
            "entity_path": "acme/tool",
            "package_id": row["package_id"],
            "package_type": "pypi",
            "name": "demo",
            "version": "1.0",
            "file_name": "demo-1.0.tar.gz",
            "sha256": digest,
        },
        "created_at": event["created_at"],
    } == event
    for path in (f"{base(project)}/{event['id']}", f"{ALL}/{event['id']}"):
        assert (200, event) == await call(people.root, "GET", path)


async def test_every_change_has_actor_token_address_and_coordinate(people: People, services: Services) -> None:
    """Everything that can be changed through the API, once."""
    root = people.root
    group = await made(root, "/groups", name="Acme", path="acme")
    await call(root, "PUT", f"/groups/{group['id']}", json={"description": "x"})
    project = await made(root, "/projects", name="tool", namespace_id=group["id"])
    home = f"/projects/{project['id']}"
    user = await made(root, "/users", name="Ada", username="ada", email="ada@example.com")
    for action in ("block", "unblock"):
        await call(root, "POST", f"/users/{user['id']}/{action}")
    await call(root, "PUT", home, json={"description": "x"})
    for place in (home, f"/groups/{group['id']}"):
        await made(root, f"{place}/members", user_id=user["id"], access_level=20)
        await call(root, "PUT", f"{place}/members/{user['id']}", json={"access_level": 30})
        await call(root, "DELETE", f"{place}/members/{user['id']}")
        deploy = await made(root, f"{place}/deploy_tokens", name="d", scopes=["read_package_registry"])
        await call(root, "DELETE", f"{place}/deploy_tokens/{deploy['id']}")
        await made(root, f"{place}/access_tokens", name="b", scopes=["api"])
    token = await made(root, f"/users/{user['id']}/personal_access_tokens", name="t", scopes=["api"])
    new = (await call(root, "POST", f"/personal_access_tokens/{token['id']}/rotate"))[1]
    await call(root, "POST", f"/personal_access_tokens/{token['id']}/rotate")
    await call(root, "DELETE", f"/personal_access_tokens/{new['id']}")
    await call(root, "PUT", "/application/settings", json={"pypi_validation": "strict"})
    rules = f"{home}/packages/protection/rules"
    rule = await made(root, rules, package_name_pattern="x*", package_type="npm", minimum_access_level_for_push="owner")
    await call(root, "PATCH", f"{rules}/{rule['id']}", json={"minimum_access_level_for_push": "admin"})
    await call(root, "DELETE", f"{rules}/{rule['id']}")
    place = await services.lookups.project(str(project["id"]))
    assert place is not None
    await npm_publish(root, place, "@acme/ui", "1.0.0")
    tag = npm_path(place, "-/package/@acme%2fui/dist-tags/next")
    await root.ask("PUT", tag, json="1.0.0")
    await root.ask("DELETE", tag)
    await send(root, place, {"name": "@acme/ui", "versions": {"1.0.0": {"deprecated": "no"}}})
    (package,) = (await call(root, "GET", f"{home}/packages"))[1]
    (file,) = (await call(root, "GET", f"{home}/packages/{package['id']}/package_files"))[1]
    await call(root, "DELETE", f"{home}/packages/{package['id']}/package_files/{file['id']}")
    await call(root, "DELETE", f"{home}/packages/{package['id']}")
    await call(root, "DELETE", home)
    await call(root, "DELETE", f"/groups/{group['id']}")

    found = await told(root, f"{ALL}?sort=asc&per_page=100")
    start = next(n for n, one in enumerate(found) if one["event_name"] == "group_created")
    before, found = found[:start], found[start:]
    # The account of root and its token are the server's own doing.
    assert ["user_created", "personal_access_token_created"] == [one["event_name"] for one in before]
    assert {(-1, "System", None)} == {
        (one["author_id"], one["details"]["author_class"], one["details"]["ip_address"]) for one in before
    }
    own = (await call(root, "GET", "/personal_access_tokens/self"))[1]
    expected = (own["user_id"], own["id"], "127.0.0.1", "Administrator", "User")
    for one in found:
        details = one["details"]
        who = (one["author_id"], details["token_id"], details["ip_address"], details["author_name"])
        assert expected == (*who, details["author_class"]), one
    at_home = ("Project", project["id"], "acme/tool")
    in_group = ("Group", group["id"], "acme")
    everything = ("Gitlab::Audit::InstanceScope", 1, "")
    about_ada = ("User", user["id"], "ada")
    memberships = ["member_added", "member_updated", "member_removed", "deploy_token_created", "deploy_token_revoked"]
    version = "npm/@acme/ui/1.0.0"
    assert [
        ("group_created", *in_group, "acme"),
        ("group_updated", *in_group, "acme"),
        ("project_created", *at_home, "acme/tool"),
        ("user_created", *about_ada, "ada"),
        ("user_blocked", *about_ada, "ada"),
        ("user_active", *about_ada, "ada"),
        ("project_updated", *at_home, "acme/tool"),
        *[(name, *at_home, "acme/tool") for name in (*memberships, "project_access_token_created")],
        *[(name, *in_group, "acme") for name in (*memberships, "group_access_token_created")],
        ("personal_access_token_created", *about_ada, "ada"),
        ("personal_access_token_rotated", *about_ada, "ada"),
        ("personal_access_token_family_revoked", *about_ada, "ada"),
        ("application_settings_updated", *everything, ""),
        ("package_protection_rule_created", *at_home, "npm/x*"),
        ("package_protection_rule_updated", *at_home, "npm/x*"),
        ("package_protection_rule_deleted", *at_home, "npm/x*"),
        ("package_published", *at_home, f"{version}/@acme/ui-1.0.0.tgz"),
        ("package_tag_set", *at_home, f"{version}/next"),
        ("package_tag_deleted", *at_home, "npm/@acme/ui/next"),
        ("package_deprecated", *at_home, "npm/@acme/ui"),
        ("package_file_deleted", *at_home, f"{version}/@acme/ui-1.0.0.tgz"),
        ("package_deleted", *at_home, version),
        ("project_deleted", *at_home, "acme/tool"),
        ("group_deleted", *in_group, "acme"),
    ] == [
        (one["event_name"], one["entity_type"], one["entity_id"], details["entity_path"], details["target_details"])
        for one in found
        for details in [one["details"]]
    ]
    assert not any(secret in str(found) for secret in (token["token"], new["token"], deploy["token"]))


async def test_a_deploy_token_is_named_as_the_author(people: People, project: Project) -> None:
    writer = await people.deploy_token(project, "write_package_registry")
    (deploy,) = (await call(people.root, "GET", f"/projects/{project.id}/deploy_tokens"))[1]
    await put(writer, project, "demo", "1.0")
    (event, *_) = await told(people.root, base(project))
    details = event["details"]
    assert (-2, "test", "DeployToken", deploy["id"], "127.0.0.1") == (
        event["author_id"],
        *(details[name] for name in ("author_name", "author_class", "token_id", "ip_address")),
    )


async def test_events_are_filtered_and_paged(people: People, project: Project, services: Services) -> None:
    for number in range(5):
        await publish(services, project, version=f"{number}.0")
    group = await services.lookups.group("acme")
    assert group is not None
    await services.db.execute("UPDATE audit_events SET created_at = now() - (100 - id) * interval '1 hour'")
    events = await told(people.root, f"{ALL}?per_page=100")
    ids = [one["id"] for one in events]
    assert sorted(ids, reverse=True) == ids
    of_project = [one["id"] for one in events if one["entity_type"] == "Project"]

    async def found(query: str, path: str = ALL) -> list[int]:
        return [one["id"] for one in await told(people.root, f"{path}?{query}")]

    assert of_project == await found("", base(project))
    assert of_project == await found(f"entity_type=Project&entity_id={project.id}")
    assert [one["id"] for one in events if one["entity_type"] == "User"] == await found("entity_type=User")
    assert 1 == len(await found("", base(group)))
    assert [] == await found("entity_type=Gitlab::Audit::InstanceScope&entity_id=1")
    middle = events[3]["created_at"]
    assert ids[:4] == await found(f"created_after={middle[:-5]}Z")
    assert ids[4:] == await found(f"created_before={middle[:-5]}Z")
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date()
    assert [] == await found(f"created_after={tomorrow}")
    assert ids[::-1][:2] == await found("sort=asc&per_page=2")

    response = await people.root.get(f"/api/v4{ALL}?per_page=2&page=2")
    assert ids[2:4] == [one["id"] for one in await response.json()]
    assert [str(len(ids)), "3", "1"] == [response.headers[name] for name in ("X-Total", "X-Next-Page", "X-Prev-Page")]
    walked, url = [], f"/api/v4{ALL}?pagination=keyset&per_page=3&order_by=id"
    while url:
        response = await people.root.get(url)
        assert "X-Total" not in response.headers
        walked += [one["id"] for one in await response.json()]
        url = str(URL(links(response)["next"]).relative()) if "next" in links(response) else ""
    assert ids == walked
    for query, error in (
        ("entity_id=1", "entity_type is missing"),
        ("entity_type=Key", "entity_type does not have a valid value"),
        ("created_after=noon", "created_after is invalid"),
    ):
        assert (400, {"error": error}) == await call(people.root, "GET", f"{ALL}?{query}")
    assert 405 == (await call(people.root, "GET", f"{ALL}?per_page=100&page=502"))[0]


async def test_who_may_read_events(people: People, project: Project, services: Services) -> None:
    group = await services.lookups.group("acme")
    assert group is not None
    (*_, event) = await told(people.root, ALL)
    outsider, admin = await people.user(), await people.user(admin=True, scopes=("read_api",))
    homes = (project, AccessLevel.DEVELOPER, AccessLevel.MAINTAINER), (group, AccessLevel.MAINTAINER, AccessLevel.OWNER)
    for home, too_low, enough in homes:
        for path in (base(home), f"{base(home)}/4711"):
            assert NOT_SIGNED_IN == await call(people.anonymous, "GET", path)
            hidden = NO_PROJECT if home is project else NO_GROUP
            assert hidden == await call(outsider, "GET", path)
            assert MISSING_RIGHTS == await call(await people.member(home, too_low), "GET", path)
        reader = await people.member(home, enough, scopes=("read_api",))
        assert 200 == (await call(reader, "GET", base(home)))[0]
        for event_id in (event["id"], 4711, "9" * 40):
            assert NO_EVENT == await call(reader, "GET", f"{base(home)}/{event_id}")
        assert (400, {"error": "audit_event_id is invalid"}) == await call(reader, "GET", f"{base(home)}/x")
        assert MISSING_RIGHTS == await call(reader, "GET", ALL)
    user = await people.user(admin=True, scopes=("read_user",))
    for path in (ALL, f"{ALL}/{event['id']}"):
        assert NOT_SIGNED_IN == await call(people.anonymous, "GET", path)
        assert lacks_scope() == await call(user, "GET", path)
        assert 200 == (await call(admin, "GET", path))[0]
    assert NO_EVENT == await call(admin, "GET", f"{ALL}/4711")
