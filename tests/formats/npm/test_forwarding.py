"""Names that are not here are the public registry's, names that are here never."""

from __future__ import annotations

import pytest

from registry import tree
from registry.access import AccessLevel
from registry.model import Group, Project
from registry.upstream import PUBLIC
from tests.formats.npm.transcripts import base, encoded, path, publish, refused, set_settings
from tests.people import OPERATOR, People, Person

FORWARDED = 302


async def asked(person: Person, place: Project | Group | None, name: str) -> int:
    response = await person.get(path(place, encoded(name)))
    if response.status != FORWARDED:
        await refused(response)
    return response.status


async def test_an_unknown_name_is_forwarded_with_its_slash_as_it_is(
    people: People, group: Group, project: Project
) -> None:
    for place in (project, group, None):
        for rest, location in (
            ("left-pad", "left-pad"),
            ("@types%2fnode", "@types/node"),
            ("%40types%2Fnode?write=true", "@types/node"),
            ("left-pad/1.0.0", "left-pad/1.0.0"),
            ("@types%2fnode/latest", "@types/node/latest"),
            ("JSONStream", "JSONStream"),
        ):
            for method in ("GET", "HEAD"):
                response = await people.anonymous.ask(method, path(place, rest))
                assert (302, f"{PUBLIC['npm']}/{location}") == (response.status, response.headers["Location"])
                assert "no-store" == response.headers["Cache-Control"]


async def test_forwarding_comes_before_authorisation_but_for_groups(people: People) -> None:
    group = await people.group("acme", visibility="private")
    project = await people.project(group, visibility="private")
    outsider = await people.user()
    unknown = path(project, "left-pad").with_path("/api/v4/projects/999999/packages/npm/left-pad")

    for person, of_group in ((people.anonymous, 401), (outsider, 404)):
        assert 302 == await asked(person, project, "left-pad")
        assert 302 == (await person.get(unknown)).status
        assert of_group == await asked(person, group, "left-pad")
        response = await person.get(path(project, "left-pad/latest"))
        assert 302 == response.status


async def test_a_name_or_scope_that_is_here_is_never_forwarded(people: People) -> None:
    """Whoever asks, at every level: a public package of that name would be somebody else's."""
    group = await people.group("acme", visibility="public")
    public = await people.project(group, visibility="public")
    hidden = await people.project(group, visibility="private")
    member = await people.member(hidden, AccessLevel.GUEST)
    outsider = await people.user()
    await publish(people.root, hidden, "secret", "1.0.0")
    await publish(people.root, hidden, "@partner/secret", "1.0.0")
    maintainer = await people.member(public, AccessLevel.MAINTAINER)
    await publish(maintainer, public, "deleted", "1.0.0")
    rev = (await (await maintainer.get(path(public, "deleted"))).json())["_rev"]
    await maintainer.ask("DELETE", path(public, f"deleted/-rev/{rev}"))

    cases: tuple[tuple[Project | Group | None, str, tuple[int, int, int]], ...] = (
        # Where, what, and what an anonymous caller, an outsider and a member of the hidden project are told.
        (hidden, "secret", (401, 404, 200)),
        (group, "secret", (401, 403, 200)),
        (public, "secret", (302, 302, 302)),
        (None, "secret", (302, 302, 302)),
        (public, "deleted", (404, 404, 404)),
        (group, "deleted", (404, 404, 404)),
        (hidden, "deleted", (302, 302, 302)),
        # The scope of the root namespace, in any case, and any scope that something here has.
        (public, "@acme/unknown", (404, 404, 404)),
        (group, "@acme/unknown", (404, 404, 404)),
        (None, "@acme/unknown", (404, 404, 404)),
        (hidden, "@acme/unknown", (401, 404, 404)),
        (group, "@Acme/unknown", (404, 404, 404)),
        (None, "@ACME/unknown", (404, 404, 404)),
        (hidden, "@partner/unknown", (401, 404, 404)),
        (group, "@partner/unknown", (404, 404, 404)),
        (public, "@partner/unknown", (302, 302, 302)),
        (None, "@partner/unknown", (302, 302, 302)),
    )
    for place, name, expected in cases:
        seen = []
        for person in (people.anonymous, outsider, member):
            response = await person.get(path(place, encoded(name)))
            version = await person.get(path(place, f"{encoded(name)}/1.0.0"))
            assert response.status == version.status, (place, name)
            seen.append(response.status)
        assert expected == tuple(seen), (place, name)


