from __future__ import annotations

import os

import pytest

from registry.access import AccessLevel
from registry.model import Group, Project
from tests.formats.npm.documents import a_document, a_tarball
from tests.formats.npm.transcripts import path, publish, refused, send
from tests.people import People, Person

LARGE = {"blob.bin": os.urandom(700_000)}
# The same name and file in every spelling that clients use and lock files hold.
NAMES = ("@acme/widget", "@acme%2fwidget", "@acme%2Fwidget", "%40acme/widget", "%40acme%2fwidget")
FILES = (
    "widget-1.0.0.tgz",
    "@acme/widget-1.0.0.tgz",
    "@acme%2fwidget-1.0.0.tgz",
    "@acme%2Fwidget-1.0.0.tgz",
    "%40acme%2fwidget-1.0.0.tgz",
    "widget-1%2e0%2E0.tgz",
)
FILE = "@acme/widget/-/@acme/widget-1.0.0.tgz"


@pytest.fixture
async def tarball(people: People, project: Project) -> bytes:
    content = a_tarball({"name": "@acme/widget", "version": "1.0.0"}, LARGE)
    assert 200 == (await send(people.root, project, a_document(content, name="@acme/widget"))).status
    return content


async def test_every_spelling_is_the_same_thing(people: People, group: Group, project: Project, tarball: bytes) -> None:
    asks = people.anonymous
    for place in (project, group, None):
        document = await (await asks.get(path(place, "@acme/widget"))).read()
        for name in NAMES:
            assert document == await (await asks.get(path(place, name))).read(), name
            for wanted in ("1.0.0", "latest"):
                manifest = await asks.get(path(place, f"{name}/{wanted}"))
                assert (200, "1.0.0") == (manifest.status, (await manifest.json())["version"])
            tags = await asks.get(path(place, f"-/package/{name}/dist-tags"))
            assert {"latest": "1.0.0"} == await tags.json(), name
            for file in FILES:
                answer = await asks.get(path(place, f"{name}/-/{file}"))
                assert (200, tarball) == (answer.status, await answer.read()), (name, file)


async def test_every_spelling_can_be_written_to(people: People, maintainer: Person, project: Project) -> None:
    for name in NAMES:
        await publish(people.root, project, "@acme/widget", "1.0.0")
        tagged = await maintainer.ask("PUT", path(project, f"-/package/{name}/dist-tags/stable"), json="1.0.0")
        rev = (await (await maintainer.get(path(project, name))).json())["_rev"]
        gone = await maintainer.ask("DELETE", path(project, f"{name}/-rev/{rev}"))
        assert (204, 200) == (tagged.status, gone.status), name


@pytest.mark.parametrize("storage_url", ["local", "s3"], indirect=True)
async def test_the_bytes_are_sent_as_they_are(people: People, project: Project, tarball: bytes) -> None:
    """No coding, no negotiation: yarn 1 asks for tarballs with the type of documents."""
    asked = {"Accept": "application/vnd.npm.install-v1+json", "Accept-Encoding": "zstd, gzip, br"}
    response = await people.anonymous.get(path(project, FILE), headers=asked)
    assert (200, tarball) == (response.status, await response.read())
    assert {
        "Content-Type": "application/octet-stream",
        "Content-Length": str(len(tarball)),
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=31536000, immutable",
        "Content-Encoding": None,
    } == {
        name: response.headers.get(name)
        for name in ("Content-Type", "Content-Length", "Accept-Ranges", "Cache-Control", "Content-Encoding")
    }

    head = await people.anonymous.ask("HEAD", path(project, FILE))
    assert (200, str(len(tarball)), b"") == (head.status, head.headers["Content-Length"], await head.read())
    for span, expected in (
        ("bytes=0-9", tarball[:10]),
        ("bytes=-5", tarball[-5:]),
        ("bytes=600000-", tarball[600000:]),
    ):
        part = await people.anonymous.get(path(project, FILE), headers={"Range": span})
        assert (206, expected) == (part.status, await part.read())
    same = await people.anonymous.get(path(project, FILE), headers={"If-None-Match": response.headers["ETag"]})
    assert (304, b"") == (same.status, await same.read())


async def test_what_is_not_there_is_404_with_both_keys(people: People, group: Group, project: Project) -> None:
    await publish(people.root, project, "@acme/widget", "1.0.0")
    await publish(people.root, project, "widget", "3.0.0")
    missing = (
        "@acme/widget/-/widget-1.0.1.tgz",
        "@acme/widget/-/widget-1.0.0.tar.gz",
        "@acme/widget/-/gadget-1.0.0.tgz",
        "@acme/widget/-/@other/widget-1.0.0.tgz",
        "@acme/widget/-/Widget-1.0.0.tgz",
        "@acme/widget/-/widget-3.0.0.tgz",
        "@acme/widget/-/widget-.tgz",
        "@acme/gadget/-/gadget-1.0.0.tgz",
        "@acme/widget/-/%2e%2e%2fwidget-1.0.0.tgz",
    )
    for rest in missing:
        for place in (project, group):
            # Tarballs are never forwarded.
            response = await people.anonymous.get(path(place, rest))
            assert (404, "Package not found") == await refused(response), rest


async def test_a_tarball_of_a_hidden_project_does_not_exist(people: People, group: Group) -> None:
    """404 for anonymous callers too, where documents say 401 (contract 1.3, N2)."""
    hidden = await people.project(group, visibility="private")
    await publish(people.root, hidden, "@acme/widget", "1.0.0")
    guest = await people.member(hidden, AccessLevel.GUEST)
    outsider = await people.user()

    for place, text in ((hidden, "Project not found"), (group, "Package not found"), (None, "Package not found")):
        for person in (people.anonymous, outsider):
            assert (404, text) == await refused(await person.get(path(place, FILE)))
        assert 200 == (await guest.get(path(place, FILE))).status


async def test_a_tarball_is_gone_as_soon_as_its_version_is(
    people: People, maintainer: Person, project: Project, tarball: bytes
) -> None:
    for _ in range(2):
        assert 200 == (await people.anonymous.get(path(project, FILE))).status
    rev = (await (await maintainer.get(path(project, "@acme/widget"))).json())["_rev"]

    await maintainer.ask("DELETE", path(project, f"@acme/widget/-rev/{rev}"))

    assert 404 == (await people.anonymous.get(path(project, FILE))).status


async def test_build_metadata_in_a_file_name_means_the_same_version(people: People, project: Project) -> None:
    content = await publish(people.root, project, "widget", "1.0.0+build.7")

    for file in ("widget-1.0.0+build.7.tgz", "widget-1.0.0%2Bbuild.7.tgz", "widget-1.0.0.tgz"):
        assert content == await (await people.anonymous.get(path(project, f"widget/-/{file}"))).read()
