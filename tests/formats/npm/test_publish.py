from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from registry.access import AccessLevel
from registry.model import Group, Project
from tests import inventory
from tests.formats.npm.documents import a_document, a_tarball
from tests.formats.npm.transcripts import (
    a_publication,
    below,
    encoded,
    packument,
    path,
    publish,
    refused,
    send,
    set_settings,
    tarball_of,
)
from tests.people import People, Person

EXAMPLE = json.loads((Path(__file__).parent / "gitlab_example.json").read_bytes())
TAKEN = "Package already exists. You cannot publish over the previously published version: 1.0.0."
INCOHERENT = "Package manifest is not coherent"


@pytest.mark.parametrize("storage_url", ["local", "s3"], indirect=True)
async def test_a_published_version_is_listed_and_comes_back_at_every_level(people: People) -> None:
    group = await people.group("acme")
    project = await people.project(group)
    developer = await people.member(project, AccessLevel.DEVELOPER)
    document = a_publication("@acme/widget", "1.0.0", dependencies={"a": "^1"})

    response = await send(developer, project, document)

    assert 200 == response.status, await response.text()
    row = await response.json()
    assert ("@acme/widget", "1.0.0", project.id, "npm", "default") == tuple(
        row[key] for key in ("name", "version", "project_id", "package_type", "status")
    )
    tarball = tarball_of(document)
    for place in (project, group, None):
        dist = (await packument(developer, place, "@acme/widget"))["versions"]["1.0.0"]["dist"]
        url = str(developer.client.make_url(path(place, "@acme/widget/-/@acme/widget-1.0.0.tgz")))
        assert {
            "integrity": document["versions"]["1.0.0"]["dist"]["integrity"],
            "shasum": hashlib.sha1(tarball, usedforsecurity=False).hexdigest(),
            "tarball": url,
            "fileCount": 1,
            "unpackedSize": len(json.dumps({"name": "@acme/widget", "version": "1.0.0", "dependencies": {"a": "^1"}})),
        } == dist
        for file in (below(url), path(place, "@acme/widget/-/widget-1.0.0.tgz")):
            answer = await developer.get(file)
            assert (200, tarball) == (answer.status, await answer.read())


async def test_gitlabs_documented_example_publishes_as_written(people: People) -> None:
    """The package.json in its tarball has another name."""
    project = await people.project(await people.group("myscope", visibility="public"), visibility="public")
    developer = await people.member(project, AccessLevel.DEVELOPER)

    response = await send(developer, project, EXAMPLE)

    assert 200 == response.status, await response.text()
    for place in (project, None):
        found = (await packument(people.anonymous, place, "@myscope/my-pkg"))["versions"]["1.3.7"]
        assert EXAMPLE["versions"]["1.3.7"]["dist"]["shasum"] == found["dist"]["shasum"]
        file = await people.anonymous.get(below(found["dist"]["tarball"]))
        assert tarball_of(EXAMPLE) == await file.read()


async def test_strict_validation_refuses_another_name_in_the_tarball(
    people: People, project: Project, developer: Person
) -> None:
    await set_settings(people, project, npm_validation="strict")

    response = await send(developer, project, EXAMPLE)

    assert (400, f"{INCOHERENT}: name differs from package.json in the tarball") == await refused(response)
    assert inventory.EMPTY == await inventory.take(people.services)


async def test_the_order_of_keys_does_not_matter(developer: Person, project: Project) -> None:
    document = a_publication("widget", "1.0.0")
    for number, first in enumerate(sorted(document)):
        document = a_publication("widget", f"1.0.{number}")
        reordered = {first: document.pop(first), **dict(reversed(document.items()))}
        assert 200 == (await send(developer, project, reordered)).status


