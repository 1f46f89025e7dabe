"""Files of packages through the management API."""

from __future__ import annotations

import pytest

from registry.access import AccessLevel
from registry.model import Project
from registry.services import Services
from tests import inventory
from tests.api.asking import MISSING_RIGHTS, NO_PROJECT, call, lacks_scope
from tests.api.published import publish
from tests.formats.npm.transcripts import path as npm_path
from tests.formats.npm.transcripts import publish as npm_publish
from tests.formats.npm.transcripts import refused
from tests.formats.pypi.pages import page, put
from tests.people import People

ABSENT = (404, {"message": "404 Not found"})


@pytest.fixture
async def project(people: People) -> Project:
    return await people.project(await people.group("acme"), "tool")


def base(project: Project, package_id: int) -> str:
    return f"/projects/{project.id}/packages/{package_id}/package_files"


async def test_a_file_is_shown_with_its_digests(people: People, project: Project, services: Services) -> None:
    package_id = await publish(services, project, "@acme/ui", package_type="npm", file_name="@acme/ui-1.0.tgz", size=9)
    status, (file,) = await call(people.root, "GET", base(project, package_id))
    digests = await services.db.fetchrow("SELECT md5, sha1, sha256 FROM blobs")
    assert digests is not None
    assert (200, {
        "id": file["id"],
        "package_id": package_id,
        "created_at": file["created_at"],
        "file_name": "@acme/ui-1.0.tgz",
        "size": 9,
        "file_md5": digests["md5"],
        "file_sha1": digests["sha1"],
        "file_sha256": digests["sha256"],
        "pipelines": [],
    }) == (status, file)  # fmt: skip


async def test_files_are_paged_and_ordered(people: People, project: Project, services: Services) -> None:
    wanted = ["c.whl", "a.whl", "b.whl"]
    for file_name in wanted:
        package_id = await publish(services, project, file_name=file_name)
    await publish(services, project, "other")

    async def names(query: str) -> list[str]:
        status, found = await call(people.root, "GET", f"{base(project, package_id)}?{query}")
        assert 200 == status, found
        return [one["file_name"] for one in found]

    assert wanted == await names("")
    for query, expected in (
        ("sort=desc", wanted[::-1]),
        ("order_by=created_at", wanted),
        ("order_by=created_at&sort=desc", wanted[::-1]),
        ("order_by=file_name", sorted(wanted)),
        ("order_by=file_name&sort=desc&per_page=2", ["c.whl", "b.whl"]),
        ("per_page=2&page=2", ["b.whl"]),
        ("page=9", []),
    ):
        assert expected == await names(query), query
    response = await people.root.get(f"/api/v4{base(project, package_id)}?per_page=2")
    assert ["3", "2", "2"] == [response.headers[name] for name in ("X-Total", "X-Total-Pages", "X-Next-Page")]
    bad = (400, {"error": "order_by does not have a valid value"})
    assert bad == await call(people.root, "GET", f"{base(project, package_id)}?order_by=size")


async def test_a_deleted_file_is_gone_for_everybody_and_its_package_stays(
    people: People, project: Project, services: Services
) -> None:
    maintainer = await people.member(project, AccessLevel.MAINTAINER)
    await put(maintainer, project, "demo", "1.0", "demo-1.0.tar.gz")
    await put(maintainer, project, "demo", "1.0", "demo-1.0-py3-none-any.whl", b"wheel")
    (package,) = (await call(maintainer, "GET", f"/projects/{project.id}/packages"))[1]
    files = (await call(maintainer, "GET", base(project, package["id"])))[1]

    one = f"{base(project, package['id'])}/{files[0]['id']}"
    assert (204, None) == await call(maintainer, "DELETE", one)
    assert ABSENT == await call(maintainer, "DELETE", one)
    assert ["demo-1.0-py3-none-any.whl"] == await page(maintainer, project, "demo")
    assert (204, None) == await call(maintainer, "DELETE", f"{base(project, package['id'])}/{files[1]['id']}")
    assert (200, []) == await call(maintainer, "GET", base(project, package["id"]))
    assert 200 == (await call(maintainer, "GET", f"/projects/{project.id}/packages/{package['id']}"))[0]
    assert [] == await page(maintainer, project, "demo")
    seen = await inventory.take(services)
    assert ((), 2, {"doomed"}) == (seen.files, len(seen.objects), {state for _, state in seen.blobs})
    told = await services.db.fetch(
        "SELECT details FROM audit_events WHERE event_name = 'package_file_deleted' ORDER BY id"
    )
    assert [file["file_name"] for file in files] == [row["details"]["file_name"] for row in told]


