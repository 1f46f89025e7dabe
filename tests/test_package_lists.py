"""Package lists: every page is the slice of the whole that it should be, and none outlives a change."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from registry import catalog, package_lists, tree
from registry.cache import Cache
from registry.db.connection import Database
from registry.db.listings import Window
from registry.db.package_lists import PackageFilter
from registry.model import Project
from registry.package_lists import PackageLists
from registry.services import Services
from tests.api.published import publish
from tests.people import OPERATOR

DEFAULT = PackageFilter()


class Counting:
    """A database that counts its statements."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.count = 0

    async def fetchval(self, query: str, *args: object) -> Any:
        self.count += 1
        return await self._db.fetchval(query, *args)


@pytest.fixture
async def projects(services: Services) -> list[Project]:
    group = await tree.create_group(services.db, OPERATOR, name="acme", path="acme")
    return [
        await tree.create_project(services.db, OPERATOR, namespace=group, name=name, path=name) for name in ("b", "a")
    ]


async def fill(services: Services, project: Project, count: int) -> None:
    """Packages in an order that is neither that of their ids nor that of their names."""
    await services.db.execute(
        """
        INSERT INTO packages (project_id, package_type, name, normalized_name, version, status, created_at)
        SELECT $1, (ARRAY['npm', 'pypi'])[1 + n % 2], 'N' || n * 7 % $2, 'n', n % 5 || '.0',
               (ARRAY['default', 'deprecated', 'hidden'])[1 + n % 3], now() + (n * 13 % $2) * interval '1 second'
          FROM generate_series(1, $2::int) AS n
        """,
        project.id,
        count,
    )


async def expected(services: Services, projects: list[Project], chosen: PackageFilter, order_by: str) -> list[int]:
    """What the whole list is, sorted in Python."""
    keys: dict[str, Any] = {
        "created_at": lambda _: (),
        "name": lambda row: row["name"].lower(),
        "version": lambda row: row["version"],
        "type": lambda row: row["package_type"],
        "project_path": lambda row: row["full_path"],
    }
    rows = await services.db.fetch(
        "SELECT p.*, r.full_path FROM packages AS p JOIN projects AS r ON r.id = p.project_id"
    )
    found = [
        row
        for row in rows
        if row["project_id"] in {one.id for one in projects}
        and row["status"] in chosen.statuses
        and chosen.package_type in {None, row["package_type"]}
        and chosen.version in {None, row["version"]}
        and all(word in row["name"].lower() for word in chosen.words)
    ]
    found.sort(key=lambda row: (keys[order_by](row), row["created_at"], row["id"]))
    return [row["id"] for row in found]


@pytest.mark.parametrize("several", [False, True])
async def test_pages_are_slices_of_the_sorted_whole_in_both_directions(
    services: Services, projects: list[Project], monkeypatch: pytest.MonkeyPatch, *, several: bool
) -> None:
    monkeypatch.setattr(package_lists, "HEAD", 20)
    for project in projects:
        await fill(services, project, 90)
    asked = projects if several else projects[:1]
    ids = tuple(one.id for one in asked)
    for chosen in (
        DEFAULT,
        PackageFilter(statuses=("hidden",)),
        PackageFilter(package_type="npm"),
        PackageFilter(version="3.0", package_type="pypi"),
        PackageFilter(words=("n1", "2")),
        PackageFilter(words=("%",)),
    ):
        for order_by in ("created_at", "name", "version", "type", "project_path"):
            whole = await expected(services, asked, chosen, order_by)
            for descending in (False, True):
                ordered = whole[::-1] if descending else whole
                for limit, offset in ((7, 0), (7, 7), (7, 14), (30, 0), (7, 77), (100, 0), (7, 10**6)):
                    window = Window(limit, offset, order_by, descending)
                    page = await services.package_lists.page(ids, chosen, window)
                    shown = (chosen, order_by, descending, limit, offset)
                    assert (ordered[offset : offset + limit + 1], len(whole)) == (page.ids, page.total), shown


