"""Deprecating and unpublishing, as npm and pnpm drive them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from registry.access import AccessLevel
from registry.model import Project
from tests import inventory
from tests.formats.npm.transcripts import a_publication, base, encoded, packument, path, publish, refused, send
from tests.people import People, Person

STALE = "Document update conflict: the package has changed, read it again"
NOTHING = '"package versions to deprecate" not given'


async def read(person: Person, project: Project, name: str) -> dict[str, Any]:
    """What a client fetches before it changes something."""
    response = await person.get(path(project, f"{encoded(name)}?write=true"))
    found: dict[str, Any] = json.loads(await response.read())
    return found


async def deprecations(person: Person, project: Project, name: str) -> dict[str, str | None]:
    versions = (await packument(person, project, name))["versions"]
    return {version: entry.get("deprecated") for version, entry in versions.items()}


async def published(people: People, project: Project, name: str = "@acme/widget") -> None:
    for version in ("1.0.0", "1.1.0"):
        await publish(people.root, project, name, version)


@pytest.mark.parametrize("command", ["deprecate", "undeprecate", "publish", None])
async def test_deprecating_and_taking_it_back(
    people: People, maintainer: Person, project: Project, command: str | None
) -> None:
    """The whole document comes back, as the clients send it; the header is a hint only."""
    await published(people, project)
    headers = {"npm-command": command} if command else {}
    states = []
    for message in ("use 2.x", ""):
        document = await read(maintainer, project, "@acme/widget")
        document["versions"]["1.0.0"]["deprecated"] = message
        response = await send(maintainer, project, document, **headers)
        assert (200, {"ok": True, "success": True}) == (response.status, await response.json())
        states.append(await deprecations(people.anonymous, project, "@acme/widget"))

    assert [{"1.0.0": "use 2.x", "1.1.0": None}, {"1.0.0": None, "1.1.0": None}] == states


async def test_only_the_message_of_the_sent_document_counts(
    people: People, maintainer: Person, project: Project
) -> None:
    await published(people, project)
    before = await packument(people.anonymous, project, "@acme/widget")
    document = await read(maintainer, project, "@acme/widget")
    del document["versions"]["1.1.0"]
    document["dist-tags"] = {"latest": "1.0.0", "evil": "1.0.0"}
    document["readme"] = "# Changed"
    document["versions"]["1.0.0"] |= {
        "deprecated": "old",
        "scripts": {"postinstall": "curl evil"},
        "dist": {"integrity": "sha512-AAAA", "tarball": "http://evil.test/x.tgz"},
    }
    document["versions"]["9.9.9"] = {"name": "@acme/widget", "version": "9.9.9", "deprecated": "not here"}

    assert 200 == (await send(maintainer, project, document)).status

    after = await packument(people.anonymous, project, "@acme/widget")
    before["versions"]["1.0.0"]["deprecated"] = "old"
    for one in (before, after):
        one.pop("_rev")
        one["time"].pop("modified")
    assert before == after


async def test_the_abbreviated_document_may_come_back(people: People, maintainer: Person, project: Project) -> None:
    await published(people, project, "widget")
    short = await packument(maintainer, project, "widget", Accept="application/vnd.npm.install-v1+json")
    short["versions"]["1.1.0"]["deprecated"] = "old"

    response = await send(maintainer, project, short, **{"npm-command": "deprecate"})

    assert 200 == response.status
    assert {"1.0.0": None, "1.1.0": "old"} == await deprecations(people.anonymous, project, "widget")


async def test_deprecating_nothing_is_refused_in_gitlabs_words(
    people: People, maintainer: Person, project: Project
) -> None:
    await published(people, project, "widget")

    for versions in ({}, {"1.0.0": {"name": "widget"}}):
        response = await send(maintainer, project, {"name": "widget", "versions": versions})
        body = await response.json()
        assert (400, {"message": f"400 Bad request - {NOTHING}", "error": NOTHING}) == (response.status, body)


async def test_a_stale_revision_is_a_conflict(people: People, maintainer: Person, project: Project) -> None:
    await published(people, project, "widget")
    document = await read(maintainer, project, "widget")
    stale = document["_rev"]
    await publish(people.root, project, "widget", "1.2.0")
    before = await inventory.take(people.services)

    document["versions"]["1.0.0"]["deprecated"] = "old"
    answers = [await send(maintainer, project, document)]
    del document["versions"]["1.0.0"]
    for rev in (stale, "undefined", "1-abc", "9" * 30, "-1", "٣"):
        rev_path = f"widget/-rev/{rev}"
        for method, rest in (
            ("PUT", rev_path),
            ("DELETE", rev_path),
            ("DELETE", f"widget/-/widget-1.0.0.tgz/-rev/{rev}"),
        ):
            url = f"{base(project)}/{rest}"
            answers.append(await maintainer.ask(method, url, json=document))
    # Nothing would be removed, but the document is an old one all the same.
    document["versions"] = (await packument(maintainer, project, "widget"))["versions"]
    answers.append(await maintainer.ask("PUT", path(project, f"widget/-rev/{stale}"), json=document))

    assert {(409, STALE)} == {await refused(answer) for answer in answers}
    assert before == await inventory.take(people.services)
    assert {None} == set((await deprecations(maintainer, project, "widget")).values())


@pytest.mark.parametrize("doubled", [False, True])
async def test_one_version_is_unpublished_as_npm_does_it(
    people: People, maintainer: Person, project: Project, *, doubled: bool
) -> None:
    """npm sends the last DELETE to a doubled path when only a scope's registry is configured, and prints success."""
    await published(people, project)
    document = await read(maintainer, project, "@acme/widget")
    tarball = document["versions"].pop("1.1.0")["dist"]["tarball"]
    document["time"].pop("1.1.0")
    document["dist-tags"] = {"latest": "1.0.0"}
    file = path(project, tarball.rpartition("/npm/")[2])
    assert 200 == (await maintainer.get(file)).status

    response = await maintainer.ask("PUT", path(project, f"@acme%2fwidget/-rev/{document['_rev']}"), json=document)

    assert (200, {"ok": True, "success": True}) == (response.status, await response.json())
    found = await packument(people.anonymous, project, "@acme/widget")
    assert (["1.0.0"], {"latest": "1.0.0"}) == (list(found["versions"]), found["dist-tags"])
    assert 404 == (await maintainer.get(file)).status
    kept = await inventory.take(people.services)
    assert (("@acme/widget", "1.0.0", "@acme/widget-1.0.0.tgz"),) == kept.files
    last = f"{(base(project)[1:] + '/') if doubled else ''}@acme/widget/-/@acme/widget-1.1.0.tgz/-rev/{found['_rev']}"
    gone = await maintainer.ask("DELETE", path(project, last))
    assert (404 if doubled else 200) == gone.status
    if doubled:
        await refused(gone)
    assert ["1.0.0"] == list((await packument(people.anonymous, project, "@acme/widget"))["versions"])


