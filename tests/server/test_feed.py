"""The feed of changed names, as followers of projects and groups read it."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import catalog, mounts, tree
from registry.access import AccessLevel
from registry.db import backups, changes
from registry.db.changes import Change
from registry.db.migrate import available, migrate
from registry.model import Group, Project
from registry.server import feed
from registry.server.feed import Since
from registry.services import Services
from tests.api.asking import NOT_SIGNED_IN, call
from tests.api.published import publish
from tests.db.test_migrate import empty_url  # noqa: F401  # a fixture
from tests.people import OPERATOR, People, Person


class Follower:
    """Keeps a copy of the names, as a mirror does."""

    def __init__(self, person: Person, path: str) -> None:
        self.person, self.path = person, path
        self.since = "0"
        self.names: set[tuple[str, str]] = set()
        self.told: list[tuple[str, bool]] = []

    async def look(self, **query: str) -> dict[str, Any]:
        status, page = await call(self.person, "GET", self.path, params={"since": self.since, **query})
        assert 200 == status, page
        if page["reset"]:
            self.names = set()
        for one in page["results"]:
            (self.names.discard if one["deleted"] else self.names.add)((one["type"], one["id"]))
            self.told.append((one["id"], one["deleted"]))
        self.since = page["last_seq"]
        return dict(page)

    async def news(self, **query: str) -> list[tuple[str, bool]]:
        before = len(self.told)
        await self.look(**query)
        return self.told[before:]


@pytest.fixture
async def group(people: People) -> Group:
    return await people.group(visibility="private")


@pytest.fixture
async def project(people: People, group: Group) -> Project:
    return await people.project(group)


@pytest.fixture
def of_project(people: People, project: Project) -> Follower:
    return Follower(people.root, f"/projects/{project.id}/packages/_changes")


@pytest.fixture
def of_group(people: People, group: Group) -> Follower:
    return Follower(people.root, f"/groups/{group.id}/packages/_changes")


async def test_a_name_is_told_once_where_it_changed_last(
    services: Services, project: Project, of_project: Follower
) -> None:
    db = services.db
    first = await publish(services, project, "Some.Name", "1.0")
    await publish(services, project, "@acme/widget", "1.0.0", package_type="npm", tags=["latest"])
    await publish(services, project, "Some.Name", "2.0")
    head = await changes.head(db)
    mark = feed.mark_of([project.id])

    def entry(number: int, kind: str, name: str) -> dict[str, Any]:
        return {
            "seq": f"{number}-{mark}",
            "id": name,
            "type": kind,
            "deleted": False,
            "changes": [{"rev": f"{number}"}],
        }

    told = [entry(head - 1, "npm", "@acme/widget"), entry(head, "pypi", "some-name")]
    assert {"results": told, "last_seq": f"{head}-{mark}", "reset": False} == await of_project.look()
    assert [] == await of_project.news()

    await catalog.set_tag(db, OPERATOR, project, "npm", "@acme/widget", "next", "1.0.0")
    assert [("@acme/widget", False)] == await of_project.news()
    await catalog.deprecate(db, OPERATOR, project, "npm", "@acme/widget", {"1.0.0": "old"})
    await catalog.delete_packages(db, OPERATOR, project, [first])
    assert [("@acme/widget", False), ("some-name", False)] == await of_project.news()
    (rest,) = await db.fetch("SELECT id FROM packages WHERE normalized_name = 'some-name'")
    await catalog.delete_packages(db, OPERATOR, project, [rest["id"]])
    assert [("some-name", True)] == await of_project.news()
    # Who begins only now is told, too: a mirror may have it from before.
    of_project.since = "0"
    assert [("@acme/widget", False), ("some-name", True)] == await of_project.news()


async def test_a_page_ends_where_nothing_is_lost(services: Services, project: Project, of_project: Follower) -> None:
    ids = [await publish(services, project, f"name-{number}") for number in range(5)]
    assert [("name-0", False), ("name-1", False)] == await of_project.news(limit="2")
    assert [("name-2", False), ("name-3", False)] == await of_project.news(limit="2")
    assert [("name-4", False)] == await of_project.news(limit="2")
    # All at once: one number.
    await catalog.delete_packages(services.db, OPERATOR, project, ids)
    assert [(f"name-{number}", True) for number in range(5)] == await of_project.news(limit="2")
    assert [] == await of_project.news(limit="2")


async def test_a_group_tells_a_name_of_several_projects_once_and_deletes_it_with_the_last(
    people: People, services: Services, group: Group, project: Project, of_group: Follower
) -> None:
    other = await people.project(group)
    ids = [await publish(services, place, "shared") for place in (project, other)]
    assert [("shared", False)] == await of_group.news()
    await catalog.delete_packages(services.db, OPERATOR, project, [ids[0]])
    assert [("shared", False)] == await of_group.news()
    await catalog.delete_packages(services.db, OPERATOR, other, [ids[1]])
    assert [("shared", True)] == await of_group.news()


async def test_other_projects_and_the_rest_of_the_log_only_move_the_sequence(
    people: People, services: Services, project: Project, of_project: Follower
) -> None:
    await of_project.look()
    before = of_project.since
    await publish(services, await people.project())
    assert [] == await of_project.news()
    assert before != of_project.since
    of_project.since = "now"
    await publish(services, project)
    assert [] == await of_project.news()
    await publish(services, project, "later")
    assert [("later", False)] == await of_project.news()


async def test_a_feed_begins_anew_when_other_projects_can_be_read(
    people: People, services: Services, group: Group, project: Project
) -> None:
    db = services.db
    secret = await people.project(group)
    reader = await people.member(project, AccessLevel.REPORTER)
    follower = Follower(reader, f"/groups/{group.id}/packages/_changes")
    await publish(services, secret, "hidden")
    await publish(services, project, "seen")
    assert not (await follower.look())["reset"]
    assert {("pypi", "seen")} == follower.names

    await tree.add_member(db, OPERATOR, secret, user_id=reader.user_id or 0, access_level=AccessLevel.REPORTER)
    assert (await follower.look())["reset"]
    assert {("pypi", "seen"), ("pypi", "hidden")} == follower.names
    assert not (await follower.look())["reset"]

    await tree.remove_member(db, OPERATOR, secret, reader.user_id or 0)
    assert (await follower.look())["reset"]
    assert {("pypi", "seen")} == follower.names
    await tree.delete_project(db, OPERATOR, secret)
    await publish(services, project, "more")
    assert not (await follower.look())["reset"]
    assert {("pypi", "seen"), ("pypi", "more")} == follower.names


async def test_a_deleted_project_begins_the_feed_of_its_group_anew(
    people: People, services: Services, group: Group, project: Project, of_group: Follower
) -> None:
    other = await people.project(group)
    await publish(services, other, "gone")
    await publish(services, project, "stays")
    await of_group.look()
    await tree.delete_project(services.db, OPERATOR, other)
    assert (await of_group.look())["reset"]
    assert {("pypi", "stays")} == of_group.names


async def test_a_sequence_of_a_database_that_was_restored_begins_the_feed_anew(
    services: Services, project: Project, of_project: Follower
) -> None:
    for name in ("kept", "too"):
        await publish(services, project, name)
    await of_project.look()
    of_project.names = {("pypi", "lost")}
    async with services.db.transaction() as tx:
        await backups.leap(tx)
    assert (await of_project.look(limit="1"))["reset"]
    assert not (await of_project.look())["reset"]
    assert {("pypi", "kept"), ("pypi", "too")} == of_project.names
    # Restored by other means, and not caught up yet.
    number, _, mark = of_project.since.partition("-")
    of_project.since = f"{int(number) + 1000}-{mark}"
    assert (await of_project.look())["reset"]


async def test_what_was_never_there_to_be_read_is_not_told(
    services: Services, project: Project, of_project: Follower
) -> None:
    async with services.db.transaction() as tx:
        await tx.execute("INSERT INTO package_names VALUES ($1, 'npm', 'secret')", project.id)
        await changes.record(tx, [Change("name", "npm:secret"), Change("name", "npm:")], project_id=project.id)
    assert [] == await of_project.news()
    await publish(services, project, "secret", package_type="npm")
    assert [("secret", False)] == await of_project.news()


async def test_npm_followers_read_npm_names_at_the_base_and_at_a_mount(
    people: People, services: Services, group: Group, project: Project
) -> None:
    await publish(services, project, "demo")
    await publish(services, project, "demo", package_type="npm")
    await mounts.create_mount(services.db, OPERATOR, group, url="/team", package_type="npm")
    paths = [f"/api/v4/projects/{project.id}/packages/npm", f"/api/v4/groups/{group.id}/-/packages/npm", "/team"]
    for base in paths:
        page = await (await people.root.get(f"{base}/_changes")).json()
        assert [("npm", "demo")] == [(one["type"], one["id"]) for one in page["results"]]
    refused = await people.root.get("/team/_changes?since=x")
    assert (400, {"message": "since is invalid", "error": "since is invalid"}) == (
        refused.status,
        await refused.json(),
    )


async def test_a_follower_who_waits_is_told_at_once(
    people: People, services: Services, project: Project, of_project: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "LOOK_SECONDS", 0.02)
    await publish(services, project, "first")
    # There is something to tell already.
    assert [("first", False)] == await of_project.news(feed="longpoll")
    waiting = asyncio.create_task(of_project.news(feed="longpoll", timeout="55000"))
    while services.followers._value == 100:
        await asyncio.sleep(0.01)
    await publish(services, await people.project(), "elsewhere")
    await publish(services, project, "second")
    async with asyncio.timeout(10):
        assert [("second", False)] == await waiting
    assert [] == await of_project.news(feed="longpoll", timeout="50")
    assert 100 == services.followers._value


async def test_a_follower_who_waits_and_loses_the_right_is_told_nothing(
    people: People, services: Services, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "LOOK_SECONDS", 0.02)
    reader = await people.member(project, AccessLevel.REPORTER)
    path = f"/projects/{project.id}/packages/_changes?since=now&feed=longpoll"
    waiting = asyncio.create_task(call(reader, "GET", path))
    while services.followers._value == 100:
        await asyncio.sleep(0.01)
    await tree.remove_member(services.db, OPERATOR, project, reader.user_id or 0)
    async with asyncio.timeout(10):
        assert (404, {"message": "404 Project Not Found"}) == await waiting


async def test_nobody_waits_when_too_many_do_or_the_server_stops(
    services: Services, people: People, project: Project
) -> None:
    path = f"/projects/{project.id}/packages/_changes?since=now&feed=longpoll"
    waiting = asyncio.create_task(call(people.root, "GET", path))
    while services.followers._value == 100:
        await asyncio.sleep(0.01)
    for _ in range(99):
        await services.followers.acquire()
    answer = await people.root.get(f"/api/v4{path}")
    assert (429, "5") == (answer.status, answer.headers["Retry-After"])
    services.draining.set()
    async with asyncio.timeout(10):
        status, page = await waiting
    assert (200, []) == (status, page["results"])


@pytest.mark.parametrize(
    ("query", "error"),
    [("since=-1", "since is invalid"), ("since=1-x", "since is invalid"), ("since=", "since is invalid"),
     ("limit=0", "limit does not have a valid value"), ("limit=10001", "limit does not have a valid value"),
     ("feed=continuous", "feed does not have a valid value"), ("timeout=55001", "timeout does not have a valid value")],
)  # fmt: skip
async def test_what_is_no_question_is_refused(people: People, project: Project, query: str, error: str) -> None:
    assert (400, {"error": error}) == await call(
        people.root, "GET", f"/projects/{project.id}/packages/_changes?{query}"
    )


async def test_strangers_are_told_nothing(people: People, project: Project, group: Group) -> None:
    stranger = await people.user()
    for path, text in (
        (f"/projects/{project.id}", "404 Project Not Found"),
        (f"/groups/{group.id}", "404 Group Not Found"),
    ):
        assert (404, {"message": text}) == await call(stranger, "GET", f"{path}/packages/_changes")
    npm = await people.anonymous.get(f"/api/v4/projects/{project.id}/packages/npm/_changes")
    assert NOT_SIGNED_IN[0] == npm.status


async def test_a_follower_misses_nothing_and_hears_nothing_twice_while_many_write(
    services: Services, project: Project, of_project: Follower
) -> None:
    """The numbers are given out in the order of the commits, so none appears behind one that was seen."""

    async def write(writer: int) -> None:
        for number in range(6):
            made = await publish(services, project, f"w{writer}-{number}")
            if number % 3 == 0:
                await catalog.delete_packages(services.db, OPERATOR, project, [made])

    writing = asyncio.gather(*(write(writer) for writer in range(4)))
    while not writing.done():
        await of_project.look(limit="3")
    await writing
    while await of_project.news(limit="3"):
        pass
    assert {("pypi", f"w{w}-{n}") for w in range(4) for n in range(6) if n % 3} == of_project.names
    assert len(of_project.told) == len(set(of_project.told))


async def test_names_from_before_the_feed_have_numbers_of_their_own(empty_url: str) -> None:  # noqa: F811
    await migrate(empty_url, [one for one in available() if one.number < 5])
    connection = await asyncpg.connect(empty_url)
    await connection.execute(
        "INSERT INTO namespaces (ancestry, name, path, full_path, kind) VALUES ('{1}', 'g', 'g', 'g', 'group');"
        "INSERT INTO projects (namespace_id, name, path, full_path) VALUES (1, 'p', 'p', 'g/p');"
        "INSERT INTO package_names (project_id, package_type, normalized_name)"
        " SELECT 1, 'npm', unnest(ARRAY['', 'a', 'b', 'c'])"
    )
    before = await connection.fetchval("SELECT number FROM change_head")
    await migrate(empty_url)
    numbers = [row["number"] for row in await connection.fetch("SELECT number FROM name_changes ORDER BY number")]
    head = await connection.fetchval("SELECT number FROM change_head")
    await connection.close()
    assert ([before + 1, before + 2, before + 3], before + 3) == (numbers, head)


@given(st.integers(0, 10**18 - 1), st.lists(st.integers(1, 2**63 - 1), max_size=5))
def test_a_sequence_is_read_as_it_was_written(number: int, projects: list[int]) -> None:
    mark = feed.mark_of(projects)
    assert Since(number, mark) == feed.parse_since(f"{number}-{mark}")
    assert Since(number) == feed.parse_since(str(number))
    assert mark == feed.mark_of(projects[::-1])
