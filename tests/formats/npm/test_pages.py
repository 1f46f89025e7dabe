from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
import zstandard
from aiohttp import ClientSession
from isal import igzip

from registry.access import AccessLevel
from registry.model import Group, Project
from registry.settings import Settings
from tests.formats.npm.transcripts import (
    ABBREVIATED,
    below,
    encoded,
    packument,
    path,
    publish,
    refused,
    set_settings,
    username,
)
from tests.people import People, Person

FULL = "application/json"
NPM = f"{ABBREVIATED}; q=1.0, application/json; q=0.8, */*"
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": igzip.decompress,
    "zstd": zstandard.ZstdDecompressor().decompress,
}


FORMS = (
    (None, "", FULL),
    ("*/*", "", FULL),
    ("application/json", "", FULL),
    (ABBREVIATED, "", ABBREVIATED),
    (NPM, "", ABBREVIATED),
    (NPM, "?write=true", FULL),
    (ABBREVIATED, "?write=true", FULL),
)


async def test_the_form_is_the_one_asked_for(developer: Person, project: Project) -> None:
    await publish(developer, project, "widget", "1.0.0")
    for accept, query, media_type in FORMS:
        response = await developer.get(path(project, f"widget{query}"), headers={"Accept": accept} if accept else {})

        found = json.loads(await response.read())
        assert (media_type, media_type == FULL) == (response.headers["Content-Type"], "_rev" in found), accept


async def test_every_representation_has_its_own_etag_and_304(people: People, project: Project) -> None:
    await publish(people.root, project, "widget", "1.0.0", description="worth compressing " * 20)
    url = people.client.make_url(path(project, "widget"))
    tags: dict[str, bytes] = {}
    async with ClientSession(auto_decompress=False) as session:
        for media_type in (FULL, ABBREVIATED):
            for coding, decode in CODINGS.items():
                headers = {"Accept": media_type, "Accept-Encoding": coding}
                response = await session.get(url, headers=headers)
                tag = response.headers["ETag"]
                tags[tag] = decode(await response.read())
                assert coding == response.headers.get("Content-Encoding", "identity")
                for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
                    again = await session.get(url, headers={**headers, "If-None-Match": known})
                    kept = ("ETag", "Vary", "Cache-Control", "Last-Modified")
                    assert (304, b"") == (again.status, await again.read())
                    assert [response.headers[key] for key in kept] == [again.headers[key] for key in kept]
                other = await session.get(url, headers={**headers, "If-None-Match": '"other"'})
                assert 200 == other.status
        assert "Accept, Accept-Encoding, Authorization" == response.headers["Vary"]
        head = await session.head(url, headers=headers)
        assert (200, tag, b"") == (head.status, head.headers["ETag"], await head.read())
        assert response.headers["Content-Length"] == head.headers["Content-Length"]
    assert (6, 2) == (len(tags), len(set(tags.values())))


async def test_an_answer_to_credentials_is_kept_out_of_shared_caches(people: People, project: Project) -> None:
    await publish(people.root, project, "widget", "1.0.0")

    answers = [await person.get(path(project, "widget")) for person in (people.anonymous, people.root)]

    assert ["no-cache", "private, no-cache"] == [answer.headers["Cache-Control"] for answer in answers]


async def test_whatever_is_shown_moves_revision_etag_and_time(maintainer: Person, project: Project) -> None:
    seen: list[tuple[str, str, str]] = []

    async def look() -> None:
        response = await maintainer.get(path(project, "widget"))
        found = json.loads(await response.read())
        seen.append((found["_rev"], response.headers["ETag"], found["time"]["modified"]))
        modified = parsedate_to_datetime(response.headers["Last-Modified"])
        assert found["time"]["modified"][:19] == modified.strftime("%Y-%m-%dT%H:%M:%S")
        assert timedelta(seconds=60) > datetime.now(UTC) - modified

    async def put(rest: str, body: object) -> None:
        assert 300 > (await maintainer.ask("PUT", path(project, rest), json=body)).status

    await publish(maintainer, project, "widget", "1.0.0")
    await look()
    await publish(maintainer, project, "widget", "1.0.1")
    await look()
    await put("-/package/widget/dist-tags/next", "1.0.0")
    await look()
    await put("widget", {"versions": {"1.0.0": {"deprecated": "old"}}})
    await look()
    assert 204 == (await maintainer.ask("DELETE", path(project, "-/package/widget/dist-tags/next"))).status
    await look()
    await put(f"widget/-rev/{seen[-1][0]}", {"versions": {"1.0.0": {}}})
    await look()

    revisions, tags, times = zip(*seen, strict=True)
    assert (6, 6) == (len(set(revisions)), len(set(tags)))
    assert sorted(set(times)) == list(times)


async def test_one_version_is_found_by_number_or_tag_in_any_encoding(people: People, project: Project) -> None:
    await publish(people.root, project, "@acme/widget", "1.0.0")
    await publish(people.root, project, "@acme/widget", "2.0.0-beta.1", tag="beta")
    entries = (await packument(people.anonymous, project, "@acme/widget"))["versions"]

    for name in ("@acme%2fwidget", "@acme%2Fwidget", "%40acme%2fwidget", "@acme/widget"):
        for asked, version in (
            ("1.0.0", "1.0.0"),
            ("latest", "1.0.0"),
            ("beta", "2.0.0-beta.1"),
            ("2.0.0-beta.1", "2.0.0-beta.1"),
        ):
            response = await people.anonymous.get(path(project, f"{name}/{asked}"))
            assert entries[version] == json.loads(await response.read())
    tag = response.headers["ETag"]
    again = await people.anonymous.get(path(project, "@acme/widget/1.0.0"), headers={"If-None-Match": tag})
    assert 200 == again.status
    for unknown in ("1.0.1", "gone", "1", "^1.0.0"):
        response = await people.anonymous.get(path(project, f"@acme/widget/{unknown}"))
        assert (404, "Package not found") == await refused(response)