async def test_deleting_a_tarball_deletes_its_version(people: People, maintainer: Person, project: Project) -> None:
    await published(people, project)

    for version, file in (("1.1.0", "@acme%2fwidget-1.1.0.tgz"), ("1.0.0", "widget-1.0.0.tgz")):
        rev = (await read(maintainer, project, "@acme/widget"))["_rev"]
        url = path(project, f"@acme%2fwidget/-/{file}/-rev/{rev}")
        answers = [await maintainer.ask("DELETE", url) for _ in range(2)]
        assert [200, 200] == [answer.status for answer in answers], version
    unknown = await maintainer.ask("DELETE", path(project, "other/-/other-1.0.0.tgz/-rev/1"))
    misnamed = await maintainer.ask("DELETE", path(project, "@acme/widget/-/other-1.0.0.tgz/-rev/1"))

    assert [(404, "Package not found")] * 2 == [await refused(unknown), await refused(misnamed)]
    assert () == (await inventory.take(people.services)).files


async def test_a_whole_package_is_unpublished(people: People, maintainer: Person, project: Project) -> None:
    await published(people, project)
    await publish(people.root, project, "@acme/other", "1.0.0")
    rev = (await read(maintainer, project, "@acme/widget"))["_rev"]

    response = await maintainer.ask("DELETE", path(project, f"@acme%2fwidget/-rev/{rev}"))

    assert (200, {"ok": True, "success": True}) == (response.status, await response.json())
    assert (("@acme/other", "1.0.0", "@acme/other-1.0.0.tgz"),) == (await inventory.take(people.services)).files
    # It is not forwarded either: the name was here.
    assert 404 == (await maintainer.get(path(project, "@acme%2fwidget"))).status
    again = await maintainer.ask("DELETE", path(project, f"@acme%2fwidget/-rev/{rev}"))
    assert (404, "Packages not found") == await refused(again)


