from __future__ import annotations

import re

from registry import tree
from registry.access import AccessLevel
from tests.formats.pypi.pages import base, links, page, put, set_settings
from tests.people import OPERATOR, People, basic


async def test_a_group_lists_what_is_below_it_and_its_own_urls(people: People) -> None:
    group = await people.group(visibility="public")
    subgroup = await people.group("sub", parent=group, visibility="public")
    above = await people.project(group, "above", visibility="public")
    below = await people.project(subgroup, "below", visibility="public")
    elsewhere = await people.project(visibility="public")
    one = await put(people.root, above, "demo", "1.0", "demo-1.0.zip")
    two = await put(people.root, below, "Demo", "2.0", "demo-2.0.zip")
    await put(people.root, below, "other", "1.0")
    await put(people.root, elsewhere, "demo", "3.0")

    text = await (await people.anonymous.get(f"{base(group)}/simple/demo/")).text()

    files = f"http://127.0.0.1:{people.client.port}{base(group)}/files"
    assert [f"{files}/{one}/demo-1.0.zip#sha256={one}", f"{files}/{two}/demo-2.0.zip#sha256={two}"] == re.findall(
        'href="([^"]*)"', text
    )
    assert ["demo", "other"] == await links(await people.anonymous.get(f"{base(group)}/simple/"))
    assert ["Demo", "other"] == await links(await people.anonymous.get(f"{base(subgroup)}/simple/"))
    by_path = f"/api/v4/groups/{group.path}%2Fsub/-/packages/pypi/simple/demo"
    assert ["demo-2.0.zip"] == await links(await people.anonymous.get(by_path))


async def test_a_group_page_shows_each_caller_what_that_caller_may_read(people: People) -> None:
    group = await people.group(visibility="public")
    projects = {
        visibility: await people.project(group, visibility, visibility=visibility)
        for visibility in ("public", "internal", "private")
    }
    off = await people.project(group, "off", visibility="public")
    for number, project in enumerate((*projects.values(), off), 1):
        await put(people.root, project, "demo", f"{number}.0", f"demo-{number}.zip")
        await put(people.root, project, f"only-{project.path}", "1.0")
    await tree.update_project(people.services.db, OPERATOR, off, {"package_registry_access_level": "disabled"}, {})
    stranger = await people.user()
    guest = await people.member(projects["private"], AccessLevel.GUEST)
    group_token = await people.deploy_token(group)

    seen = {}
    for who, person in {
        "anonymous": people.anonymous,
        "stranger": stranger,
        "guest": guest,
        "group token": group_token,
    }.items():
        names = await links(await person.get(f"{base(group)}/simple/"))
        seen[who] = (names, await page(person, group, "demo"), await page(person, group, "only-private"))

    everything = (
        ["demo", "only-internal", "only-private", "only-public"],
        ["demo-1.zip", "demo-2.zip", "demo-3.zip"],
        ["only-private-1.0.tar.gz"],
    )
    assert seen == {
        "anonymous": (["demo", "only-public"], ["demo-1.zip"], 404),
        "stranger": (["demo", "only-internal", "only-public"], ["demo-1.zip", "demo-2.zip"], 404),
        "guest": everything,
        "group token": everything,
    }


async def test_a_page_changes_with_the_rights_of_who_asks_at_once(people: People) -> None:
    group = await people.group(visibility="public")
    project = await people.project(group, visibility="private")
    await put(people.root, project, "demo", "1.0", "demo-1.zip")
    person = await people.user()
    assert person.user_id is not None
    await set_settings(people, group, pypi_package_requests_forwarding=False)

    seen = [await page(person, group, "demo")]
    db = people.services.db
    await tree.add_member(db, OPERATOR, project, user_id=person.user_id, access_level=AccessLevel.REPORTER)
    seen.append(await page(person, group, "demo"))
    await tree.remove_member(db, OPERATOR, project, person.user_id)
    seen.append(await page(person, group, "demo"))
    await tree.update_project(db, OPERATOR, project, {"visibility": "internal"}, {})
    seen.append(await page(person, group, "demo"))

    assert [404, ["demo-1.zip"], 404, ["demo-1.zip"]] == seen


async def test_a_hidden_project_answers_401_with_a_challenge_and_an_unknown_one_404(people: People) -> None:
    project = await people.project(visibility="private")
    await put(people.root, project, "demo", "1.0")
    stranger = await people.user()
    wrong = basic("anybody", "wrong")

    answers = []
    for path in (f"{base(project)}/simple/", f"{base(project)}/simple/demo/", f"{base(project)}/simple/unknown/"):
        for person, headers in ((people.anonymous, {}), (people.anonymous, wrong), (stranger, {})):
            response = await person.get(path, headers=headers)
            answers.append((response.status, response.headers.get("WWW-Authenticate")))
    unknown = await people.anonymous.get("/api/v4/projects/987654321/packages/pypi/simple/demo/")

    challenge = 'Basic realm="GitLab Packages Registry"'
    assert [(401, challenge), (401, challenge), (404, None)] * 3 == answers
    assert (404, "404 Not Found") == (unknown.status, (await unknown.json())["message"])
