from __future__ import annotations

import json

import pytest

from registry.access import AccessLevel
from registry.model import Group, Project
from tests.formats.npm.transcripts import packument, path, publish, refused, set_settings
from tests.people import People, Person

VERSIONS = ("1.0.0", "2.0.0-rc.1")


async def tags(person: Person, place: Project | Group | None, name: str = "@acme%2fwidget") -> dict[str, str]:
    response = await person.get(path(place, f"-/package/{name}/dist-tags"))
    assert (200, "application/json") == (response.status, response.headers["Content-Type"]), await response.text()
    found: dict[str, str] = json.loads(await response.read())
    return found


@pytest.fixture
async def widget(people: People, project: Project) -> str:
    for version in VERSIONS:
        await publish(people.root, project, "@acme/widget", version, tag="latest" if version == "1.0.0" else "next")
    return "-/package/@acme%2fwidget/dist-tags"


@pytest.mark.parametrize("level", ["project", "group", "instance"])
async def test_tags_are_set_moved_and_removed_at_every_level(
    people: People, maintainer: Person, group: Group, project: Project, widget: str, level: str
) -> None:
    place = {"project": project, "group": group, "instance": None}[level]
    states = [await tags(people.anonymous, place)]
    for method, version in (("PUT", "1.0.0"), ("POST", "2.0.0-rc.1"), ("DELETE", None)):
        body = None if version is None else json.dumps(version)
        response = await maintainer.ask(
            method, path(place, f"{widget}/stable"), data=body, headers={"Content-Type": "application/json"}
        )
        assert (204, b"") == (response.status, await response.read())
        states.append(await tags(people.anonymous, place))

    usual = {"latest": "1.0.0", "next": "2.0.0-rc.1"}
    assert [usual, usual | {"stable": "1.0.0"}, usual | {"stable": "2.0.0-rc.1"}, usual] == states
    assert usual == (await packument(people.anonymous, place, "@acme/widget"))["dist-tags"]


async def test_yarn_1_gets_the_json_it_insists_on(maintainer: Person, project: Project, widget: str) -> None:
    yarn = {"User-Agent": "yarn/1.22.22 npm/? node/v24.0.0 linux x64"}

    answers = [
        await maintainer.ask("PUT", path(project, f"{widget}/stable"), json="1.0.0", headers=yarn),
        await maintainer.ask("DELETE", path(project, f"{widget}/stable"), headers=yarn),
    ]

    assert [(200, {"ok": True})] * 2 == [(answer.status, await answer.json()) for answer in answers]


async def test_latest_can_be_moved_and_without_it_the_highest_version_is_latest(
    people: People, maintainer: Person, project: Project, widget: str
) -> None:
    latest = path(project, f"{widget}/latest")
    await maintainer.ask("PUT", latest, json="2.0.0-rc.1")
    assert "2.0.0-rc.1" == (await tags(people.anonymous, project))["latest"]
    await maintainer.ask("PUT", latest, json="1.0.0")
    assert 204 == (await maintainer.ask("DELETE", latest)).status
    assert {"latest": "2.0.0-rc.1", "next": "2.0.0-rc.1"} == await tags(people.anonymous, project)
    gone = await maintainer.ask("DELETE", latest)
    assert (404, "Package tag not found") == await refused(gone)


async def test_a_first_publish_under_another_tag_is_latest_too(people: People, project: Project) -> None:
    await publish(people.root, project, "widget", "1.0.0-alpha", tag="alpha")

    assert {"latest": "1.0.0-alpha", "alpha": "1.0.0-alpha"} == await tags(people.anonymous, project, "widget")


async def test_a_tag_goes_with_its_version(people: People, maintainer: Person, project: Project, widget: str) -> None:
    document = await packument(maintainer, project, "@acme/widget")
    del document["versions"]["2.0.0-rc.1"]
    await maintainer.ask("PUT", path(project, f"@acme%2fwidget/-rev/{document['_rev']}"), json=document)

    assert {"latest": "1.0.0"} == await tags(people.anonymous, project)


async def test_the_list_is_revalidated_by_its_etag(people: People, project: Project, widget: str) -> None:
    first = await people.anonymous.get(path(project, widget))

    again = await people.anonymous.get(path(project, widget), headers={"If-None-Match": first.headers["ETag"]})

    assert (304, "no-cache") == (again.status, again.headers["Cache-Control"])