async def test_names_of_deleted_projects_and_groups_are_never_forwarded(people: People) -> None:
    """Configurations that still name them would get a stranger's package from the public registry."""
    group = await people.group("acme", visibility="public")
    subgroup = await people.group("parts", parent=group, visibility="public")
    other = await people.group("other", visibility="public")
    bystander = await people.project(other, visibility="public")
    sibling, gone, below = [await people.project(place, visibility="public") for place in (group, group, subgroup)]
    await publish(people.root, gone, "gone", "1.0.0")
    await publish(people.root, gone, "@partner/gone", "1.0.0")
    await publish(people.root, gone, "@acme/gone", "1.0.0")
    await publish(people.root, below, "below", "1.0.0")
    for place in (sibling, group, gone, bystander):
        assert 302 == await asked(people.anonymous, place, "unknown")

    await tree.delete_project(people.services.db, OPERATOR, gone)
    await tree.delete_group(people.services.db, OPERATOR, subgroup)

    for place in (sibling, group):
        for name in ("gone", "@partner/gone", "@partner/unknown", "below"):
            assert 404 == await asked(people.anonymous, place, name)
        assert 302 == await asked(people.anonymous, place, "unknown")
    # Of a project that is not there nobody knows to whom it belonged.
    assert [401, 401, 401, 302] == [
        await asked(people.anonymous, gone, name) for name in ("gone", "@partner/gone", "below", "unknown")
    ]
    # Others go on.
    assert [302, 302, 302] == [
        await asked(people.anonymous, bystander, name) for name in ("gone", "@partner/gone", "below")
    ]
    assert 302 == await asked(people.anonymous, None, "gone")

    renamed = await tree.update_group(people.services.db, OPERATOR, group, {"path": "acme-2"}, {})
    assert 404 == await asked(people.anonymous, sibling, "gone")
    await tree.delete_group(people.services.db, OPERATOR, renamed)
    assert [404, 302] == [await asked(people.anonymous, None, name) for name in ("@acme/gone", "@partner/gone")]
    again = await people.project(await people.group("acme", visibility="public"), visibility="public")
    assert [404, 302] == [await asked(people.anonymous, again, name) for name in ("gone", "unknown")]


@pytest.mark.parametrize("scoped", [False, True])
async def test_the_settings_of_the_place_decide(people: People, *, scoped: bool) -> None:
    group = await people.group("acme", visibility="public")
    off = await people.project(group, visibility="public")
    on = await people.project(group, visibility="public")
    name = "@types/node" if scoped else "left-pad"
    await set_settings(people, group, npm_package_requests_forwarding=False)
    await set_settings(people, on, npm_package_requests_forwarding=True)

    assert [404, 404, 302, 302] == [await asked(people.anonymous, place, name) for place in (group, off, on, None)]
    await set_settings(people, None, npm_package_requests_forwarding=False)
    assert [404, 404, 302, 404] == [await asked(people.anonymous, place, name) for place in (group, off, on, None)]


async def test_without_forwarding_gitlabs_words_are_said(people: People, group: Group, project: Project) -> None:
    await set_settings(people, None, npm_package_requests_forwarding=False)
    outsider = await people.user()
    unknown = base(project).replace(f"/{project.id}/", "/999999/")

    for place in (project, group, None):
        response = await people.anonymous.get(path(place, "left-pad"))
        body = {"message": "404 Packages Not Found", "error": "Packages not found"}
        assert (404, body) == (response.status, await response.json())
    assert (401, "401 Unauthorized") == await refused(await people.anonymous.get(f"{unknown}/left-pad"))
    assert (404, "Project not found") == await refused(await outsider.get(f"{unknown}/left-pad"))


async def test_nothing_strange_gets_into_a_location(people: People, project: Project) -> None:
    for rest in (
        "left-pad/1.0.0%3fx",
        "left-pad/%2e%2e%2fother",
        "left-pad/a%20b",
        "left-pad/%C3%A9",
        "left%20pad",
        "caf%C3%A9",
        "..%2fother",
        "@scope%2f..",
        "%0d%0ahttp:%2f%2fexample.com",
        "a%5cb",
        "a%3fb",
        "a%23b",
        "@%2fb",
        "@a%2fb%2fc",
    ):
        for method in ("GET", "HEAD"):
            response = await people.anonymous.ask(method, path(project, rest))
            assert (True, None) == (response.status in {400, 404}, response.headers.get("Location")), rest


async def test_invalid_credentials_are_not_forwarded(people: People, project: Project) -> None:
    response = await people.anonymous.get(path(project, "left-pad"), headers={"Authorization": "Bearer wrong"})

    assert (401, "401 Unauthorized") == await refused(response)