async def test_a_version_whose_tarball_was_deleted_is_gone_for_npm(people: People, project: Project) -> None:
    maintainer = await people.member(project, AccessLevel.MAINTAINER)
    for version in ("1.0.0", "1.1.0"):
        await npm_publish(maintainer, project, "@acme/ui", version)
    packages = (await call(maintainer, "GET", f"/projects/{project.id}/packages"))[1]

    async def delete_files(package_id: int) -> None:
        (file,) = (await call(maintainer, "GET", base(project, package_id)))[1]
        assert (204, None) == await call(maintainer, "DELETE", f"{base(project, package_id)}/{file['id']}")

    tags, whole = npm_path(project, "-/package/@acme%2fui/dist-tags"), npm_path(project, "@acme%2fui")
    await delete_files(packages[1]["id"])
    assert {"latest": "1.0.0"} == await (await maintainer.get(tags)).json()
    assert ["1.0.0"] == list((await (await maintainer.get(whole)).json(content_type=None))["versions"])
    gone = await maintainer.get(npm_path(project, "@acme%2fui/1.1.0"))
    assert 404 == gone.status
    put_back = await maintainer.ask("PUT", npm_path(project, "-/package/@acme%2fui/dist-tags/next"), json="1.1.0")
    assert (404, "Package not found") == await refused(put_back)
    await delete_files(packages[0]["id"])
    for url in (tags, whole):
        assert 404 == (await maintainer.get(url)).status


async def test_who_may_list_and_delete(people: People, services: Services) -> None:
    public, private = await people.project(visibility="public"), await people.project()
    outsider = await people.user()
    for home, hidden in ((public, None), (private, NO_PROJECT)):
        package_id = await publish(services, home)
        path = base(home, package_id)
        one = f"{path}/{(await call(people.root, 'GET', path))[1][0]['id']}"
        developer = await people.member(home, AccessLevel.DEVELOPER)
        reader = await people.member(home, AccessLevel.OWNER, scopes=("read_api",))
        deploy = await people.deploy_token(home, "write_package_registry")
        for person, listed, deleted in (
            (people.anonymous, hidden, hidden or MISSING_RIGHTS),
            (outsider, hidden, hidden or MISSING_RIGHTS),
            (deploy, hidden, hidden or MISSING_RIGHTS),
            (developer, None, MISSING_RIGHTS),
            (reader, None, lacks_scope()),
        ):
            status, body = await call(person, "GET", path)
            assert (listed or (200, body)) == (status, body)
            assert deleted == await call(person, "DELETE", one)
        assert (204, None) == await call(await people.member(home, AccessLevel.MAINTAINER), "DELETE", one)


async def test_a_file_of_another_package_is_not_found(people: People, project: Project, services: Services) -> None:
    mine, other = await publish(services, project, "mine"), await publish(services, project, "other")
    (file,) = (await call(people.root, "GET", base(project, other)))[1]
    for package_id, file_id in ((mine, file["id"]), (mine, 4711), (4711, file["id"])):
        assert ABSENT == await call(people.root, "DELETE", f"{base(project, package_id)}/{file_id}")
    assert ABSENT == await call(people.root, "GET", base(project, 4711))
    bad = (400, {"error": "package_file_id is invalid"})
    assert bad == await call(people.root, "DELETE", f"{base(project, mine)}/x")
    assert (200, [file]) == await call(people.root, "GET", base(project, other))