async def test_every_field_readers_need_is_served(people: People, developer: Person, project: Project) -> None:
    package = {
        "description": "Makes things",
        "keywords": ["thing"],
        "license": "MIT",
        "homepage": "https://example.com/",
        "repository": {"type": "git", "url": "git+https://example.com/w.git"},
        "bugs": {"url": "https://example.com/bugs"},
        "author": {"name": "Ada"},
        "main": "index.js",
        "exports": {".": "./index.js"},
        "type": "module",
        "scripts": {"postinstall": "node x", "test": "true"},
        "dependencies": {"a": "^1"},
        "optionalDependencies": {"b": "^1"},
        "devDependencies": {"c": "^1"},
        "peerDependencies": {"d": "^1"},
        "peerDependenciesMeta": {"d": {"optional": True}},
        "acceptDependencies": {"a": "^2"},
        "bundleDependencies": ["a"],
        "bin": {"widget": "cli.js"},
        "directories": {"lib": "lib"},
        "engines": {"node": ">=18"},
        "os": ["linux"],
        "cpu": ["x64"],
        "libc": ["musl"],
        "funding": {"url": "https://example.com/money"},
    }
    tarball = a_tarball(
        {"name": "widget", "version": "1.0.0", **package}, {"npm-shrinkwrap.json": b"{}", "index.js": b"1"}
    )
    sent = {
        "gitHead": "abc",
        "_nodeVersion": "24.0.0",
        "_npmVersion": "11.0.0",
        "readme": "# W",
        "_resolved": "/home/x",
    }
    await send(developer, project, a_document(tarball, name="widget", version="1.0.0", **package, **sent))

    full = await packument(people.anonymous, project, "widget")
    short = await packument(people.anonymous, project, "widget", Accept="application/vnd.npm.install-v1+json")

    publisher = (await (await developer.get(path(project, "-/whoami"))).json())["username"]
    entry = full["versions"]["1.0.0"]
    computed = {"hasInstallScript": True, "_hasShrinkwrap": True}
    expected = {"name": "widget", "version": "1.0.0", **package, **computed, "dist": entry["dist"]}
    kept = {"gitHead": "abc", "_nodeVersion": "24.0.0", "_npmVersion": "11.0.0", "_id": "widget@1.0.0"}
    people_ = {"_npmUser": {"name": publisher}, "maintainers": [{"name": publisher}]}
    assert expected | kept | people_ == entry
    hoisted = {
        key: package[key] for key in ("description", "homepage", "keywords", "repository", "bugs", "license", "author")
    }
    assert hoisted == {key: full[key] for key in hoisted}
    assert ("# W", [{"name": publisher}], "widget") == (full["readme"], full["maintainers"], full["_id"])
    long_only = {
        *hoisted,
        *("main", "exports", "type", "scripts"),
    }
    assert {key: value for key, value in expected.items() if key not in long_only} == short["versions"]["1.0.0"]
    assert {"name", "modified", "dist-tags", "versions", "time"} == set(short)
    assert full["time"] == short["time"]
    assert {"created", "modified", "1.0.0"} == set(full["time"])
    assert (3, full["time"]["modified"]) == (entry["dist"]["fileCount"], short["modified"])


async def test_a_version_that_exists_is_refused_with_the_words_tools_look_for(
    developer: Person, project: Project
) -> None:
    document = a_publication("widget", "1.0.0")
    first = await send(developer, project, document, **{"npm-session": "one"})
    again = await send(developer, project, document, **{"npm-session": "one"})
    other = await send(developer, project, document, **{"npm-session": "two"})
    changed = await send(
        developer, project, a_publication("widget", "1.0.0", description="else"), **{"npm-session": "one"}
    )
    build = await send(developer, project, a_publication("widget", "1.0.0+build.2"))

    assert [200, 200] == [first.status, again.status]
    assert (await first.json())["id"] == (await again.json())["id"]
    assert {"message": TAKEN, "error": TAKEN} == await other.json()
    assert [403, 403, 403] == [other.status, changed.status, build.status]


async def test_of_twenty_parallel_publishes_of_one_version_one_succeeds(
    people: People, developer: Person, project: Project
) -> None:
    documents = [a_publication("widget", "1.0.0", description=str(number)) for number in range(20)]

    answers = await asyncio.gather(*(send(developer, project, document) for document in documents))

    assert [200] + [403] * 19 == sorted(answer.status for answer in answers)
    assert {(403, TAKEN)} == {await refused(answer) for answer in answers if answer.status == 403}
    found = (await packument(developer, project, "widget"))["versions"]["1.0.0"]
    file = await developer.get(below(found["dist"]["tarball"]))
    winner = next(answer for answer in zip(answers, documents, strict=True) if answer[0].status == 200)[1]
    assert (tarball_of(winner), winner["versions"]["1.0.0"]["description"]) == (await file.read(), found["description"])
    kept = await inventory.take(people.services)
    assert (1, 1, 1) == (len(kept.files), len(kept.blobs), len(kept.objects))


async def test_parallel_retries_of_one_publish_all_succeed(people: People, developer: Person, project: Project) -> None:
    document = a_publication("widget", "1.0.0")

    answers = await asyncio.gather(*(send(developer, project, document, **{"npm-session": "one"}) for _ in range(8)))

    assert {200} == {answer.status for answer in answers}
    kept = await inventory.take(people.services)
    assert (1, 1, 1) == (len(kept.files), len(kept.blobs), len(kept.objects))


async def test_fifty_parallel_publishes_of_different_versions_are_all_there(
    developer: Person, project: Project
) -> None:
    documents = {f"1.0.{number}": a_publication("widget", f"1.0.{number}") for number in range(50)}

    answers = await asyncio.gather(*(send(developer, project, document) for document in documents.values()))

    assert {200} == {answer.status for answer in answers}
    found = await packument(developer, project, "widget")
    assert {version: document["versions"][version]["dist"]["integrity"] for version, document in documents.items()} == {
        version: entry["dist"]["integrity"] for version, entry in found["versions"].items()
    }
    assert {"created", "modified", *documents} == set(found["time"])