NOT_A_TAG = "is not a tag name: letters, digits and -._~!*'() are allowed"
REFUSED = (
    ("stable", "", 400, '"Version" not given'),
    ("stable", " ", 400, '"Version" not given'),
    ("stable", '"9.9.9"', 404, "Package not found"),
    ("stable", '"1.0"', 400, "Validation failed: Version should follow SemVer: https://semver.org"),
    ("stable", "{}", 400, "The body is a version as a JSON string"),
    ("stable", '"1.0.0', 400, "Invalid json"),
    ("1.x", '"1.0.0"', 400, "Tag name must not be a valid SemVer range: 1.x"),
    ("v1", '"1.0.0"', 400, "Tag name must not be a valid SemVer range: v1"),
    ("__proto__", '"1.0.0"', 400, f"'__proto__' {NOT_A_TAG}"),
    ("a%20b", '"1.0.0"', 400, f"'a b' {NOT_A_TAG}"),
    ("stable", '"' + "1" * 5000 + '"', 413, "File is too large: the limit is 4096 bytes"),
)


async def test_what_cannot_be_tagged_is_refused(maintainer: Person, project: Project, widget: str) -> None:
    for tag, body, status, text in REFUSED:
        response = await maintainer.ask("PUT", path(project, f"{widget}/{tag}"), data=body.encode())
        assert (status, text) == await refused(response), (tag, body)
    assert {"latest", "next"} == set(await tags(maintainer, project))


async def test_the_bare_version_is_taken_as_curl_sends_it(maintainer: Person, project: Project, widget: str) -> None:
    response = await maintainer.ask("PUT", path(project, f"{widget}/stable"), data=b"1.0.0\n")

    assert 204 == response.status
    assert "1.0.0" == (await tags(maintainer, project))["stable"]


async def test_who_may_set_and_remove_tags(
    people: People, group: Group, project: Project, developer: Person, widget: str
) -> None:
    """Setting is a Developer's, removing a Maintainer's; who is not signed in hears 401 before anything else."""
    reporter = await people.member(project, AccessLevel.REPORTER)
    maintainer = await people.member(project, AccessLevel.MAINTAINER)
    outsider = await people.user()
    expected = {
        "anonymous": (401, 401),
        "outsider": (403, 403),
        "reporter": (403, 403),
        "developer": (204, 403),
        "maintainer": (204, 204),
    }
    persons = {
        "anonymous": people.anonymous,
        "outsider": outsider,
        "reporter": reporter,
        "developer": developer,
        "maintainer": maintainer,
    }
    for place in (project, group, None):
        seen = {}
        for who, person in persons.items():
            url = path(place, f"{widget}/stable")
            put = await person.ask("PUT", url, json="1.0.0")
            seen[who] = (put.status, (await person.ask("DELETE", url)).status)
        assert expected == seen


async def test_unknown_names_are_never_forwarded(people: People, group: Group, project: Project) -> None:
    maintainer = await people.member(project, AccessLevel.MAINTAINER)
    guest = await people.member(project, AccessLevel.GUEST)
    rest = "-/package/@acme%2fgone/dist-tags"
    await set_settings(people, None, npm_package_requests_forwarding=True)

    lists = [await refused(await maintainer.get(path(place, rest))) for place in (project, group, None)]
    puts = [
        await refused(await person.ask("PUT", path(project, f"{rest}/stable"), json="1.0.0"))
        for person in (maintainer, guest)
    ]
    below = [
        await refused(await maintainer.ask("DELETE", path(place, f"{rest}/stable"))) for place in (project, group, None)
    ]

    assert [(404, "Package not found"), *[(404, "Project not found")] * 2] == lists
    assert [(404, "Package not found"), (403, "403 Forbidden")] == puts
    assert [(404, "Package not found"), *[(404, "Project not found")] * 2] == below


async def test_tags_of_several_projects_are_merged_and_the_last_set_wins(people: People, group: Group) -> None:
    first, second = [await people.project(group, visibility="public") for _ in range(2)]
    await publish(people.root, first, "widget", "1.0.0", tag="stable")
    await publish(people.root, second, "widget", "2.0.0", tag="stable")
    assert {"latest": "2.0.0", "stable": "2.0.0"} == await tags(people.anonymous, group, "widget")

    await people.root.ask("PUT", path(first, "-/package/widget/dist-tags/stable"), json="1.0.0")

    assert {"latest": "2.0.0", "stable": "1.0.0"} == await tags(people.anonymous, group, "widget")
    # A write below a group is about the project of the newest package.
    await people.root.ask("PUT", path(group, "-/package/widget/dist-tags/new"), json="2.0.0")
    assert "new" in await tags(people.anonymous, second, "widget")


async def test_a_hidden_name_is_refused_below_a_group(people: People, group: Group) -> None:
    hidden = await people.project(group, visibility="private")
    await publish(people.root, hidden, "@acme/secret", "1.0.0")
    outsider = await people.user()
    rest = "-/package/@acme%2fsecret/dist-tags"

    for place in (group, None):
        seen = [await refused(await person.get(path(place, rest))) for person in (people.anonymous, outsider)]
        put = await refused(await outsider.ask("PUT", path(place, f"{rest}/stable"), json="1.0.0"))
        assert [(401, "401 Unauthorized"), (403, "403 Forbidden"), (403, "403 Forbidden")] == [*seen, put]