async def test_a_version_that_was_unpublished_may_be_published_again(
    people: People, maintainer: Person, project: Project
) -> None:
    await published(people, project, "widget")
    rev = (await read(maintainer, project, "widget"))["_rev"]
    await maintainer.ask("DELETE", path(project, f"widget/-rev/{rev}"))

    await publish(maintainer, project, "widget", "1.0.0", description="anew")

    assert ["1.0.0"] == list((await packument(people.anonymous, project, "widget"))["versions"])


NO_UNPUBLICATIONS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"versions": {}}, "The document keeps no version: unpublish the whole package instead"),
    ({"versions": []}, "versions is not an object"),
    ({"_id": "widget"}, "versions, maintainers or users are expected in the document"),
    ({"_id": "gadget", "versions": {"1.0.0": {}}}, "The document's _id is 'gadget', the URL says 'widget'"),
    ({"name": "gadget", "versions": {"1.0.0": {}}}, "The document's name is 'gadget', the URL says 'widget'"),
)


async def test_what_is_no_unpublication_removes_nothing(people: People, maintainer: Person, project: Project) -> None:
    await published(people, project, "widget")
    rev = (await read(maintainer, project, "widget"))["_rev"]
    for document, text in NO_UNPUBLICATIONS:
        response = await maintainer.ask("PUT", path(project, f"widget/-rev/{rev}"), json=document)
        assert (400, text) == await refused(response)

    assert ["1.0.0", "1.1.0"] == list((await packument(maintainer, project, "widget"))["versions"])


async def test_a_tarball_is_not_smuggled_in_with_an_edit(people: People, maintainer: Person, project: Project) -> None:
    await published(people, project, "widget")
    rev = (await read(maintainer, project, "widget"))["_rev"]
    before = await inventory.take(people.services)

    document = a_publication("widget", "1.2.0")
    response = await maintainer.ask("PUT", path(project, f"widget/-rev/{rev}"), json=document)

    assert (400, "A tarball is not expected here") == await refused(response)
    assert before == await inventory.take(people.services)


async def test_editing_needs_the_right_to_delete(people: People, developer: Person, project: Project) -> None:
    await published(people, project, "widget")
    document = await read(developer, project, "widget")
    document["versions"]["1.0.0"]["deprecated"] = "old"
    rev = document["_rev"]
    reader = await people.deploy_token(project, "read_package_registry")
    writer = await people.deploy_token(project, "write_package_registry")
    requests = (
        ("PUT", "widget"),
        ("PUT", f"widget/-rev/{rev}"),
        ("DELETE", f"widget/-rev/{rev}"),
        ("DELETE", f"widget/-/widget-1.0.0.tgz/-rev/{rev}"),
    )

    for person, status in ((people.anonymous, 401), (developer, 403), (reader, 403)):
        for method, rest in requests:
            response = await person.ask(method, path(project, rest), json=document)
            assert status == (await refused(response))[0], (method, rest)
    assert {None} == set((await deprecations(developer, project, "widget")).values())
    assert 200 == (await writer.ask("PUT", path(project, "widget"), json=document)).status
    assert "old" == (await deprecations(developer, project, "widget"))["1.0.0"]


async def test_what_is_not_here_cannot_be_edited(people: People, project: Project) -> None:
    maintainer = await people.member(project, AccessLevel.MAINTAINER)

    answers = [
        await send(maintainer, project, {"name": "gone", "versions": {"1.0.0": {"deprecated": "x"}}}),
        await maintainer.ask("PUT", path(project, "gone/-rev/1"), json={"versions": {"1.0.0": {}}}),
        await maintainer.ask("DELETE", path(project, "gone/-rev/1")),
    ]

    assert {(404, "Packages not found")} == {await refused(answer) for answer in answers}