async def test_a_list_is_read_once_and_again_after_a_change_in_its_project(
    services: Services, projects: list[Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package_lists, "HEAD", 20)
    mine, other = projects
    await fill(services, mine, 90)
    db = Counting(services.db)
    lists = PackageLists(db)  # type: ignore[arg-type]
    seen = await services.db.fetchval("SELECT number FROM change_head")

    async def cost(offset: int) -> int:
        """Statements for a page, after what was logged meanwhile was heard."""
        nonlocal seen
        rows = await services.db.fetch("SELECT number, kind, key FROM changes WHERE number > $1", seen)
        seen = max([seen, *(row["number"] for row in rows)])
        lists.forget([(row["kind"], row["key"]) for row in rows])
        before = db.count
        await lists.page((mine.id,), DEFAULT, Window(5, offset, "created_at"))
        return db.count - before

    # The head and the count of all; the whole; then nothing.
    assert [2, 0, 1, 0, 0] == [await cost(offset) for offset in (0, 10, 16, 50, 0)]
    await publish(services, other)
    assert [0, 0] == [await cost(offset) for offset in (0, 50)]
    package_id = await publish(services, mine, "new", "1.0")
    assert [1, 0, 2, 0] == [await cost(offset) for offset in (50, 20, 0, 10)]
    await publish(services, mine, "new", "1.0", file_name="another.whl")
    assert [0, 0] == [await cost(offset) for offset in (0, 50)]
    await catalog.deprecate(services.db, OPERATOR, mine, "pypi", "new", {"1.0": "old"})
    assert [2, 1] == [await cost(offset) for offset in (0, 50)]
    await catalog.delete_packages(services.db, OPERATOR, mine, [package_id])
    assert [2, 1] == [await cost(offset) for offset in (0, 50)]
    await tree.update_group(services.db, OPERATOR, await _group(services, mine), {"path": "renamed"}, {})
    assert [2, 1] == [await cost(offset) for offset in (0, 50)]
    lists.forget([("token", "00"), ("user", "1"), ("settings", "*"), ("name", "pypi:x")])
    assert 0 == await cost(0)
    for unheard in ([("what a later release writes", "")], None):
        lists.forget(unheard)
        assert 2 == await cost(0)


async def _group(services: Services, project: Project) -> Any:
    return await services.lookups.group(str(project.namespace_id))


async def test_a_list_being_read_while_its_project_changes_is_not_kept(
    services: Services, projects: list[Project]
) -> None:
    release = asyncio.Event()

    class Slow(Counting):
        async def fetchval(self, query: str, *args: object) -> Any:
            found = await super().fetchval(query, *args)
            await release.wait()
            return found

    lists = PackageLists(Slow(services.db))  # type: ignore[arg-type]
    asked = ((projects[0].id,), DEFAULT, Window(5, 0, "created_at"))
    early = asyncio.create_task(lists.page(*asked))
    await asyncio.sleep(0.05)
    package_id = await publish(services, projects[0])
    lists.forget([("packages", str(projects[0].id))])
    late = asyncio.create_task(lists.page(*asked))
    await asyncio.sleep(0.05)
    release.set()
    assert [] == (await early).ids
    assert [package_id] == (await late).ids
    assert [package_id] == (await lists.page(*asked)).ids


async def test_a_cache_drops_the_oldest_by_weight_and_keeps_nothing_too_heavy() -> None:
    cache: Cache[int, int] = Cache("test", 100, weigh=lambda value: value)

    async def put(key: int, weight: int) -> None:
        async def fill() -> int:
            return weight

        await cache.get(key, fill)
        await asyncio.sleep(0)

    for key in range(5):
        await put(key, 20)
    await put(5, 101)
    assert [0, 1, 2, 3, 4] == list(cache._values)
    await put(6, 30)
    assert ([2, 3, 4, 6], 90) == (list(cache._values), cache._weight)
    cache.forget(3)
    cache.forget_if(lambda key, _: key == 4)
    assert ([2, 6], 50) == (list(cache._values), cache._weight)
    await put(7, 100)
    assert ([7], 100) == (list(cache._values), cache._weight)
