"""The management API as python-gitlab uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import gitlab
import pytest
from aiohttp.test_utils import TestServer

from registry.access import AccessLevel
from registry.services import Services
from tests.api.published import publish
from tests.bench.seed import many_names
from tests.people import ROOT_TOKEN, People


@pytest.fixture
def url(server: TestServer) -> str:
    return f"http://127.0.0.1:{server.port}"


def client(url: str, token: str | None) -> gitlab.Gitlab:
    return gitlab.Gitlab(url, private_token=token, timeout=10)


async def run(work: Callable[[gitlab.Gitlab], None], url: str, token: str | None = ROOT_TOKEN) -> None:
    """The client blocks, so it works in a thread."""

    def session() -> None:
        with client(url, token) as gl:
            work(gl)

    await asyncio.to_thread(session)


async def test_a_registry_is_set_up(people: People, url: str) -> None:
    def work(gl: gitlab.Gitlab) -> None:
        gl.auth()
        assert gl.user is not None
        assert "root" == gl.user.username
        assert 2 == len(gl.version())

        user = gl.users.create({"username": "ada", "name": "Ada", "email": "ada@example.com", "password": "ignored"})
        assert [user.id] == [found.id for found in gl.users.list(username="ada", get_all=True)]
        assert user.block() is True
        assert user.unblock() is True
        pat = user.personal_access_tokens.create({"name": "ci", "scopes": ["api"]})
        with client(url, pat.token) as ada:
            ada.auth()
            assert "ada" == ada.user.username  # type: ignore[union-attr]

        group = gl.groups.create({"name": "Acme", "path": "acme", "visibility": "internal"})
        sub = gl.groups.create({"name": "Sub", "path": "sub", "parent_id": group.id})
        assert [sub.id] == [found.id for found in group.subgroups.list(get_all=True)]
        assert [sub.id] == [found.id for found in group.descendant_groups.list(get_all=True)]
        project = gl.projects.create({"name": "Tool", "namespace_id": sub.id})
        assert project.id == gl.projects.get("acme/sub/tool").id
        assert [project.id] == [p.id for p in group.projects.list(include_subgroups=True, get_all=True)]

        project.description = "Builds"
        project.package_registry_access_level = "public"
        project.save()
        project = gl.projects.get(project.id)
        assert ("Builds", "public") == (project.description, project.package_registry_access_level)
        project.archive()
        project.unarchive()

        member = project.members.create({"user_id": user.id, "access_level": AccessLevel.DEVELOPER.value})
        member.access_level = AccessLevel.REPORTER.value
        member.save()
        assert 20 == project.members.get(user.id).access_level
        assert {user.id, gl.user.id} == {m.id for m in project.members_all.list(get_all=True)}
        member.delete()
        group.members.create({"user_id": user.id, "access_level": 30})

        group.name = "Acme Inc"
        group.save()
        assert "Acme Inc" == gl.groups.get("acme").name
        project.delete()
        sub.delete()
        group.delete()
        assert [] == gl.groups.list(get_all=True)

    await run(work, url)


async def test_tokens_are_made_rotated_and_revoked(people: People, url: str) -> None:
    group = await people.group("acme")
    project = await people.project(group, "tool")

    def work(gl: gitlab.Gitlab) -> None:
        for home in (gl.projects.get(project.id), gl.groups.get(group.id)):
            deploy = home.deploytokens.create({"name": "d", "scopes": ["read_package_registry"]})
            assert deploy.token.startswith("gldt-")
            assert [deploy.id] == [d.id for d in home.deploytokens.list(get_all=True)]
            assert "d" == home.deploytokens.get(deploy.id).name
            deploy.delete()
            with pytest.raises(gitlab.GitlabDeleteError, match="404 Deploy Token Not Found"):
                deploy.delete()

            token = home.access_tokens.create({"name": "bot", "scopes": ["api"], "access_level": 30})
            with client(url, token.token) as bot:
                bot.auth()
                assert bot.user is not None
                assert bot.user.bot is True
                assert token.id == bot.personal_access_tokens.get("self").id
                new = getattr(bot, "projects" if home.id == project.id else "groups").get(
                    home.id, lazy=True
                ).access_tokens.rotate("self")  # fmt: skip
            token = home.access_tokens.get(new["id"])
            assert token.rotate()["token"].startswith("glpat-")
            assert 3 == len(home.access_tokens.list(get_all=True))
            active = home.access_tokens.list(state="active", get_all=True)
            assert 1 == len(active)
            active[0].delete()

        assert 2 == len(gl.deploytokens.list(get_all=True))
        own = gl.personal_access_tokens.list(user_id=gl.personal_access_tokens.get("self").user_id, get_all=True)
        assert 1 == len(own)

    await run(work, url)


async def test_lists_are_walked_to_their_end(people: People, url: str) -> None:
    group = await people.group("acme")
    for number in range(25):
        await people.project(group, f"p{number:02}")

    def work(gl: gitlab.Gitlab) -> None:
        first = gl.projects.list(per_page=10, iterator=True, order_by="name", sort="asc")
        assert (25, 3, 1, 2) == (first.total, first.total_pages, first.current_page, first.next_page)
        assert [f"p{number:02}" for number in range(25)] == [p.name for p in first]
        walked = gl.projects.list(pagination="keyset", order_by="id", per_page=7, iterator=True)
        assert 25 == len({p.id for p in walked})
        assert 4 == len(gl.projects.list(search="p1", per_page=4, get_all=False))
        assert 25 == len(gl.groups.get("acme").projects.list(get_all=True))

    await run(work, url)


async def test_settings_are_saved(people: People, url: str) -> None:
    def work(gl: gitlab.Gitlab) -> None:
        settings = gl.settings.get()
        settings.npm_package_requests_forwarding = False
        settings.save()
        assert gl.settings.get().npm_package_requests_forwarding is False
        limits = gl.http_put("/application/plan_limits", post_data={"plan_name": "default", "npm_max_file_size": 7})
        assert 7 == limits["npm_max_file_size"]  # type: ignore[index]

    await run(work, url)


async def test_packages_and_files_are_listed_inspected_and_deleted(
    people: People, url: str, services: Services
) -> None:
    group = await people.group("acme")
    project = await people.project(await people.group("sub", parent=group), "tool")
    for version in ("1.0", "2.0"):
        await publish(services, project, "Demo_Tool", version)
        await publish(services, project, "Demo_Tool", version, file_name=f"demo_tool-{version}-py3-none-any.whl")
    await publish(services, project, "@acme/ui", "1.0.0", package_type="npm", tags=["latest"])

    def work(gl: gitlab.Gitlab) -> None:
        home = gl.projects.get("acme/sub/tool")
        found = home.packages.list(get_all=True)
        assert ["Demo_Tool", "Demo_Tool", "@acme/ui"] == [one.name for one in found]
        for filters, versions in (
            ({"package_type": "npm"}, ["1.0.0"]),
            ({"package_name": "demo_", "order_by": "version", "sort": "desc"}, ["2.0", "1.0"]),
            ({"package_name": "demo", "package_version": "2.0"}, ["2.0"]),
            ({"status": "hidden", "include_versionless": True}, []),
        ):
            assert versions == [one.version for one in home.packages.list(get_all=True, **filters)]
        of_group = gl.groups.get("acme").packages.list(get_all=True, order_by="project_path", sort="desc")
        assert {(project.id, "acme/sub/tool")} == {(one.project_id, one.project_path) for one in of_group}
        assert [] == gl.groups.get("acme").packages.list(exclude_subgroups=True, get_all=True)

        package = home.packages.get(found[0].id)
        assert (["2.0"], "default") == ([one["version"] for one in package.versions], package.status)
        assert package._links["delete_api_path"].endswith(f"/projects/{project.id}/packages/{package.id}")
        assert [] == package.pipelines.list(get_all=True)
        files = package.package_files.list(get_all=True)
        assert ["Demo_Tool-1.0.tar.gz", "demo_tool-1.0-py3-none-any.whl"] == [one.file_name for one in files]
        files[0].delete()
        assert [files[1].id] == [one.id for one in package.package_files.list(get_all=True)]
        package.delete()
        assert ["2.0", "1.0.0"] == [one.version for one in home.packages.list(get_all=True)]
        with pytest.raises(gitlab.GitlabGetError, match="404: 404 Not found"):
            home.packages.get(package.id)
        with pytest.raises(gitlab.GitlabDeleteError, match="404: 404 Not found"):
            package.delete()
        with pytest.raises(gitlab.GitlabListError, match="400: order_by does not have a valid value"):
            home.packages.list(order_by="size")

    await run(work, url)


async def test_five_hundred_packages_are_walked(people: People, url: str, services: Services) -> None:
    project = await people.project(await people.group("acme"), "tool")
    await many_names(services.db, project, 500)

    def work(gl: gitlab.Gitlab) -> None:
        for home in (gl.projects.get(project.id), gl.groups.get("acme")):
            walked = home.packages.list(iterator=True, per_page=100)
            assert (500, 5, 100) == (walked.total, walked.total_pages, walked.per_page)
            assert [f"bulk-{number}" for number in range(1, 501)] == [one.name for one in walked]
            down = home.packages.list(iterator=True, per_page=99, sort="desc")
            assert [f"bulk-{number}" for number in range(500, 0, -1)] == [one.name for one in down]

    await run(work, url)


async def test_protection_rules_keep_packages(people: People, url: str, services: Services) -> None:
    project = await people.project()
    maintainer = await people.member(project, AccessLevel.MAINTAINER)
    package_id = await publish(services, project, "kept")

    def work(gl: gitlab.Gitlab) -> None:
        rules = gl.projects.get(project.id).package_protection_rules
        rule = rules.create(
            {
                "package_name_pattern": "KEPT*",
                "package_type": "pypi",
                "minimum_access_level_for_push": "owner",
                "minimum_access_level_for_delete": "owner",
            }
        )
        rule.minimum_access_level_for_push = "maintainer"
        rule.save()
        (seen,) = rules.list(get_all=True)
        assert ("KEPT*", "maintainer", "owner") == (
            seen.package_name_pattern,
            seen.minimum_access_level_for_push,
            seen.minimum_access_level_for_delete,
        )
        with pytest.raises(gitlab.GitlabDeleteError, match="403: 403 Forbidden - Package is deletion"):
            gl.projects.get(project.id).packages.delete(package_id)
        with pytest.raises(gitlab.GitlabCreateError, match="has already been taken"):
            rules.create(seen.attributes)
        rule.delete()
        gl.projects.get(project.id).packages.delete(package_id)

    await run(work, url, maintainer.token)


async def test_audit_events_are_read(people: People, url: str, services: Services) -> None:
    group = await people.group("acme")
    project = await people.project(group)
    await publish(services, project)

    def work(gl: gitlab.Gitlab) -> None:
        everything = gl.audit_events.list(get_all=True)
        assert "package_published" == everything[0].details["event_name"]
        assert everything[0].details == gl.audit_events.get(everything[0].id).details
        (published, created) = gl.projects.get(project.id).audit_events.list(get_all=True)
        assert created.id == gl.projects.get(project.id).audit_events.get(created.id).id
        assert published.id == everything[0].id
        assert 1 == len(gl.groups.get(group.id).audit_events.list(created_after="2020-01-01", get_all=True))
        walked = gl.audit_events.list(pagination="keyset", order_by="id", per_page=2, iterator=True)
        assert [one.id for one in everything] == [one.id for one in walked]

    await run(work, url)


async def test_errors_are_its_exceptions_with_our_text(people: People, url: str) -> None:
    project = await people.project()
    person = await people.member(project, AccessLevel.DEVELOPER)

    def work(gl: gitlab.Gitlab) -> None:
        with pytest.raises(gitlab.GitlabGetError, match="404: 404 Project Not Found"):
            gl.projects.get("no/such")
        with pytest.raises(gitlab.GitlabCreateError, match="403: 403 Forbidden"):
            gl.projects.get(project.id).access_tokens.create({"name": "x", "scopes": ["api"]})
        gl.projects.create({"name": "a"})
        with pytest.raises(gitlab.GitlabCreateError, match="has already been taken"):
            gl.projects.create({"name": "a"})
        with pytest.raises(gitlab.GitlabCreateError, match="400: visibility does not have a valid value"):
            gl.groups.create({"name": "a", "path": "a", "visibility": "open"})

    await run(work, url, person.token)

    def anonymous(gl: gitlab.Gitlab) -> None:
        with pytest.raises(gitlab.GitlabAuthenticationError, match="401: 401 Unauthorized"):
            gl.users.list()
        assert [] == gl.projects.list(get_all=True)

    await run(anonymous, url, None)
