"""`npm owner`: maintainers of the project, changed one at a time by who may change members."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from registry import lookups
from registry.access import AccessLevel
from registry.model import Group, Project
from registry.server import pipeline
from tests.formats.npm.transcripts import packument, path, publish, refused, username
from tests.people import People, Person


@pytest.fixture
async def project(people: People, project: Project) -> Project:
    await publish(people.root, project, "gadget", "1.0.0")
    return project


async def names(person: Person, place: Project | Group | None) -> list[str]:
    return sorted(one["name"] for one in (await packument(person, place, "gadget"))["maintainers"])


async def change(person: Person, project: Project, *owners: str, rev: str | None = None) -> tuple[int, str]:
    """What `npm owner add` and `rm` send; the status and what is printed."""
    rev = rev or (await packument(person, project, "gadget"))["_rev"]
    document = {"_id": "gadget", "_rev": rev, "maintainers": [{"name": name, "email": ""} for name in owners]}
    answer = await person.ask("PUT", path(project, f"gadget/-rev/{rev}"), json=document)
    return (200, answer.headers["npm-notice"]) if answer.status == 200 else await refused(answer)


async def level(people: People, project: Project, person: Person) -> int | None:
    url = f"/api/v4/projects/{project.id}/members/{person.user_id}"
    answer = await people.root.get(url)
    return (await answer.json())["access_level"] if answer.status == 200 else None


async def test_owners_are_added_and_removed_and_nothing_else_changes(people: People, project: Project) -> None:
    owner = await people.member(project, AccessLevel.OWNER)
    developer, stranger = await people.member(project, AccessLevel.DEVELOPER), await people.user()
    ours, theirs, strangers = await username(owner), await username(developer), await username(stranger)

    assert 200 == (await change(owner, project, ours, theirs))[0]
    status, notice = await change(owner, project, ours, theirs, strangers.upper())

    assert (200, True) == (status, "all its packages" in notice)
    assert sorted([ours, theirs, strangers]) == await names(owner, project)
    assert [40, 40] == [await level(people, project, one) for one in (developer, stranger)]
    assert 200 == (await change(owner, project, ours, theirs, strangers))[0]
    assert 200 == (await change(owner, project, ours, strangers))[0]
    assert (None, ["1.0.0"]) == (
        await level(people, project, developer),
        list((await packument(owner, project, "gadget"))["versions"]),
    )


async def test_a_change_that_cannot_be_is_refused(people: People, group: Group, project: Project) -> None:
    owner = await people.member(project, AccessLevel.OWNER)
    above = await people.member(group, AccessLevel.OWNER)
    maintainer = await people.member(project, AccessLevel.MAINTAINER)
    one, two, three = [await username(person) for person in (owner, above, maintainer)]
    stranger = await username(await people.user())
    bot = await owner.ask(
        "POST", f"/api/v4/projects/{project.id}/access_tokens", json={"name": "bot", "scopes": ["api"]}
    )
    robot = await username(Person(people.client, (await bot.json())["token"]))

    assert (404, "User not found") == await change(owner, project, one, two, three, "nobody")
    assert (404, "User not found") == await change(owner, project, one, two, three, robot)
    assert 409 == (await change(owner, project, one, two, stranger))[0]
    assert 409 == (await change(owner, project, one, two, three, rev="4711-0"))[0]
    status, text = await change(owner, project, one, three)
    assert (403, True) == (status, "member of a group above" in text)
    # Nobody removes who stands above them.
    assert 403 == (await change(maintainer, project, two, three))[0]
    assert sorted([one, two, three]) == await names(owner, project)


async def test_who_may_not_change_members_does_not_change_owners(people: People, project: Project) -> None:
    developer = await people.member(project, AccessLevel.DEVELOPER)
    reader = await people.member(project, AccessLevel.OWNER, scopes=("read_api",))
    deploy = await people.deploy_token(project, "write_package_registry", "read_package_registry")
    rev = (await packument(people.root, project, "gadget"))["_rev"]

    for person, status in ((people.anonymous, 401), (developer, 403), (reader, 403), (deploy, 403)):
        assert status == (await change(person, project, await username(developer), rev=rev))[0]
    assert [await username(reader)] == await names(people.root, project)


async def test_owners_are_shown_to_people_as_they_are_now(people: People, group: Group, project: Project) -> None:
    owner = await people.member(project, AccessLevel.OWNER)
    guest = await people.member(project, AccessLevel.GUEST)

    for place in (project, group):
        assert [await username(owner)] == await names(guest, place)
        # To nobody else than people who works here is told: publishers stand there, of whom every version tells.
        assert await username(owner) not in await names(people.anonymous, place)
    await people.root.ask("PUT", f"/api/v4/projects/{project.id}/members/{guest.user_id}", json={"access_level": 40})
    assert sorted([await username(owner), await username(guest)]) == await names(guest, project)
    await people.root.ask("DELETE", f"/api/v4/projects/{project.id}/members/{owner.user_id}")
    assert [await username(guest)] == await names(guest, project)


async def test_an_owner_whose_membership_has_ended_is_shown_no_longer(
    people: People, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await people.member(project, AccessLevel.OWNER)
    guest = await people.member(project, AccessLevel.MAINTAINER)
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    url, day = f"/api/v4/projects/{project.id}/members/{guest.user_id}", tomorrow.isoformat()
    assert 200 == (await people.root.ask("PUT", url, json={"access_level": 40, "expires_at": day})).status
    for _ in range(2):
        assert sorted([await username(owner), await username(guest)]) == await names(owner, project)

    # What the day changes, with no change that anybody made.
    await people.services.db.execute("UPDATE members SET expires_at = current_date WHERE user_id = $1", guest.user_id)
    for module in (lookups, pipeline):
        monkeypatch.setattr(module, "datetime", _Tomorrow)

    assert [await username(owner)] == await names(owner, project)


class _Tomorrow(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) + timedelta(days=1)
