"""The catalog: what is published is whole, once, told to everybody, and written down."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from registry import catalog, tree
from registry.access import Actor
from registry.catalog import Publication, Published
from registry.db import blobs, changes, package_names, packages
from registry.db.changes import Change
from registry.db.connection import Database, open_database
from registry.db.instance import Author
from registry.errors import Conflict, FileNotFound, Forbidden, NotFound, RegistryError, Unavailable
from registry.ingest import UPLOAD_MEMORY, Ingest
from registry.model import Blob, Digests, Project
from registry.storage import BlobStore, open_store
from tests.outages import Outage, proxied
from tests.people import OPERATOR


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    db = await open_database(database_url, pool_size=10)
    yield db
    await db.close()


@pytest.fixture
async def outage(database_url: str) -> AsyncIterator[Outage]:
    async with proxied(database_url) as outage:
        yield outage


@pytest.fixture
async def fragile(outage: Outage) -> AsyncIterator[Database]:
    """The same database through a connection that gets lost."""
    db = await open_database(outage.url, pool_size=4)
    yield db
    await db.close()


@pytest.fixture
async def project(db: Database) -> Project:
    group = await tree.create_group(db, OPERATOR, name="group", path="group")
    made = await tree.create_project(db, OPERATOR, namespace=group, name="project", path="project")
    await db.execute("DELETE FROM audit_events")
    return made


async def a_blob(db: Database, content: bytes) -> Blob:
    """What ingest leaves in the database."""
    key = f"ab/{secrets.token_hex(8)}"
    digests = Digests(sha256=hashlib.sha256(content).hexdigest())
    blob_id = await blobs.open_blob(db, key)
    await blobs.complete(db, blob_id, len(content), digests)
    return Blob(blob_id, key, len(content), digests)


async def a_publication(db: Database, content: bytes = b"content", **facts: Any) -> Publication:
    name = facts.pop("name", "Demo")
    version = facts.pop("version", "1.0")
    facts.setdefault("file_name", f"{name}-{version}.tgz")
    facts.setdefault("one_file", False)
    return Publication(
        package_type=facts.pop("package_type", "pypi"),
        name=name,
        normalized_name=name.lower(),
        version=version,
        blob=facts.pop("blob", None) or await a_blob(db, content),
        **facts,
    )


async def publish(
    db: Database, project: Project, content: bytes = b"content", *, author: Author = OPERATOR, **facts: Any
) -> Published:
    return await catalog.publish(db, author, project, await a_publication(db, content, **facts))


async def outcome(attempt: Any) -> str:
    try:
        return str((await attempt).outcome)
    except RegistryError as error:
        return type(error).__name__


async def files(db: Database) -> list[tuple[str, str, str, str]]:
    """Name, version, file name and content of everything visible."""
    rows = await db.fetch(
        "SELECT p.name, p.version, f.file_name, b.sha256"
        "  FROM package_files AS f"
        "  JOIN packages AS p ON p.id = f.package_id"
        "  JOIN blobs AS b ON b.id = f.blob_id"
        " WHERE b.state = 'stored' ORDER BY f.id"
    )
    return [tuple(row) for row in rows]


async def serials(db: Database, project: Project, name: str = "demo") -> tuple[int | None, int | None]:
    """Of a name and of the index."""
    query = "SELECT serial FROM package_names WHERE project_id = $1 AND normalized_name = $2"
    return await db.fetchval(query, project.id, name), await db.fetchval(query, project.id, "")


async def moved(db: Database) -> list[str]:
    """The names of the newest change."""
    rows = await db.fetch(
        "SELECT key FROM changes WHERE kind = 'name' AND number = (SELECT max(number) FROM changes) ORDER BY key"
    )
    return [row["key"] for row in rows]


async def events(db: Database) -> list[tuple[str, dict[str, Any]]]:
    """Every audit row and what it tells, oldest first."""
    return [tuple(row) for row in await db.fetch("SELECT event_name, details FROM audit_events ORDER BY id")]


async def states(db: Database) -> Counter[str]:
    """How many blobs are in which state."""
    return Counter([row["state"] for row in await db.fetch("SELECT state FROM blobs")])


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# --- publishing -----------------------------------------------------------------------------------------------------


async def test_a_publish_is_visible_told_and_written_down(db: Database, project: Project) -> None:
    ada = Actor(kind="user", id=None, name="Ada", token_id=7)
    published = await publish(db, project, author=Author(ada, "192.0.2.1"), facts={"a": [1]}, requires_python=">=3")
    row = await db.fetchrow("SELECT package_id, requires_python, facts FROM package_files")
    assert ("created", (published.package_id, ">=3", {"a": [1]})) == (published.outcome, tuple(row or ()))
    assert [("Demo", "1.0", "Demo-1.0.tgz", sha256(b"content"))] == await files(db)
    assert ((1, 1), ["pypi:", "pypi:demo"]) == (await serials(db, project), await moved(db))
    details = {
        "package_type": "pypi",
        "name": "Demo",
        "version": "1.0",
        "file_name": "Demo-1.0.tgz",
        "sha256": sha256(b"content"),
    }
    ((event, told),) = await events(db)
    assert ("package_published", details) == (event, {name: told.get(name) for name in details})
    audit = await db.fetchrow(
        "SELECT author_kind, author_name, token_id, ip_address, entity_type, entity_id, entity_path FROM audit_events"
    )
    assert ("user", "Ada", 7, "192.0.2.1", "Project", project.id, "group/project") == tuple(audit or ())


async def test_a_second_file_and_a_second_version_move_the_name_and_not_the_index(
    db: Database, project: Project
) -> None:
    first = await publish(db, project)
    second = await publish(db, project, b"other", file_name="Demo-1.0.whl")
    third = await publish(db, project, b"third", version="2.0")
    assert first.package_id == second.package_id != third.package_id
    assert ((3, 1), ["pypi:demo"]) == (await serials(db, project), await moved(db))


async def test_identical_bytes_again_are_a_success_that_changes_nothing(db: Database, project: Project) -> None:
    first = await publish(db, project)
    before = (await serials(db, project), await events(db), await changes.head(db))
    again = await publish(db, project)
    assert Published("replayed", first.package_id) == again
    assert before == (await serials(db, project), await events(db), await changes.head(db))
    assert {"stored": 1, "open": 1} == await states(db)


async def test_a_taken_file_name_is_a_conflict_for_whatever_differs(db: Database, project: Project) -> None:
    await publish(db, project, session="1")
    before = (await files(db), await serials(db, project), await events(db), await changes.head(db))
    differences: list[dict[str, Any]] = [{"content": b"x"}, {"version": "1.0.0"}, {"name": "demo"}, {"session": "2"}]
    for different in differences:
        facts = {"session": "1", "file_name": "Demo-1.0.tgz", **different}
        with pytest.raises(Conflict) as caught:
            await publish(db, project, facts.pop("content", b"content"), **facts)
        assert ("already exists" in caught.value.text, "already been taken" in caught.value.text) == (True, True)
    assert before == (await files(db), await serials(db, project), await events(db), await changes.head(db))


async def test_a_version_of_one_file_is_taken_as_a_whole(db: Database, project: Project) -> None:
    await publish(db, project, one_file=True)
    with pytest.raises(Conflict, match="already exists"):
        await publish(db, project, b"other", one_file=True, file_name="other.tgz")
    assert 1 == len(await files(db))


async def test_names_are_compared_as_the_format_compares_them(db: Database, project: Project) -> None:
    await publish(db, project, name="Demo", file_name="demo.tgz")
    assert "Conflict" == await outcome(publish(db, project, b"2", name="DEMO", file_name="demo.tgz"))
    assert "created" == await outcome(publish(db, project, b"2", name="DEMO", file_name="DEMO.tgz"))
    assert "created" == await outcome(publish(db, project, b"2", package_type="npm", file_name="demo.tgz"))


async def test_projects_do_not_meet(db: Database, project: Project) -> None:
    group = await tree.create_group(db, OPERATOR, name="other", path="other")
    other = await tree.create_project(db, OPERATOR, namespace=group, name="other", path="other")
    await publish(db, project)
    assert "created" == await outcome(publish(db, other, b"different"))
    package_id = await db.fetchval("SELECT id FROM packages WHERE project_id = $1", project.id)
    with pytest.raises(NotFound):
        await catalog.delete_packages(db, OPERATOR, other, [package_id])
    with pytest.raises(FileNotFound):
        await catalog.delete_file(db, OPERATOR, other, package_id, 1)
    assert 2 == len(await files(db))


async def test_a_closed_name_accepts_nothing(db: Database, project: Project) -> None:
    await publish(db, project)
    for status in ("archived", "quarantined"):
        await db.execute("UPDATE package_names SET status = $1 WHERE normalized_name = 'demo'", status)
        with pytest.raises(Forbidden, match=f"Demo is {status}"):
            await publish(db, project, b"other", version="2.0")
    assert 1 == len(await files(db))


async def test_a_blob_the_janitor_took_is_not_published(db: Database, project: Project) -> None:
    publication = await a_publication(db)
    await blobs.doom(db, [publication.blob.id])
    with pytest.raises(Unavailable):
        await catalog.publish(db, OPERATOR, project, publication)
    assert ([], (None, None), []) == (await files(db), await serials(db, project), await events(db))


# --- deleting -------------------------------------------------------------------------------------------------------


async def test_a_deleted_version_is_gone_with_its_files_and_tags_and_leaves_tombstones(
    db: Database, project: Project
) -> None:
    one = await publish(db, project, tags=["latest"])
    await publish(db, project, b"wheel", file_name="Demo-1.0.whl")
    await publish(db, project, b"two", version="2.0")
    await catalog.delete_packages(db, OPERATOR, project, [one.package_id])
    assert [("Demo", "2.0", "Demo-2.0.tgz", sha256(b"two"))] == await files(db)
    buried = await db.fetch("SELECT file_name, version, sha256 FROM tombstones ORDER BY file_name")
    assert [("Demo-1.0.tgz", "1.0", sha256(b"content")), ("Demo-1.0.whl", "1.0", sha256(b"wheel"))] == [
        *map(tuple, buried)
    ]
    assert ({"stored": 1, "doomed": 2}, 0) == (await states(db), await db.fetchval("SELECT count(*) FROM tags"))
    assert ((4, 2), ["pypi:", "pypi:demo"]) == (await serials(db, project), await moved(db))
    event, told = (await events(db))[-1]
    assert ("package_deleted", "pypi", "Demo", "1.0") == (event, told["package_type"], told["name"], told["version"])


async def test_several_names_are_deleted_in_one_change_and_audited_one_by_one(db: Database, project: Project) -> None:
    ids = [(await publish(db, project, name=name)).package_id for name in ("b", "a", "c")]
    ids.append((await publish(db, project, name="a", package_type="npm")).package_id)
    head = await changes.head(db)
    await catalog.delete_packages(db, OPERATOR, project, ids)
    assert (head + 1, ["npm:", "npm:a", "pypi:", "pypi:a", "pypi:b", "pypi:c"]) == (
        await changes.head(db),
        await moved(db),
    )
    assert Counter(package_published=4, package_deleted=4) == Counter(event for event, _ in await events(db))


async def test_one_file_is_deleted_and_the_rest_of_its_version_stays(db: Database, project: Project) -> None:
    package_id = (await publish(db, project)).package_id
    await publish(db, project, b"wheel", file_name="Demo-1.0.whl")
    file_id = await db.fetchval("SELECT min(id) FROM package_files")
    await catalog.delete_file(db, OPERATOR, project, package_id, file_id)
    assert ["Demo-1.0.whl"] == [name for _, _, name, _ in await files(db)]
    assert ((3, 1), ["pypi:demo"]) == (await serials(db, project), await moved(db))
    event, details = (await events(db))[-1]
    assert ("package_file_deleted", "Demo-1.0.tgz") == (event, details["file_name"])
    with pytest.raises(FileNotFound):
        await catalog.delete_file(db, OPERATOR, project, package_id, file_id)


async def test_what_is_not_there_cannot_be_deleted_and_nothing_is_written(db: Database, project: Project) -> None:
    for attempt in (
        catalog.delete_packages(db, OPERATOR, project, [999]),
        catalog.delete_packages(db, OPERATOR, project, []),
        catalog.delete_file(db, OPERATOR, project, 999, 1),
        catalog.delete_tag(db, OPERATOR, project, "pypi", "demo", "latest"),
        catalog.set_tag(db, OPERATOR, project, "pypi", "demo", "latest", "1.0"),
    ):
        head = await changes.head(db)
        with pytest.raises(NotFound):
            await attempt
        assert (head, []) == (await changes.head(db), await events(db))


async def test_a_deleted_name_may_be_used_again_with_other_bytes_unless_names_are_immutable(
    db: Database, project: Project
) -> None:
    strict = await tree.update_project(db, OPERATOR, project, {}, {"immutable_file_names": True})
    first = await publish(db, project)
    await catalog.delete_packages(db, OPERATOR, project, [first.package_id])
    with pytest.raises(Conflict, match="already been taken"):
        await publish(db, strict, b"other")
    assert "created" == await outcome(publish(db, strict))
    again = await db.fetchval("SELECT id FROM packages")
    await catalog.delete_packages(db, OPERATOR, project, [again])
    assert "created" == await outcome(publish(db, project, b"other"))


# --- tags and deprecation -------------------------------------------------------------------------------------------


async def test_tags_are_set_moved_and_removed(db: Database, project: Project) -> None:
    await publish(db, project, tags=["latest", "next"])
    await publish(db, project, b"2", version="2.0", tags=["latest"])

    async def tags() -> dict[str, str]:
        outline = await packages.find_outline(db, "pypi", "demo", [project.id])
        return dict(outline.tags) if outline else {}

    assert {"latest": "2.0", "next": "1.0"} == await tags()
    await catalog.set_tag(db, OPERATOR, project, "pypi", "demo", "next", "2.0")
    await catalog.set_tag(db, OPERATOR, project, "pypi", "demo", "old", "1.0")
    await catalog.delete_tag(db, OPERATOR, project, "pypi", "demo", "latest")
    assert {"next": "2.0", "old": "1.0"} == await tags()
    assert ((5, 1), ["pypi:demo"]) == (await serials(db, project), await moved(db))
    told = [(event, details["tag"], details.get("version")) for event, details in (await events(db))[2:]]
    assert [
        ("package_tag_set", "next", "2.0"),
        ("package_tag_set", "old", "1.0"),
        ("package_tag_deleted", "latest", None),
    ] == told


async def test_deprecation_is_written_once_and_taken_back(db: Database, project: Project) -> None:
    for version in ("1.0", "2.0", "3.0"):
        await publish(db, project, version.encode(), version=version)

    async def deprecate(**messages: str | None) -> tuple[dict[str, str | None], int]:
        wanted = {version.replace("v", "") + ".0": message for version, message in messages.items()}
        await catalog.deprecate(db, OPERATOR, project, "pypi", "demo", wanted)
        rows = await db.fetch("SELECT version, status_message FROM packages WHERE status = 'deprecated'")
        return {row["version"]: row["status_message"] for row in rows}, (await serials(db, project))[0] or 0

    assert ({"1.0": "old", "2.0": "older"}, 4) == await deprecate(v1="old", v2="older", v9="unknown")
    assert ({"1.0": "old", "2.0": "older"}, 4) == await deprecate(v1="old", v3=None)
    assert ({"2.0": "new"}, 5) == await deprecate(v1=None, v2="new")
    told = [details["versions"] for event, details in await events(db) if event == "package_deprecated"]
    assert [{"1.0": "old", "2.0": "older"}, {"1.0": None, "2.0": "new"}] == told


# --- side by side ---------------------------------------------------------------------------------------------------


async def test_of_fifty_publishers_of_one_file_name_exactly_one_wins(db: Database, project: Project) -> None:
    wanted = [await a_publication(db, str(number).encode()) for number in range(50)]
    ends = await asyncio.gather(*(outcome(catalog.publish(db, OPERATOR, project, one)) for one in wanted))
    assert Counter(created=1, Conflict=49) == Counter(ends)
    winner = wanted[ends.index("created")]
    assert [("Demo", "1.0", "Demo-1.0.tgz", winner.blob.digests.sha256)] == await files(db)
    assert (1, {"stored": 1, "open": 49}) == (len(await events(db)), await states(db))
    assert (1, 1) == await serials(db, project)


async def test_fifty_publishers_of_the_same_bytes_all_succeed_once(db: Database, project: Project) -> None:
    wanted = [await a_publication(db) for _ in range(50)]
    published = await asyncio.gather(*(catalog.publish(db, OPERATOR, project, one) for one in wanted))
    assert Counter(created=1, replayed=49) == Counter(one.outcome for one in published)
    assert (1, 1, 1) == (len({one.package_id for one in published}), len(await files(db)), len(await events(db)))


async def test_publishers_of_versions_of_one_new_name_all_succeed(db: Database, project: Project) -> None:
    wanted = [await a_publication(db, version=f"1.{number}") for number in range(30)]
    ends = await asyncio.gather(*(outcome(catalog.publish(db, OPERATOR, project, one)) for one in wanted))
    assert (["created"] * 30, 30) == (ends, len(await files(db)))
    assert 30 == (await serials(db, project))[0]


async def test_change_numbers_are_gapless_and_in_the_order_of_commits(db: Database, project: Project) -> None:
    """A follower that reads `number > seen` again and again must never be passed by a smaller number."""
    seen = await changes.head(db)
    numbers: list[int] = []
    over = asyncio.Event()

    async def follow() -> None:
        nonlocal seen
        while True:
            last = over.is_set()
            rows = await changes.poll(db, seen)
            numbers.extend(sorted({row["number"] for row in rows if row["number"] is not None}))
            seen = rows[0]["head"]
            if last:
                return

    async def write(writer: int) -> None:
        for number in range(5):
            await publish(
                db, project, f"{writer}-{number}".encode(), name=f"n{writer % 4}", version=f"{writer}.{number}"
            )

    start = seen
    following = asyncio.create_task(follow())
    await asyncio.gather(*(write(writer) for writer in range(20)))
    over.set()
    await following
    assert list(range(start + 1, start + 101)) == numbers
    assert 100 == len(await files(db))


async def test_what_fails_takes_no_number(db: Database, project: Project) -> None:
    await publish(db, project)
    head = await changes.head(db)
    for _ in range(5):
        assert "Conflict" == await outcome(publish(db, project, b"other"))
    await publish(db, project, b"2", version="2.0")
    assert head + 1 == await changes.head(db)


async def test_a_publish_and_a_delete_of_one_name_wait_for_each_other_in_one_order(
    db: Database, project: Project
) -> None:
    """A publish holds the row of the name and goes on to the package: a delete must not hold that already."""
    package_id = (await publish(db, project)).package_id
    deletes: list[Callable[[], Awaitable[None]]] = [
        lambda: catalog.delete_file(db, OPERATOR, project, package_id, 1),
        lambda: catalog.delete_packages(db, OPERATOR, project, [package_id]),
    ]
    for delete in deletes:
        async with db.transaction() as tx:
            await package_names.find_name_status(tx, project.id, "pypi", "demo")
            deleting = asyncio.ensure_future(delete())
            await _until_somebody_waits(db)
            await tx.execute("UPDATE packages SET updated_at = now() WHERE id = $1", package_id)
        await deleting
    assert [] == await files(db)


async def test_a_delete_of_several_names_takes_its_number_last(db: Database, project: Project) -> None:
    ids = [(await publish(db, project, name=name)).package_id for name in ("a", "b")]
    async with db.transaction() as tx:
        await package_names.find_name_status(tx, project.id, "pypi", "b")
        deleting = asyncio.create_task(catalog.delete_packages(db, OPERATOR, project, ids))
        await _until_somebody_waits(db)
        await changes.record(tx, [Change("name", "pypi:b")])
    await deleting
    assert [] == await files(db)


async def test_publishing_and_deleting_side_by_side_never_fails_for_want_of_a_lock(
    db: Database, project: Project
) -> None:
    async def churn(writer: int) -> list[str]:
        ends = []
        for number in range(4):
            for name in ("a", "b"):
                file_name = f"{writer}-{number}"
                ends.append(await outcome(publish(db, project, b"x", name=name, version="1.0", file_name=file_name)))
            ids = [row["id"] for row in await db.fetch("SELECT id FROM packages ORDER BY random()")]
            try:
                await catalog.delete_packages(db, OPERATOR, project, ids)
            except NotFound:
                ends.append("nothing there")
        return ends

    ends = itertools.chain(*await asyncio.gather(*(churn(writer) for writer in range(6))))
    assert set(ends) <= {"created", "nothing there"}
    unreferenced = await db.fetchval(
        "SELECT count(*) FROM blobs WHERE state = 'stored' AND id NOT IN (SELECT blob_id FROM package_files)"
    )
    assert 0 == unreferenced


async def _until_somebody_waits(db: Database) -> None:
    async with asyncio.timeout(5):
        while not await db.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        ):
            await asyncio.sleep(0.01)


async def test_a_project_deleted_meanwhile_is_not_found_and_nothing_appears(db: Database, project: Project) -> None:
    await publish(db, project)
    await tree.delete_project(db, OPERATOR, project)
    with pytest.raises(NotFound, match="404 Project Not Found"):
        await publish(db, project, b"2", version="2.0")
    assert ([], {"doomed": 1, "open": 1}) == (await files(db), await states(db))


# --- commits whose answer is lost -----------------------------------------------------------------------------------


async def test_a_commit_whose_answer_was_lost_is_looked_up_and_a_success(
    db: Database, fragile: Database, outage: Outage, project: Project
) -> None:
    publication = await a_publication(fragile)
    outage.cut_commit = "after"
    published = await catalog.publish(fragile, OPERATOR, project, publication)
    assert outage.connections > 1
    assert ("created", 1, 1) == (published.outcome, len(await files(db)), len(await events(db)))


async def test_a_commit_that_never_arrived_is_told_and_can_be_repeated(
    db: Database, fragile: Database, outage: Outage, project: Project
) -> None:
    publication = await a_publication(fragile)
    outage.cut_commit = "before"
    with pytest.raises(Unavailable):
        await catalog.publish(fragile, OPERATOR, project, publication)
    assert ([], []) == (await files(db), await events(db))
    assert "created" == await outcome(catalog.publish(fragile, OPERATOR, project, publication))


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_a_delete_whose_answer_was_lost_is_told_and_either_whole_or_nothing(
    db: Database, fragile: Database, outage: Outage, project: Project, cut: Any
) -> None:
    package_id = (await publish(db, project)).package_id
    outage.cut_commit = cut
    with pytest.raises(Unavailable):
        await catalog.delete_packages(fragile, OPERATOR, project, [package_id])
    done = cut == "after"
    assert (
        (0, {"doomed": 1}, 2)
        if done
        else (1, {"stored": 1}, 1)
        == (
            len(await files(db)),
            await states(db),
            len(await events(db)),
        )
    )


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[BlobStore]:
    async with open_store((tmp_path / "objects").as_uri()) as store:
        yield store


async def upload(db: Database, store: BlobStore, project: Project) -> str:
    """What a handler does with a file."""
    ingest = Ingest(db, store, memory=UPLOAD_MEMORY)
    try:
        async with ingest.upload(limit=100, algorithms=frozenset()) as incoming:
            await incoming.write(b"content")
            publication = await a_publication(db, blob=await incoming.finish())
            published = await catalog.publish(db, OPERATOR, project, publication)
            if published.outcome == "created":
                incoming.keep()
        return published.outcome
    finally:
        ingest.close()


async def served(db: Database, store: BlobStore) -> list[bytes]:
    """The content of every visible file."""
    rows = await db.fetch("SELECT b.key FROM package_files AS f JOIN blobs AS b ON b.id = f.blob_id")
    return [await store.read(row["key"], 0, 100) for row in rows]


@pytest.mark.parametrize("cut", ["before", "after", "meanwhile"])
async def test_a_commit_in_doubt_while_postgres_goes_away_never_costs_a_visible_file_its_content(
    db: Database, fragile: Database, outage: Outage, project: Project, store: BlobStore, cut: Any
) -> None:
    outage.cut_commit, outage.on_cut = cut, outage.fail
    with pytest.raises(Unavailable):
        await upload(fragile, store, project)
    outage.release.set()
    await asyncio.sleep(0.3)
    visible = cut != "before"
    assert [b"content"] * visible == await served(db, store)
    outage.recover()
    assert ("replayed" if visible else "created") == await upload(fragile, store, project)
    assert [b"content"] == await served(db, store)


async def test_a_commit_still_under_way_when_the_publisher_gives_up_wins(
    db: Database, fragile: Database, outage: Outage, project: Project, store: BlobStore
) -> None:
    """Postgres is reachable and the transaction not over: giving up waits for it instead of believing what it sees."""
    outage.cut_commit = "meanwhile"
    uploading = asyncio.create_task(upload(fragile, store, project))
    await _until_somebody_waits(db)
    outage.release.set()
    with pytest.raises(Unavailable):
        await uploading
    assert [b"content"] == await served(db, store)
    assert {"stored": 1} == await states(db)
    assert "replayed" == await upload(fragile, store, project)
