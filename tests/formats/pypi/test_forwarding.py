from __future__ import annotations

from yarl import URL

from registry import tree
from registry.access import AccessLevel
from registry.model import Group, Project
from registry.upstream import PUBLIC
from tests.formats.pypi.pages import base, delete, links, put, set_settings
from tests.people import OPERATOR, People

NOT_FOUND = {"message": "404 Package Not Found", "code": "404 Package Not Found"}


async def test_an_unknown_name_is_forwarded_as_it_was_asked(people: People, project: Project) -> None:
    group = await people.services.lookups.group(str(project.namespace_id))
    assert group is not None

    for place, asked in ((project, "unknown-name"), (project, "Un.Known_Name/"), (group, "unknown-name/")):
        response = await people.anonymous.get(f"{base(place)}/simple/{asked}")
        expected = f"{PUBLIC['pypi']}/simple/{asked.rstrip('/')}/"
        seen = (response.status, response.headers["Location"], response.headers["Cache-Control"], await response.read())
        assert (302, expected, "no-store", b"") == seen


async def test_an_unknown_name_is_404_where_forwarding_is_off(people: People) -> None:
    group = await people.group(visibility="public")
    off = await people.project(group, visibility="public")
    on = await people.project(group, visibility="public")
    await set_settings(people, group, pypi_package_requests_forwarding=False)
    await set_settings(people, on, pypi_package_requests_forwarding=True)

    answers = [await people.anonymous.get(f"{base(place)}/simple/unknown/") for place in (group, off, on)]

    assert [404, 404, 302] == [answer.status for answer in answers]
    assert NOT_FOUND == await answers[1].json()


async def test_authorisation_comes_before_forwarding(people: People) -> None:
    project = await people.project(visibility="private")
    reporter = await people.member(project, AccessLevel.REPORTER)

    answers = [await person.get(f"{base(project)}/simple/unknown/") for person in (people.anonymous, reporter)]

    assert [401, 302] == [answer.status for answer in answers]


async def test_a_name_that_is_or_was_here_is_never_forwarded(people: People) -> None:
    group = await people.group(visibility="public")
    public = await people.project(group, visibility="public")
    private = await people.project(group, visibility="private")
    await put(people.root, private, "Secret_Name", "1.0")
    await put(people.root, public, "deleted", "1.0")
    await delete(people, public, "deleted")
    await put(people.root, private, "both", "1.0")
    await delete(people, private, "both")

    seen = {
        (place.id, name): (await people.anonymous.get(f"{base(place)}/simple/{name}/")).status
        for place, name in (
            (group, "secret-name"),
            (group, "SECRET.NAME"),
            (group, "deleted"),
            (public, "deleted"),
            (group, "both"),
        )
    }

    assert {404} == set(seen.values())
    index = await people.anonymous.get(f"{base(group)}/simple/")
    assert [] == await links(index)


async def test_a_name_of_a_deleted_project_is_never_forwarded_below_its_top_level_group(people: People) -> None:
    group = await people.group(visibility="public")
    subgroup = await people.group(parent=group, visibility="public")
    bystander = await people.project(visibility="public")
    sibling, gone, below = [await people.project(place, visibility="public") for place in (group, group, subgroup)]
    await put(people.root, gone, "Was_Here", "1.0")
    await put(people.root, below, "below", "1.0")

    async def seen(place: Project | Group) -> list[int]:
        names = ("was-here", "Was.Here", "below", "unknown")
        return [(await people.anonymous.get(f"{base(place)}/simple/{name}/")).status for name in names]

    assert [302] * 4 == await seen(sibling)
    await tree.delete_project(people.services.db, OPERATOR, gone)
    await tree.delete_group(people.services.db, OPERATOR, subgroup)

    assert [404, 404, 404, 302] == await seen(sibling)
    assert [404, 404, 404, 302] == await seen(group)
    assert [404] * 4 == await seen(gone)
    assert [302] * 4 == await seen(bystander)

    # Whoever makes the group again gets its names with it.
    await tree.delete_group(people.services.db, OPERATOR, group)
    again = await people.project(await people.group(group.path.upper(), visibility="public"), visibility="public")
    assert [404, 404, 404, 302] == await seen(again)


async def test_a_name_that_is_no_path_segment_is_refused(people: People, project: Project) -> None:
    for asked in ("%0d%0ahttp:%2f%2fexample.com", "%0d%0ahttp:/%2fexample.com", "a%2fb", "a%5cb", "%00", "%0a", "%ff"):
        response = await people.anonymous.get(f"{base(project)}/simple/{asked}")
        assert (400, None) == (response.status, response.headers.get("Location")), asked
        if "%2f" in asked or "%5c" in asked:
            assert "%0d" in asked or "package_name should be a valid file path" == (await response.json())["error"]


async def test_a_name_the_public_index_cannot_have_is_not_forwarded(people: People, project: Project) -> None:
    for asked in ("%C3%A9t%C3%A9", "a%20b", "%E2%84%AAelvin", "a" * 256, "a%3Fb", "a%23b", "@b", "%2E%2E", "-a", "a."):
        response = await people.anonymous.get(URL(f"{base(project)}/simple/{asked}/", encoded=True))
        assert (404, NOT_FOUND) == (response.status, await response.json()), asked
