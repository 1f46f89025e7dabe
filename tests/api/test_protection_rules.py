"""Package protection rules: the routes, and what a rule keeps from happening."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from registry.access import AccessLevel
from registry.model import Project
from registry.services import Services
from tests import inventory
from tests.api.asking import MISSING_RIGHTS, NO_PROJECT, NOT_SIGNED_IN, call, events, lacks_scope, made
from tests.api.published import publish
from tests.formats.npm.transcripts import a_publication, refused, send
from tests.formats.npm.transcripts import path as npm_path
from tests.formats.npm.transcripts import publish as npm_publish
from tests.formats.pypi.pages import put
from tests.people import People, Person

RULE = {
    "package_name_pattern": "@acme/*",
    "package_type": "npm",
    "minimum_access_level_for_push": "maintainer",
    "minimum_access_level_for_delete": "owner",
}
ABSENT = (404, {"message": "404 Not found"})
DELETION_PROTECTED = (403, {"message": "403 Forbidden - Package is deletion protected."})


@pytest.fixture
async def project(people: People) -> Project:
    return await people.project(await people.group("acme"), "tool")


def base(project: Project) -> str:
    return f"/projects/{project.id}/packages/protection/rules"


async def protect(people: People, project: Project, pattern: str, kind: str = "pypi", **levels: str | None) -> Any:
    return await made(people.root, base(project), package_name_pattern=pattern, package_type=kind, **levels)


def unprocessable(problem: str) -> tuple[int, Any]:
    return 422, {"message": {"error": [problem]}}


async def test_a_maintainer_makes_changes_and_deletes_rules(
    people: People, project: Project, services: Services
) -> None:
    maintainer = await people.member(project, AccessLevel.MAINTAINER)
    rule = await made(maintainer, base(project), **RULE)
    assert {"id": rule["id"], "project_id": project.id, **RULE} == rule
    one = f"{base(project)}/{rule['id']}"

    changed = {**rule, "package_name_pattern": "@acme/ui*", "minimum_access_level_for_delete": None}
    values = {"package_name_pattern": "@acme/ui*", "minimum_access_level_for_delete": None}
    assert (200, changed) == await call(maintainer, "PATCH", one, json=values)
    assert (200, changed) == await call(maintainer, "PATCH", one, json={})
    changed |= {"package_type": "pypi", "minimum_access_level_for_push": "admin"}
    values = {"package_type": "pypi", "minimum_access_level_for_push": "admin"}
    assert (200, changed) == await call(maintainer, "PATCH", one, data=values)
    second = await protect(people, project, "x", minimum_access_level_for_delete="admin")
    assert (200, [changed, second]) == await call(maintainer, "GET", base(project))
    assert (204, None) == await call(maintainer, "DELETE", one)
    assert (200, [second]) == await call(maintainer, "GET", base(project))
    assert [
        "package_protection_rule_created",
        *["package_protection_rule_updated"] * 3,
        "package_protection_rule_created",
        "package_protection_rule_deleted",
    ] == [name for name in await events(services) if "rule" in name]


async def test_a_rule_that_cannot_be_is_refused_in_gitlabs_words(people: People, project: Project) -> None:
    rule = await made(people.root, base(project), **RULE)
    other = await protect(people, project, "@acme/*", minimum_access_level_for_push="owner")
    push, delete = "minimum_access_level_for_push", "minimum_access_level_for_delete"
    without = {"package_name_pattern": "x", "package_type": "npm"}
    taken = unprocessable("Package name pattern has already been taken")
    neither = unprocessable("A rule must have at least a minimum access role for push or delete.")
    shape = unprocessable("Package name pattern should be a valid package name with optional wildcard characters.")
    missing = f"{push}, {delete} are missing, at least one parameter must be provided"

    for values, expected in (
        (RULE, taken),
        (without, (400, {"error": missing})),
        ({**without, push: None, delete: None}, neither),
        ({**RULE, "package_name_pattern": "a b"}, shape),
        ({**RULE, "package_name_pattern": "é*"}, shape),
        ({**RULE, "package_name_pattern": "a" * 256}, shape),
        ({**RULE, "package_name_pattern": ""}, (400, {"error": "package_name_pattern is empty"})),
        ({**RULE, "package_type": "maven"}, (400, {"error": "package_type does not have a valid value"})),
        ({**RULE, push: "developer"}, (400, {"error": f"{push} does not have a valid value"})),
        ({**RULE, delete: "maintainer"}, (400, {"error": f"{delete} does not have a valid value"})),
        ({**RULE, delete: ""}, (400, {"error": f"{delete} does not have a valid value"})),
        ({}, (400, {"error": "package_name_pattern is missing, package_type is missing"})),
    ):
        assert expected == await call(people.root, "POST", base(project), json=values), values
    for values, expected in (
        ({"package_type": "npm"}, taken),
        ({push: None}, neither),
        ({"package_name_pattern": "a\tb"}, shape),
        ({delete: ""}, (400, {"error": f"{delete} does not have a valid value"})),
    ):
        assert expected == await call(people.root, "PATCH", f"{base(project)}/{other['id']}", json=values), values
    assert (200, [rule, other]) == await call(people.root, "GET", base(project))


async def test_rules_are_for_maintainers_and_each_belongs_to_its_project(people: People, project: Project) -> None:
    public = await people.project(visibility="public")
    rule = await made(people.root, base(project), **RULE)
    for home, anonymous, stranger in ((project, NO_PROJECT, NO_PROJECT), (public, NOT_SIGNED_IN, MISSING_RIGHTS)):
        developer = await people.member(home, AccessLevel.DEVELOPER)
        reader = await people.member(home, AccessLevel.OWNER, scopes=("read_api",))
        deploy = await people.deploy_token(home, "write_package_registry")
        one = f"{base(home)}/{rule['id']}"
        for method, path in (("GET", base(home)), ("POST", base(home)), ("PATCH", one), ("DELETE", one)):
            for person, expected in (
                (people.anonymous, anonymous),
                (deploy, anonymous),
                (await people.user(), stranger),
                (developer, MISSING_RIGHTS),
            ):
                assert expected == await call(person, method, path, json=RULE), (method, path)
            if method != "GET":
                assert lacks_scope() == await call(reader, method, path, json=RULE)
        assert 200 == (await call(reader, "GET", base(home)))[0]
    for method in ("PATCH", "DELETE"):
        for rule_id in (rule["id"], 4711, "9" * 40):
            assert ABSENT == await call(people.root, method, f"{base(public)}/{rule_id}", json=RULE)
        bad = (400, {"error": "package_protection_rule_id is invalid"})
        assert bad == await call(people.root, method, f"{base(project)}/x", json=RULE)
    late = {"If-Unmodified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"}
    assert 412 == (await call(people.root, "DELETE", f"{base(project)}/{rule['id']}", headers=late))[0]
    assert (200, [rule]) == await call(people.root, "GET", base(project))


async def test_a_protected_pypi_name_takes_the_level_of_its_rule(
    people: People, project: Project, services: Services
) -> None:
    """In every spelling of the name, and whatever the spelling of the pattern."""
    await protect(people, project, "Acme_Core*", minimum_access_level_for_push="maintainer")
    developer = await people.member(project, AccessLevel.DEVELOPER)
    writer = await people.deploy_token(project, "write_package_registry")
    before = await inventory.take(services)

    for person in (developer, writer):
        for name in ("acme-core", "ACME.core", "acme__core_extra"):
            response = await person.upload(project, f"{name}-1.0.tar.gz", b"1", name=name, version="1.0")
            assert (403, "403 Forbidden - Package protected.") == (response.status, (await response.json())["message"])
            assert "Package protected." == response.reason
    seen = await inventory.take(services)
    assert (before.files, before.packages) == (seen.files, seen.packages)
    for person in (developer, writer):
        await put(person, project, f"free-{person.user_id}", "1.0")
    for number, level in enumerate((AccessLevel.MAINTAINER, AccessLevel.OWNER)):
        await put(await people.member(project, level), project, "Acme.Core", f"{number}.0")
    await put(await people.member(await _group(services), AccessLevel.MAINTAINER), project, "acme-core", "2.0")
    await put(people.root, project, "acme-core", "3.0")


async def _group(services: Services) -> Any:
    return await services.lookups.group("acme")


async def test_a_protected_npm_name_takes_the_level_of_its_rule(
    people: People, project: Project, services: Services
) -> None:
    await protect(people, project, "@ACME/*", "npm", minimum_access_level_for_push="owner")
    await protect(people, project, "@acme/*", "pypi", minimum_access_level_for_push="admin")
    maintainer = await people.member(project, AccessLevel.MAINTAINER)
    owner = await people.member(project, AccessLevel.OWNER)
    writer = await people.deploy_token(project, "write_package_registry")
    protected = (403, "Package protected.")

    for person in (maintainer, writer):
        assert protected == await refused(await send(person, project, a_publication("@acme/ui", "1.0.0")))
        await npm_publish(person, project, f"free-{person.user_id}", "1.0.0")
    await npm_publish(owner, project, "@acme/ui", "1.0.0")
    assert protected == await refused(await send(maintainer, project, a_publication("@acme/ui", "1.0.0")))
    tag = npm_path(project, "-/package/@acme%2fui/dist-tags/next")
    deprecation = {"name": "@acme/ui", "versions": {"1.0.0": {"deprecated": "no"}}}
    assert protected == await refused(await maintainer.ask("PUT", tag, json="1.0.0"))
    assert protected == await refused(await send(maintainer, project, deprecation))
    for response in (await owner.ask("PUT", tag, json="1.0.0"), await send(owner, project, deprecation)):
        assert response.status in {200, 204}
    assert protected == await refused(await maintainer.ask("DELETE", tag))
    await call(people.root, "DELETE", f"{base(project)}/{(await call(owner, 'GET', base(project)))[1][0]['id']}")
    await npm_publish(maintainer, project, "@acme/ui", "2.0.0")


async def test_who_may_not_publish_a_protected_npm_name_need_not_send_it(people: People, project: Project) -> None:
    await protect(people, project, "big", "npm", minimum_access_level_for_push="maintainer")
    developer = await people.member(project, AccessLevel.DEVELOPER)
    response = await developer.ask("PUT", npm_path(project, "big"), data=b"not even JSON")
    assert (403, "Package protected.") == await refused(response)


async def test_a_rule_made_while_a_file_is_on_its_way_still_counts(
    people: People, project: Project, services: Services
) -> None:
    """The transaction that makes a file visible asks again."""
    developer = await people.member(project, AccessLevel.DEVELOPER)

    document = json.dumps(a_publication("late", "1.0.0")).encode()

    async def sent() -> AsyncIterator[bytes]:
        yield document[:50]
        await protect(people, project, "late", "npm", minimum_access_level_for_push="owner")
        yield document[50:]

    assert (403, "Package protected.") == await refused(
        await developer.ask("PUT", npm_path(project, "late"), data=sent())
    )
    assert () == (await inventory.take(services)).packages


async def test_deletion_protected_packages_stay(people: People, project: Project, services: Services) -> None:
    maintainer = await people.member(project, AccessLevel.MAINTAINER)
    owner = await people.member(project, AccessLevel.OWNER)
    writer = await people.deploy_token(project, "write_package_registry")
    await npm_publish(maintainer, project, "@acme/ui", "1.0.0")
    await npm_publish(maintainer, project, "@acme/ui", "1.1.0")
    await protect(people, project, "@acme/*", "npm", minimum_access_level_for_delete="owner")
    await protect(people, project, "*", "pypi", minimum_access_level_for_delete="admin")
    await npm_publish(maintainer, project, "@acme/ui", "1.2.0")
    package = (await call(maintainer, "GET", f"/projects/{project.id}/packages"))[1][0]
    one = f"/projects/{project.id}/packages/{package['id']}"
    (file,) = (await call(maintainer, "GET", f"{one}/package_files"))[1]
    before = await inventory.take(services)

    assert DELETION_PROTECTED == await call(maintainer, "DELETE", one)
    assert DELETION_PROTECTED == await call(maintainer, "DELETE", f"{one}/package_files/{file['id']}")

    async def unpublish(person: Person) -> list[Any]:
        """The package, a version, a tarball."""
        document = await (await person.get(npm_path(project, "@acme%2fui?write=true"))).json(content_type=None)
        rev = document["_rev"]
        kept = {**document, "versions": {"1.1.0": document["versions"]["1.1.0"]}}
        asked = (
            ("DELETE", f"-rev/{rev}", None),
            ("PUT", f"-rev/{rev}", kept),
            ("DELETE", f"-/ui-1.0.0.tgz/-rev/{rev}", None),
        )
        return [
            await person.ask(method, npm_path(project, f"@acme%2fui/{rest}"), json=body) for method, rest, body in asked
        ]

    for person in (maintainer, writer):
        for response in await unpublish(person):
            assert (403, "Package is deletion protected.") == await refused(response)
    assert before == await inventory.take(services)
    assert (204, None) == await call(owner, "DELETE", f"{one}/package_files/{file['id']}")
    assert (204, None) == await call(owner, "DELETE", one)
    assert 200 == (await unpublish(owner))[0].status
    pypi = f"/projects/{project.id}/packages/{await publish(services, project)}"
    assert DELETION_PROTECTED == await call(owner, "DELETE", pypi)
    assert (204, None) == await call(people.root, "DELETE", pypi)
