"""Members through the management API."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from registry.access import AccessLevel
from registry.services import Services
from tests.api.asking import MISSING_RIGHTS, NO_PROJECT, NOT_SIGNED_IN, call, events, lacks_scope, made
from tests.people import People

NO_MEMBER = (404, {"message": "404 Member Not Found"})


async def test_a_maintainer_adds_changes_and_removes_a_member(people: People, services: Services) -> None:
    project = await people.project()
    maintainer = await people.member(project, AccessLevel.MAINTAINER)
    person = await people.user()
    base = f"/projects/{project.id}/members"

    member = await made(maintainer, base, user_id=person.user_id, access_level=30, expires_at="2099-01-31")
    root = services.settings.base_url
    me = (await call(maintainer, "GET", "/user"))[1]
    assert {
        "id": person.user_id,
        "username": member["username"],
        "public_email": None,
        "name": member["name"],
        "state": "active",
        "locked": False,
        "avatar_url": None,
        "web_url": f"{root}/{member['username']}",
        "access_level": 30,
        "created_at": member["created_at"],
        "expires_at": "2099-01-31",
        "membership_state": "active",
        "created_by": {
            "id": me["id"],
            "username": me["username"],
            "public_email": None,
            "name": me["name"],
            "state": "active",
            "locked": False,
            "avatar_url": None,
            "web_url": me["web_url"],
        },
    } == member
    assert 200 == (await call(person, "GET", f"/projects/{project.id}"))[0]

    status, changed = await call(maintainer, "PUT", f"{base}/{person.user_id}", json={"access_level": 20})
    assert (200, {**member, "access_level": 20}) == (status, changed)
    status, changed = await call(
        maintainer, "PUT", f"{base}/{person.user_id}", json={"access_level": 20, "expires_at": None}
    )
    assert (200, None) == (status, changed["expires_at"])

    assert (204, None) == await call(maintainer, "DELETE", f"{base}/{person.user_id}")
    assert NO_PROJECT == await call(person, "GET", f"/projects/{project.id}")
    assert ["member_added", "member_updated", "member_updated", "member_removed"] == (await events(services))[-4:]


REFUSED_A_MEMBERSHIP = [
    ({}, {"error": "access_level is missing"}),
    ({"access_level": 30}, {"error": "user_id, username are missing, exactly one parameter must be provided"}),
    ({"access_level": 60, "user_id": 1}, {"error": "access_level does not have a valid value"}),
    ({"access_level": "x", "user_id": 1}, {"error": "access_level is invalid"}),
    ({"access_level": 30, "user_id": 1, "expires_at": "soon"}, {"error": "expires_at is invalid"}),
]


async def test_a_membership_that_cannot_be_is_refused(people: People) -> None:
    project = await people.project()
    for values, body in REFUSED_A_MEMBERSHIP:
        assert (400, body) == await call(people.root, "POST", f"/projects/{project.id}/members", json=values)


async def test_members_are_added_by_user_name_and_once(people: People) -> None:
    group = await people.group()
    person = await people.user()
    username = (await call(person, "GET", "/user"))[1]["username"]
    base = f"/groups/{group.id}/members"

    await made(people.root, base, username=username.upper(), access_level=10)
    taken = (409, {"message": "Member already exists"})
    assert taken == await call(people.root, "POST", base, json={"username": username, "access_level": 10})
    absent = (404, {"message": "404 User Not Found"})
    assert absent == await call(people.root, "POST", base, json={"username": "nobody", "access_level": 10})
    assert absent == await call(people.root, "POST", base, json={"user_id": 4711, "access_level": 10})


async def test_who_may_see_and_who_may_change(people: People) -> None:
    group = await people.group("acme")
    project = await people.project(group)
    person, outsider = await people.user(), await people.user()
    values = {"user_id": person.user_id, "access_level": 10}

    for home, least in ((group, AccessLevel.OWNER), (project, AccessLevel.MAINTAINER)):
        base = f"/{'groups' if home is group else 'projects'}/{home.id}/members"
        for level in (AccessLevel.GUEST, AccessLevel.DEVELOPER, AccessLevel.MAINTAINER, AccessLevel.OWNER):
            caller = await people.member(home, level)
            assert 200 == (await call(caller, "GET", base))[0]
            assert 200 == (await call(caller, "GET", f"{base}/all/{caller.user_id}"))[0]
            status, _ = await call(caller, "POST", base, json=values)
            assert (201 if level >= least else 403) == status
            if status == 201:
                assert (204, None) == await call(caller, "DELETE", f"{base}/{person.user_id}")
        for method, path in (("GET", base), ("POST", base), ("GET", f"{base}/all"), ("DELETE", f"{base}/1")):
            assert 404 == (await call(outsider, method, path, json=values))[0]
            assert NOT_SIGNED_IN == await call(people.anonymous, method, path, json=values)


async def test_a_public_project_does_not_tell_strangers_who_works_there(people: People) -> None:
    project = await people.project(visibility="public")
    base = f"/projects/{project.id}/members"
    member = await people.member(project, AccessLevel.DEVELOPER)

    assert NOT_SIGNED_IN == await call(people.anonymous, "GET", base)
    assert NOT_SIGNED_IN == await call(people.anonymous, "GET", f"{base}/{member.user_id}")
    assert NOT_SIGNED_IN == await call(people.anonymous, "DELETE", f"{base}/{member.user_id}")
    outsider = await people.user()
    assert 200 == (await call(outsider, "GET", base))[0]
    assert MISSING_RIGHTS == await call(outsider, "DELETE", f"{base}/{member.user_id}")


async def test_nobody_hands_out_or_touches_more_than_they_have(people: People) -> None:
    project = await people.project()
    base = f"/projects/{project.id}/members"
    maintainer = await people.member(project, AccessLevel.MAINTAINER)
    owner = await people.member(project, AccessLevel.OWNER)
    person = await people.user()

    for method, path, level in (
        ("POST", base, 50),
        ("PUT", f"{base}/{maintainer.user_id}", 50),
        ("PUT", f"{base}/{owner.user_id}", 10),
    ):
        values = {"user_id": person.user_id, "access_level": level}
        assert MISSING_RIGHTS == await call(maintainer, method, path, json=values)
    assert MISSING_RIGHTS == await call(maintainer, "DELETE", f"{base}/{owner.user_id}")
    assert 200 == (await call(owner, "PUT", f"{base}/{maintainer.user_id}", json={"access_level": 50}))[0]


async def test_everybody_may_leave_but_the_last_owner_of_a_group(people: People) -> None:
    group = await people.group()
    base = f"/groups/{group.id}/members"
    first = await people.member(group, AccessLevel.OWNER)
    second = await people.member(group, AccessLevel.OWNER)
    guest = await people.member(group, AccessLevel.GUEST)
    reader = await people.member(group, AccessLevel.GUEST, scopes=("read_api",))

    assert (204, None) == await call(guest, "DELETE", f"{base}/{guest.user_id}")
    assert lacks_scope() == await call(reader, "DELETE", f"{base}/{reader.user_id}")
    assert (204, None) == await call(second, "DELETE", f"{base}/{second.user_id}")
    for refused in (
        call(first, "DELETE", f"{base}/{first.user_id}"),
        call(people.root, "DELETE", f"{base}/{first.user_id}"),
        call(first, "PUT", f"{base}/{first.user_id}", json={"access_level": 40}),
    ):
        assert MISSING_RIGHTS == await refused


async def test_two_owners_who_leave_at_once_do_not_both_leave(people: People) -> None:
    group = await people.group()
    owners = [await people.member(group, AccessLevel.OWNER) for _ in range(2)]
    answers = await asyncio.gather(
        *(call(owner, "DELETE", f"/groups/{group.id}/members/{owner.user_id}") for owner in owners)
    )
    assert [204, 403] == sorted(status for status, _ in answers)


async def test_members_of_groups_above_are_inherited(people: People) -> None:
    group = await people.group("acme")
    sub = await people.group("sub", parent=group)
    project = await people.project(sub)
    above = await people.member(group, AccessLevel.REPORTER)
    here = await people.member(project, AccessLevel.DEVELOPER)
    await made(people.root, f"/projects/{project.id}/members", user_id=above.user_id, access_level=40)

    async def levels(path: str) -> dict[int, int]:
        status, found = await call(here, "GET", f"/projects/{project.id}/members{path}")
        assert 200 == status, found
        return {one["id"]: one["access_level"] for one in found}

    assert {here.user_id: 30, above.user_id: 40} == await levels("")
    assert {here.user_id: 30, above.user_id: 40} == await levels("/all")
    assert {above.user_id: 40} == await levels(f"?user_ids={above.user_id}")
    assert {above.user_id: 40} == await levels(f"/all?user_ids[]={above.user_id}&user_ids[]=4711")
    assert {} == await levels("?query=nobody")
    status, member = await call(above, "GET", f"/groups/{sub.id}/members/all/{above.user_id}")
    assert (200, 20) == (status, member["access_level"])
    assert NO_MEMBER == await call(above, "GET", f"/groups/{sub.id}/members/{above.user_id}")

    inherited = (
        400,
        {"message": {"access_level": ["should be greater than or equal to Reporter inherited membership"]}},
    )
    assert inherited == await call(
        people.root, "PUT", f"/projects/{project.id}/members/{above.user_id}", json={"access_level": 10}
    )


async def test_a_member_of_another_project_is_not_found_here(people: People) -> None:
    project, other = await people.project(), await people.project()
    maintainer = await people.member(project, AccessLevel.MAINTAINER)
    stranger = await people.member(other, AccessLevel.DEVELOPER)
    path = f"/projects/{project.id}/members/{stranger.user_id}"

    assert NO_MEMBER == await call(maintainer, "GET", path)
    assert NO_MEMBER == await call(maintainer, "PUT", path, json={"access_level": 10})
    assert NO_MEMBER == await call(maintainer, "DELETE", path)
    assert NO_MEMBER == await call(maintainer, "DELETE", f"/projects/{project.id}/members/99999999999999999999")
    assert 200 == (await call(stranger, "GET", f"/projects/{other.id}"))[0]


async def test_a_membership_ends_on_its_day(people: People) -> None:
    project = await people.project()
    person = await people.user()
    today = datetime.now(UTC).date()
    base = f"/projects/{project.id}/members"
    await made(people.root, base, user_id=person.user_id, access_level=30, expires_at=str(today + timedelta(days=1)))
    assert 200 == (await call(person, "GET", f"/projects/{project.id}"))[0]
    await call(people.root, "PUT", f"{base}/{person.user_id}", json={"access_level": 30, "expires_at": str(today)})
    assert NO_PROJECT == await call(person, "GET", f"/projects/{project.id}")


async def test_a_bot_stays_where_it_was_made(people: People) -> None:
    project, other = await people.project(), await people.project()
    bot = await made(people.root, f"/projects/{project.id}/access_tokens", name="bot", scopes=["api"])
    refusal = (400, {"message": {"user_id": ["is a bot: it belongs to its own group or project only"]}})
    values = {"user_id": bot["user_id"], "access_level": 10}
    assert refusal == await call(people.root, "POST", f"/projects/{other.id}/members", json=values)