async def test_versions_of_all_readable_projects_are_merged(people: People, group: Group, project: Project) -> None:
    inner = await people.project(await people.group(parent=group, visibility="public"), visibility="public")
    hidden = await people.project(group, visibility="private")
    member = await people.member(hidden, AccessLevel.GUEST)
    await publish(people.root, project, "@acme/widget", "1.0.0")
    await publish(people.root, inner, "@acme/widget", "1.1.0", tag="next")
    await publish(people.root, hidden, "@acme/widget", "3.0.0")

    for place in (group, None):
        seen = [await packument(person, place, "@acme/widget") for person in (people.anonymous, member)]
        assert [["1.0.0", "1.1.0"], ["1.0.0", "1.1.0", "3.0.0"]] == [list(one["versions"]) for one in seen]
        assert [{"latest": "1.0.0", "next": "1.1.0"}, {"latest": "3.0.0", "next": "1.1.0"}] == [
            one["dist-tags"] for one in seen
        ]
    assert ["1.0.0"] == list((await packument(member, project, "@acme/widget"))["versions"])


async def test_of_a_version_in_two_projects_the_newer_counts(people: People, group: Group) -> None:
    """An unscoped name is unique in its project only. Document and tarball are of the same one."""
    first, second = [await people.project(group, visibility="public") for _ in range(2)]
    await publish(people.root, first, "widget", "1.0.0", description="first")
    await publish(people.root, first, "widget", "1.1.0")
    assert "first" == (await packument(people.anonymous, group, "widget"))["versions"]["1.0.0"]["description"]
    file = path(group, "widget/-/widget-1.0.0.tgz")
    assert 200 == (await people.anonymous.get(file)).status

    tarball = await publish(people.root, second, "widget", "1.0.0", description="second")

    versions = (await packument(people.anonymous, group, "widget"))["versions"]
    assert [("1.1.0", None), ("1.0.0", "second")] == [(one, versions[one].get("description")) for one in versions]
    assert tarball == await (await people.anonymous.get(file)).read()


async def test_at_instance_level_a_scope_is_a_top_level_namespace(people: People, group: Group) -> None:
    user = await people.user()
    personal = (await people.services.lookups.namespace(await username(user))) or group
    assert personal is not group
    mine = await people.project(personal, visibility="public")
    elsewhere = await people.project(visibility="public")
    await publish(people.root, mine, f"@{personal.path}/mine", "1.0.0")
    await publish(people.root, elsewhere, "@acme/stray", "1.0.0")
    await publish(people.root, elsewhere, "widget", "1.0.0")
    await set_settings(people, None, npm_package_requests_forwarding=False)

    found = await packument(people.anonymous, None, f"@{personal.path}/mine")
    missing = [await people.anonymous.get(path(None, encoded(name))) for name in ("@acme/stray", "widget", "@no/one")]

    assert ["1.0.0"] == list(found["versions"])
    assert [(404, "Packages not found")] * 3 == [await refused(answer) for answer in missing]


async def test_look_ups_are_case_sensitive(people: People, project: Project) -> None:
    await publish(people.root, project, "@acme/widget", "1.0.0")
    await set_settings(people, project, npm_package_requests_forwarding=False)

    for name in ("@acme/Widget", "@Acme/widget", "@ACME/WIDGET"):
        for place in (project, None):
            response = await people.anonymous.get(path(place, encoded(name)))
            assert 404 == (await refused(response))[0]


async def test_a_document_of_many_versions_is_whole_in_every_form(people: People, project: Project) -> None:
    for number in range(110):
        await publish(people.root, project, "widget", f"1.0.{number}")

    found = [await packument(people.anonymous, project, "widget", Accept=form) for form in (FULL, ABBREVIATED)]

    assert [110, 110] == [len(one["versions"]) for one in found]
    assert all(one["versions"][version]["version"] == version for one in found for version in one["versions"])


async def test_a_document_follows_its_project_to_another_path(people: People, project: Project) -> None:
    await publish(people.root, project, "widget", "1.0.0")
    by_path = project.full_path.replace("/", "%2f")
    url = path(project, "widget").with_path(f"/api/v4/projects/{by_path}/packages/npm/widget", encoded=True)

    found = json.loads(await (await people.anonymous.get(url)).read())

    tarball = found["versions"]["1.0.0"]["dist"]["tarball"]
    assert str(path(project, "widget/-/widget-1.0.0.tgz")) == below(tarball)


class TestCanonicalNames:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"npm_tarball_names": "canonical"})

    async def test_npms_own_file_names_are_announced_when_the_operator_wants_them(
        self, people: People, project: Project
    ) -> None:
        tarball = await publish(people.root, project, "@acme/widget", "1.0.0")

        announced = (await packument(people.anonymous, project, "@acme/widget"))["versions"]["1.0.0"]["dist"]["tarball"]

        assert str(path(project, "@acme/widget/-/widget-1.0.0.tgz")) == below(announced)
        for rest in ("@acme/widget/-/widget-1.0.0.tgz", "@acme/widget/-/@acme/widget-1.0.0.tgz"):
            assert tarball == await (await people.anonymous.get(path(project, rest))).read()
