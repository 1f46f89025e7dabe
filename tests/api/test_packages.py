"""Packages of projects and groups through the management API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from registry import tree
from registry.access import AccessLevel
from registry.model import Group, Project
from registry.services import Services
from tests import inventory
from tests.api.asking import (
    MISSING_RIGHTS,
    NO_GROUP,
    NO_PROJECT,
    call,
    events,
    lacks_scope,
    links,
)
from tests.api.published import publish
from tests.formats.pypi.pages import base as pypi_base
from tests.formats.pypi.pages import page, put
from tests.people import OPERATOR, People, Person

ABSENT = (404, {"message": "404 Not found"})


def base(home: Project | Group) -> str:
    noun = "projects" if isinstance(home, Project) else "groups"
    return f"/{noun}/{home.id}/packages"


async def names(person: Person, home: Project | Group, query: str = "") -> list[str]:
    """`name/version` of a list."""
    status, found = await call(person, "GET", f"{base(home)}?{query}")
    assert 200 == status, found
    return [f"{one['name']}/{one['version']}" for one in found]


@pytest.fixture
async def project(people: People) -> Project:
    return await people.project(await people.group("acme"), "tool")


async def test_a_package_is_shown_with_its_tags_and_its_other_versions(
    people: People, project: Project, services: Services
) -> None:
    maintainer = await people.member(project, AccessLevel.MAINTAINER)
    old = await publish(services, project, "@acme/ui", "1.0.0", package_type="npm", tags=["old"])
    new = await publish(services, project, "@acme/ui", "1.1.0", package_type="npm", tags=["latest", "next"])
    await publish(services, project, "@acme/other", "1.0.0", package_type="npm")

    status, shown = await call(maintainer, "GET", f"{base(project)}/{new}")
    tags = shown["tags"]
    assert ["latest", "next"] == [tag["name"] for tag in tags]
    assert {"id": tags[0]["id"], "package_id": new, "name": "latest"} == {
        name: tags[0][name] for name in ("id", "package_id", "name")
    }
    assert (200, {
        "id": new,
        "name": "@acme/ui",
        "version": "1.1.0",
        "package_type": "npm",
        "status": "default",
        "_links": {
            "web_path": f"/acme/tool/-/packages/{new}",
            "delete_api_path": f"{services.settings.base_url}/api/v4/projects/{project.id}/packages/{new}",
        },
        "created_at": shown["created_at"],
        "last_downloaded_at": None,
        "creator_id": None,
        "tags": tags,
        "pipelines": [],
        "versions": [
            {
                "id": old,
                "version": "1.0.0",
                "created_at": shown["versions"][0]["created_at"],
                "tags": shown["versions"][0]["tags"],
                "pipelines": [],
            }
        ],
    }) == (status, shown)  # fmt: skip
    assert ["old"] == [tag["name"] for tag in shown["versions"][0]["tags"]]

    status, listed = await call(maintainer, "GET", base(project))
    assert ([old, new], {**shown, "versions": 0}) == ([one["id"] for one in listed[:2]], {**listed[1], "versions": 0})
    assert "versions" not in listed[1]
    reader = await people.member(project, AccessLevel.OWNER, scopes=("read_api",))
    developer = await people.member(project, AccessLevel.DEVELOPER)
    for person in (reader, developer):
        status, one = await call(person, "GET", f"{base(project)}/{new}")
        assert (200, ["web_path"]) == (status, list(one["_links"]))


async def test_who_published_and_when_it_was_downloaded_last_is_told(
    people: People, project: Project, services: Services
) -> None:
    developer = await people.member(project, AccessLevel.DEVELOPER)
    digest = await put(developer, project, "demo", "1.0")
    (before,) = (await call(developer, "GET", base(project)))[1]
    got = await developer.get(f"{pypi_base(project)}/files/{digest}/demo-1.0.tar.gz")
    assert 200 == got.status
    await services.usage.flush()

    (after,) = (await call(developer, "GET", base(project)))[1]
    assert (developer.user_id, None) == (before["creator_id"], before["last_downloaded_at"])
    moment = datetime.fromisoformat(after["last_downloaded_at"])
    assert abs(datetime.now(UTC) - moment) < timedelta(minutes=1)
    assert after == {**before, "last_downloaded_at": after["last_downloaded_at"]}


async def test_every_filter_and_order(people: People, project: Project, services: Services) -> None:
    await publish(services, project, "Beta_One", "2.0")
    await publish(services, project, "alpha", "1.0")
    await publish(services, project, "alpha", "10.0")
    await publish(services, project, "beta-100%", "1.0", package_type="npm")
    hidden = await publish(services, project, "hidden", "1.0")
    await services.db.execute("UPDATE packages SET status = 'hidden' WHERE id = $1", hidden)
    ask = people.root

    made = ["Beta_One/2.0", "alpha/1.0", "alpha/10.0", "beta-100%/1.0"]
    assert made == await names(ask, project)
    for query, expected in (
        ("sort=desc", made[::-1]),
        ("order_by=name", ["alpha/1.0", "alpha/10.0", "beta-100%/1.0", "Beta_One/2.0"]),
        ("order_by=version", ["alpha/1.0", "beta-100%/1.0", "alpha/10.0", "Beta_One/2.0"]),
        ("order_by=type&sort=asc", ["beta-100%/1.0", "Beta_One/2.0", "alpha/1.0", "alpha/10.0"]),
        ("order_by=type&sort=desc", ["alpha/10.0", "alpha/1.0", "Beta_One/2.0", "beta-100%/1.0"]),
        ("package_type=npm", ["beta-100%/1.0"]),
        ("package_type=maven", []),
        ("package_name=BETA", ["Beta_One/2.0", "beta-100%/1.0"]),
        ("package_name=one%20beta", ["Beta_One/2.0"]),
        ("package_name=%25", ["beta-100%/1.0"]),
        ("package_name=_", ["Beta_One/2.0"]),
        ("package_name=%5C", []),
        ("package_name=", made),
        (f"package_name={'a' * 3000}", []),
        ("package_version=1.0", ["alpha/1.0", "beta-100%/1.0"]),
        ("package_version=", made),
        ("package_version=1", []),
        ("include_versionless=true", made),
        ("status=default", made),
        ("status=hidden", ["hidden/1.0"]),
        ("status=deprecated", []),
        ("status=pending_destruction", []),
    ):
        assert expected == await names(ask, project, query), query
    for query, error in (
        ("order_by=project_path", "order_by does not have a valid value"),
        ("order_by=size", "order_by does not have a valid value"),
        ("sort=up", "sort does not have a valid value"),
        ("package_type=npmx", "package_type does not have a valid value"),
        ("status=gone", "status does not have a valid value"),
        ("include_versionless=2", "include_versionless is invalid"),
        ("package_name=%00", "package_name is invalid"),
    ):
        assert (400, {"error": error}) == await call(ask, "GET", f"{base(project)}?{query}")


async def test_a_deprecated_version_is_listed_as_such_and_a_failed_one_has_no_page(
    people: People, project: Project, services: Services
) -> None:
    ids = {status: await publish(services, project, status) for status in ("deprecated", "error", "hidden")}
    for status, package_id in ids.items():
        await services.db.execute("UPDATE packages SET status = $2 WHERE id = $1", package_id, status)

    listed = (await call(people.root, "GET", base(project)))[1]
    assert ["deprecated", "error"] == [one["status"] for one in listed]
    assert 200 == (await call(people.root, "GET", f"{base(project)}/{ids['deprecated']}"))[0]
    assert (404, {"message": "Package not found"}) == await call(people.root, "GET", f"{base(project)}/{ids['error']}")
    assert ABSENT == await call(people.root, "GET", f"{base(project)}/{ids['hidden']}")


async def test_a_group_lists_what_the_caller_may_read_below_it(people: People, services: Services) -> None:
    group = await people.group("acme")
    below = await people.group("below", parent=group)
    mine, deep, shut = (
        await people.project(group, "tool"),
        await people.project(below, "deep"),
        await people.project(group, "shut", package_registry_access_level="disabled"),
    )
    elsewhere = await people.project()
    for number, home in enumerate((deep, mine, shut, elsewhere)):
        await publish(services, home, "demo", f"{number}.0")
    reporter = await people.member(group, AccessLevel.REPORTER)
    guest = await people.member(deep, AccessLevel.GUEST)

    status, found = await call(reporter, "GET", base(group))
    shown = [(one["version"], one["project_id"], one["project_path"]) for one in found]
    assert (200, [("0.0", deep.id, "acme/below/deep"), ("1.0", mine.id, "acme/tool")]) == (status, shown)
    assert f"/acme/below/deep/-/packages/{found[0]['id']}" == found[0]["_links"]["web_path"]
    assert ["demo/0.0"] == await names(guest, group)
    for query, expected in (
        ("exclude_subgroups=true", ["demo/1.0"]),
        ("order_by=project_path", ["demo/0.0", "demo/1.0"]),
        ("order_by=project_path&sort=desc", ["demo/1.0", "demo/0.0"]),
        ("order_by=version&sort=desc", ["demo/1.0", "demo/0.0"]),
        ("package_version=1.0", ["demo/1.0"]),
    ):
        assert expected == await names(reporter, group, query), query
    assert ["demo/0.0"] == await names(reporter, below)
    assert [] == await names(await people.member(group, AccessLevel.GUEST), await people.group("empty", parent=group))

    maintainer = await people.member(group, AccessLevel.MAINTAINER)
    (path, *_) = [one["_links"]["delete_api_path"] for one in (await call(maintainer, "GET", base(group)))[1]]
    assert path.endswith(f"/api/v4/projects/{deep.id}/packages/{found[0]['id']}")


async def test_who_may_list(people: People, services: Services) -> None:
    private = await people.project(await people.group("hidden"))
    public = await people.project(await people.group("open", visibility="public"), visibility="public")
    shut = await people.project(
        await people.group("shut", visibility="public"), visibility="public", package_registry_access_level="disabled"
    )
    guest, outsider = await people.member(private, AccessLevel.GUEST), await people.user()
    deploy, user = await people.deploy_token(private), await people.user(scopes=("read_user",))
    group = await services.lookups.group("hidden")
    assert group is not None

    for person, hidden, visible, disabled in (
        (people.anonymous, NO_PROJECT, 200, MISSING_RIGHTS),
        (outsider, NO_PROJECT, 200, MISSING_RIGHTS),
        (guest, (200, []), 200, MISSING_RIGHTS),
        (deploy, NO_PROJECT, 200, MISSING_RIGHTS),
        (user, lacks_scope(), 403, lacks_scope()),
    ):
        assert hidden == await call(person, "GET", base(private))
        assert visible == (await call(person, "GET", base(public)))[0]
        assert disabled == await call(person, "GET", base(shut))
    for person in (people.anonymous, outsider, deploy):
        assert NO_GROUP == await call(person, "GET", base(group))
        assert NO_GROUP == await call(person, "GET", "/groups/999999/packages")
        assert NO_PROJECT == await call(person, "GET", "/projects/999999/packages")
    assert (200, []) == await call(guest, "GET", base(group))


async def test_pages_lead_to_each_other_and_numbers_are_clamped(
    people: People, project: Project, services: Services
) -> None:
    for number in range(5):
        await publish(services, project, version=f"{number}.0")
    response = await people.root.get(f"/api/v4{base(project)}?per_page=2&page=2&sort=desc")
    url = f"{services.settings.base_url}/api/v4{base(project)}?sort=desc"

    assert ["2.0", "1.0"] == [one["version"] for one in await response.json()]
    assert {
        "prev": f"{url}&page=1&per_page=2",
        "next": f"{url}&page=3&per_page=2",
        "first": f"{url}&page=1&per_page=2",
        "last": f"{url}&page=3&per_page=2",
    } == links(response)
    names = ("X-Page", "X-Per-Page", "X-Next-Page", "X-Prev-Page", "X-Total", "X-Total-Pages")
    assert ["2", "2", "3", "1", "5", "3"] == [response.headers[name] for name in names]
    for query, seen in (
        ("page=0&per_page=0", ["1", "1", "2", "", "5", "5"]),
        ("page=3&per_page=2", ["3", "2", "", "2", "5", "3"]),
        ("page=999999999999&per_page=1000", [str(999999999999), "100", "", "999999999998", "5", "1"]),
    ):
        response = await people.root.get(f"/api/v4{base(project)}?{query}")
        assert seen == [response.headers[name] for name in names], query


async def test_totals_above_ten_thousand_are_left_out_however_deep_the_page(
    people: People, project: Project, services: Services
) -> None:
    async def add(count: int) -> None:
        await services.db.execute(
            """
            INSERT INTO packages (project_id, package_type, name, normalized_name, version)
            SELECT $1, 'pypi', 'bulk-' || n, 'bulk-' || n, $3 FROM generate_series(1, $2::int) AS n
            """,
            project.id,
            count,
            str(count),
        )

    async def heads(query: str) -> tuple[set[str], str | None, int]:
        response = await people.root.get(f"/api/v4{base(project)}?{query}")
        return set(links(response)), response.headers.get("X-Total"), len(await response.json())

    await add(9_999)
    await publish(services, project)
    assert ({"next", "first", "last"}, "10000", 20) == await heads("per_page=20")
    assert ({"prev", "first", "last"}, "10000", 20) == await heads("per_page=20&page=500")
    await publish(services, project, "one-more")
    for query, rels, rows in (
        ("per_page=20", {"next", "first"}, 20),
        ("per_page=20&page=500", {"prev", "next", "first"}, 20),
        ("per_page=20&page=501", {"prev", "first"}, 1),
        ("per_page=20&page=502", {"prev", "first"}, 0),
        ("per_page=20&order_by=name", {"next", "first"}, 20),
    ):
        assert (rels, None, rows) == await heads(query), query
    assert ({"first", "last"}, "1", 1) == await heads("per_page=20&package_name=ONE-MORE")


async def test_deleting_a_package_takes_it_from_everybody_at_once(
    people: People, project: Project, services: Services
) -> None:
    maintainer = await people.member(project, AccessLevel.MAINTAINER)
    await put(maintainer, project, "demo", "1.0")
    await put(maintainer, project, "demo", "2.0")
    (first, _) = (await call(maintainer, "GET", base(project)))[1]

    assert (204, None) == await call(maintainer, "DELETE", f"{base(project)}/{first['id']}")
    assert ABSENT == await call(maintainer, "DELETE", f"{base(project)}/{first['id']}")
    assert ABSENT == await call(maintainer, "GET", f"{base(project)}/{first['id']}")
    assert ["demo/2.0"] == await names(maintainer, project)
    assert ["demo-2.0.tar.gz"] == await page(maintainer, project, "demo")
    seen = await inventory.take(services)
    assert (1, 2, {"stored", "doomed"}) == (len(seen.files), len(seen.objects), {state for _, state in seen.blobs})
    row = await services.db.fetchrow("SELECT * FROM audit_events ORDER BY id DESC LIMIT 1")
    assert row is not None
    assert ("package_deleted", maintainer.user_id, "127.0.0.1", {
        "package_id": first["id"], "package_type": "pypi", "name": "demo", "version": "1.0",
    }) == (row["event_name"], row["author_id"], row["ip_address"], row["details"])  # fmt: skip
    assert row["token_id"] is not None


async def test_who_may_delete(people: People, services: Services) -> None:
    public = await people.project(visibility="public")
    private = await people.project()
    outsider = await people.user()
    for home, anonymous, stranger in ((public, MISSING_RIGHTS, MISSING_RIGHTS), (private, NO_PROJECT, NO_PROJECT)):
        path = f"{base(home)}/{await publish(services, home)}"
        developer = await people.member(home, AccessLevel.DEVELOPER)
        reader = await people.member(home, AccessLevel.OWNER, scopes=("read_api",))
        writer = await people.deploy_token(home, "write_package_registry")
        for person, expected in (
            (people.anonymous, anonymous),
            (writer, anonymous),
            (outsider, stranger),
            (developer, MISSING_RIGHTS),
            (reader, lacks_scope()),
        ):
            assert expected == await call(person, "DELETE", path)
        assert (204, None) == await call(await people.member(home, AccessLevel.MAINTAINER), "DELETE", path)
    assert 2 == (await events(services)).count("package_deleted")


async def test_a_package_changed_since_is_left_alone(people: People, project: Project, services: Services) -> None:
    package_id = await publish(services, project)
    path = f"{base(project)}/{package_id}"
    changed: datetime = await services.db.fetchval("SELECT updated_at FROM packages WHERE id = $1", package_id)
    failed = (412, {"message": "412 Precondition Failed"})

    def since(moment: datetime) -> dict[str, str]:
        return {"If-Unmodified-Since": moment.astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")}

    earlier = since(changed - timedelta(seconds=1))
    assert failed == await call(people.root, "DELETE", path, headers=earlier)
    (file,) = (await call(people.root, "GET", f"{path}/package_files"))[1]
    assert failed == await call(people.root, "DELETE", f"{path}/package_files/{file['id']}", headers=earlier)
    assert ["package_published"] == [name for name in await events(services) if name.startswith("package_")]
    assert (204, None) == await call(people.root, "DELETE", path, headers=since(changed))
    another = await publish(services, project)
    ignored = {"If-Unmodified-Since": "whenever"}
    assert (204, None) == await call(people.root, "DELETE", f"{base(project)}/{another}", headers=ignored)


async def test_a_package_has_no_pipelines(people: People, project: Project, services: Services) -> None:
    path = f"{base(project)}/{await publish(services, project)}/pipelines"
    response = await people.root.get(f"/api/v4{path}?per_page=20&cursor=abc")
    assert (200, []) == (response.status, await response.json())
    assert not {"Link", "X-Page", "X-Total"} & set(response.headers)
    for per_page in (0, 21):
        bad = (400, {"error": "per_page does not have a valid value"})
        assert bad == await call(people.root, "GET", f"{path}?per_page={per_page}")
    assert ABSENT == await call(people.root, "GET", f"{base(project)}/4711/pipelines")


async def test_a_path_that_holds_no_id_is_no_package(people: People, project: Project, services: Services) -> None:
    package_id = await publish(services, project)
    for one in ("x", "1.0", f"+{package_id}", "-1"):
        assert (404, {"error": "404 Not Found"}) == await call(people.root, "GET", f"{base(project)}/{one}")
    for one in (0, 4711, 2**63, "9" * 40):
        assert ABSENT == await call(people.root, "GET", f"{base(project)}/{one}")
    assert 200 == (await call(people.root, "GET", f"/projects/acme%2Ftool/packages/{package_id}"))[0]
    assert 405 == (await people.root.get(f"/api/v4{base(project)}/pypi")).status


async def test_allow_anyone_to_pull_opens_the_packages_of_a_private_project(people: People, services: Services) -> None:
    project = await people.project(package_registry_access_level="public")
    await put(people.root, project, "demo", "1.0")
    option = {"package_registry_allow_anyone_to_pull_option": False}

    async def seen() -> Any:
        return await page(people.anonymous, project, "demo"), (await call(people.anonymous, "GET", base(project)))[0]

    assert (["demo-1.0.tar.gz"], 200) == await seen()
    assert 200 == (await call(people.root, "PUT", "/application/settings", json=option))[0]
    assert (401, 404) == await seen()
    member = await people.member(project, AccessLevel.GUEST)
    assert ["demo-1.0.tar.gz"] == await page(member, project, "demo")
    await tree.update_project(services.db, OPERATOR, project, {"package_registry_access_level": "enabled"}, {})
    assert (401, 404) == await seen()