async def test_name_and_version_are_unique_below_the_namespace_of_their_scope(
    people: People, group: Group, project: Project, developer: Person
) -> None:
    other = await people.project(await people.group(parent=group, visibility="public"), visibility="public")
    elsewhere = await people.project(visibility="public")
    colleague = await people.member(group, AccessLevel.DEVELOPER)
    await publish(developer, project, "@acme/widget", "1.0.0")
    await publish(developer, project, "widget", "1.0.0")

    again = await send(colleague, other, a_publication("@acme/widget", "1.0.0"))

    assert (400, "Validation failed: Package already exists") == await refused(again)
    # Other versions, other scopes and unscoped names are free, and so are other namespaces.
    await publish(colleague, other, "@acme/widget", "1.0.1")
    await publish(colleague, other, "@ACME/widget", "1.0.0")
    await publish(colleague, other, "widget", "1.0.0")
    await publish(people.root, elsewhere, "@acme/widget", "1.0.0")


async def test_of_parallel_publishes_to_two_projects_below_the_namespace_one_succeeds(
    people: People, group: Group
) -> None:
    projects = [await people.project(group) for _ in range(6)]

    answers = await asyncio.gather(
        *(send(people.root, project, a_publication("@acme/widget", "1.0.0")) for project in projects)
    )

    assert [200, *[400] * 5] == sorted(answer.status for answer in answers)


@pytest.mark.parametrize("place", ["group", "instance"])
async def test_there_is_no_publishing_to_a_group_or_the_instance(
    people: People, developer: Person, group: Group, place: str
) -> None:
    where = group if place == "group" else None
    document = a_publication("@acme/widget", "1.0.0")

    assert (404, "Not found") == await refused(await send(developer, where, document))
    assert (401, "401 Unauthorized") == await refused(await send(people.anonymous, where, document))
    assert inventory.EMPTY == await inventory.take(people.services)


async def test_a_deprecation_message_in_package_json_is_kept(developer: Person, project: Project) -> None:
    await publish(developer, project, "widget", "1.0.0", deprecated="use another")
    await publish(developer, project, "widget", "1.0.1", deprecated=False)

    versions = (await packument(developer, project, "widget"))["versions"]

    assert ["use another", None] == [versions[version].get("deprecated") for version in ("1.0.0", "1.0.1")]


async def test_a_name_is_published_in_any_encoding_of_its_slash(developer: Person, project: Project) -> None:
    for number, name in enumerate(("@acme%2fwidget", "@acme%2Fwidget", "%40acme%2fwidget", "@acme/widget")):
        document = a_publication("@acme/widget", f"1.0.{number}")
        response = await developer.ask("PUT", path(project, name), json=document)
        assert 200 == response.status, await response.text()

    assert 4 == len((await packument(developer, project, "@acme/widget"))["versions"])


async def test_names_that_differ_by_case_are_different(people: People, developer: Person, project: Project) -> None:
    for name in ("Base64", "base64"):
        await publish(developer, project, name, "1.0.0", description=name)

    found = [await packument(people.anonymous, project, name) for name in ("Base64", "base64")]

    assert [("Base64", "Base64"), ("base64", "base64")] == [(one["name"], one["description"]) for one in found]
    assert 404 == (await developer.get(path(project, "-/package/BASE64/dist-tags"))).status


async def test_the_readme_of_the_latest_version_is_at_the_top(developer: Person, project: Project) -> None:
    for version, tag, readme in (("1.0.0", "latest", "# One"), ("2.0.0", "next", "# Two")):
        document: dict[str, Any] = a_publication("widget", version, tag=tag)
        document["versions"][version]["readme"] = readme
        assert 200 == (await send(developer, project, document)).status

    found = await packument(developer, project, "widget")

    assert ("# One", [False, False]) == (found["readme"], ["readme" in entry for entry in found["versions"].values()])


async def test_an_uploaded_file_has_gitlabs_name(people: People, developer: Person, project: Project) -> None:
    await publish(developer, project, "@acme/widget", "1.0.0")

    assert (("@acme/widget", "1.0.0", "@acme/widget-1.0.0.tgz"),) == (await inventory.take(people.services)).files


async def test_a_project_that_does_not_exist_takes_nothing(people: People, developer: Person) -> None:
    unknown = path(None, "").with_path("/api/v4/projects/999999/packages/npm/" + encoded("widget"), encoded=True)

    document = a_publication("widget", "1.0.0")

    assert 401 == (await people.anonymous.ask("PUT", unknown, json=document)).status
    assert (404, "Project not found") == await refused(await developer.ask("PUT", unknown, json=document))
