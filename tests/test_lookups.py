"""Look-ups: kept as long as nothing moves, dropped when it does, and never kept when they raced what moved."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from registry import accounts, lookups, tree
from registry.access import ANONYMOUS, AccessLevel, Actor
from registry.cache import Cache
from registry.changes import Changes
from registry.db import changes
from registry.db.accounts import User
from registry.db.changes import Change
from registry.db.connection import Database, open_database
from registry.lookups import Lookups, Refusal, Serials
from registry.model import Group, Project, Visibility
from tests.people import OPERATOR


class Replica:
    """Look-ups behind a barrier, and how many statements they cost."""

    def __init__(self, db: Database) -> None:
        self.db = Counting(db)
        self.lookups = Lookups(self.db)  # type: ignore[arg-type]
        self.changes = Changes(db, self.lookups.forget, stale_seconds=5)

    async def fresh(self) -> Lookups:
        await self.changes.barrier()
        return self.lookups


class Counting:
    """A database that counts its statements and may be held up: `hold` makes the next answers wait for `release`."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.count = 0
        self._release: asyncio.Event | None = None
        self.waiting = asyncio.Event()

    def hold(self) -> None:
        self._release = asyncio.Event()
        self.waiting.clear()

    def release(self) -> None:
        assert self._release is not None
        self._release.set()
        self._release = None

    async def _after(self, answer: Any) -> Any:
        self.count += 1
        if self._release is not None:
            release = self._release
            self.waiting.set()
            await release.wait()
        return answer

    async def fetch(self, query: str, *args: object) -> Any:
        return await self._after(await self._db.fetch(query, *args))

    async def fetchrow(self, query: str, *args: object) -> Any:
        return await self._after(await self._db.fetchrow(query, *args))

    async def fetchval(self, query: str, *args: object) -> Any:
        return await self._after(await self._db.fetchval(query, *args))


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    db = await open_database(database_url, pool_size=4)
    yield db
    await db.close()


@pytest.fixture
async def replica(db: Database) -> AsyncIterator[Replica]:
    replica = Replica(db)
    await replica.changes.barrier()
    yield replica
    await replica.changes.close()


async def a_user(db: Database, name: str = "ada", *, admin: bool = False) -> User:
    return await accounts.create_user(
        db, OPERATOR, username=name, name=name.title(), email=f"{name}@example.com", admin=admin
    )


async def a_token(db: Database, user: User, **options: Any) -> str:
    options.setdefault("scopes", ["api"])
    _, token = await accounts.create_personal_access_token(db, OPERATOR, user, name="test", **options)
    return token


async def a_group(db: Database, path: str = "group", **options: Any) -> Group:
    return await tree.create_group(db, OPERATOR, name=path, path=path, **options)


async def a_project(db: Database, group: Group, path: str = "project", **options: Any) -> Project:
    return await tree.create_project(db, OPERATOR, namespace=group, name=path, path=path, **options)


async def join(db: Database, home: Project | Group, user: User, **options: Any) -> None:
    options.setdefault("access_level", AccessLevel.DEVELOPER)
    await tree.add_member(db, OPERATOR, home, user_id=user.id, **options)


def an_actor(found: Actor | Refusal) -> Actor:
    assert isinstance(found, Actor), found
    return found


async def test_answers_are_asked_of_postgres_once(db: Database, replica: Replica) -> None:
    group = await a_group(db, visibility="public")
    project = await a_project(db, group, visibility="public")
    token = await a_token(db, await a_user(db))

    async def everything() -> None:
        found = await replica.fresh()
        await found.actor(token)
        await found.actor("unknown")
        await found.project(str(project.id))
        await found.project("group/project")
        await found.project("none")
        await found.group("group")
        await found.readable(ANONYMOUS, group)
        await found.serials("pypi", "flask", (project.id,))
        await found.serials("pypi", "", (project.id,))
        await found.has_prefix("npm", "@x/", (project.id,))
        await found.settings()

    await everything()
    before = replica.db.count
    for _ in range(10):
        await everything()
    assert before == replica.db.count


async def test_concurrent_questions_share_one_fill(db: Database, replica: Replica) -> None:
    token = await a_token(db, await a_user(db))
    found = await replica.fresh()
    replica.db.hold()
    askers = [asyncio.create_task(found.actor(token)) for _ in range(50)]
    await replica.db.waiting.wait()
    replica.db.release()
    actors = await asyncio.gather(*askers)
    assert (1, 2) == (len(set(actors)), replica.db.count)


async def test_who_gives_up_waiting_does_not_spoil_the_fill(db: Database, replica: Replica) -> None:
    token = await a_token(db, await a_user(db))
    found = await replica.fresh()
    replica.db.hold()
    askers = [asyncio.create_task(found.actor(token)) for _ in range(2)]
    await replica.db.waiting.wait()
    askers[0].cancel()
    await asyncio.sleep(0)
    replica.db.release()
    assert an_actor(await askers[1]).username == "ada"
    assert askers[0].cancelled()


async def test_a_failed_fill_is_not_kept() -> None:
    cache: Cache[str, int] = Cache("test", 10)
    away = True

    async def fill() -> int:
        if away:
            raise OSError("away")
        return 7

    with pytest.raises(OSError, match="away"):
        await cache.get("a", fill)
    away = False
    assert 7 == await cache.get("a", fill)


# --- what moved is not answered any more ----------------------------------------------------------------------------


async def test_a_revoked_deploy_token_is_refused_at_once(db: Database, replica: Replica) -> None:
    group = await a_group(db)
    row, token = await accounts.create_deploy_token(
        db, OPERATOR, group, name="ci", scopes=["read_package_registry"], username="ci"
    )
    actor = an_actor(await (await replica.fresh()).actor(token))
    assert ("deploy_token", "ci", group.id, None) == (actor.kind, actor.username, actor.home_group, actor.home_project)
    await accounts.revoke_deploy_token(db, OPERATOR, group, row.id)
    assert Refusal("revoked") == await (await replica.fresh()).actor(token)


async def test_a_token_made_after_it_was_tried_is_known_at_once(db: Database, replica: Replica) -> None:
    assert Refusal("unknown") == await (await replica.fresh()).actor("glpat-of-the-operator")
    await accounts.ensure_root(db, "glpat-of-the-operator")
    assert an_actor(await (await replica.fresh()).actor("glpat-of-the-operator")).admin


async def test_a_revoked_personal_access_token_is_refused_at_once(db: Database, replica: Replica) -> None:
    token = await a_token(db, await a_user(db))
    an_actor(await (await replica.fresh()).actor(token))
    digest = accounts.digest(token)
    async with db.transaction() as tx:
        await tx.execute("UPDATE personal_access_tokens SET revoked = true WHERE sha256 = $1", digest)
        await changes.record(tx, [Change("token", digest.hex())])
    assert Refusal("revoked") == await (await replica.fresh()).actor(token)


async def test_a_blocked_user_is_refused_with_every_token_and_comes_back(db: Database, replica: Replica) -> None:
    user = await a_user(db)
    tokens = [await a_token(db, user), await a_token(db, user)]
    other = await a_token(db, await a_user(db, "bob"))

    async def all_of_them() -> list[str]:
        found = await replica.fresh()
        answers = [await found.actor(token) for token in (*tokens, other)]
        return [answer.reason if isinstance(answer, Refusal) else answer.username for answer in answers]

    assert ["ada", "ada", "bob"] == await all_of_them()
    await accounts.set_user_state(db, OPERATOR, user.id, "blocked")
    assert ["blocked", "blocked", "bob"] == await all_of_them()
    await accounts.set_user_state(db, OPERATOR, user.id, "active")
    assert ["ada", "ada", "bob"] == await all_of_them()


async def test_membership_is_added_changed_and_removed_at_once(db: Database, replica: Replica) -> None:
    group = await a_group(db)
    project = await a_project(db, group)
    user = await a_user(db)
    token = await a_token(db, user)

    async def seen() -> tuple[int, list[int]]:
        found = await replica.fresh()
        actor = an_actor(await found.actor(token))
        return actor.groups.get(group.id, 0), [p.id for p in await found.readable(actor, group)]

    assert (0, []) == await seen()
    await join(db, group, user)
    assert (30, [project.id]) == await seen()
    await tree.update_member(db, OPERATOR, group, user_id=user.id, access_level=40, expires_at=None)
    assert (40, [project.id]) == await seen()
    await tree.remove_member(db, OPERATOR, group, user.id)
    assert (0, []) == await seen()


async def test_visibility_is_believed_only_until_it_changes(db: Database, replica: Replica) -> None:
    group = await a_group(db, visibility="public")
    project = await a_project(db, group, visibility="public")

    async def seen() -> tuple[str | None, list[int], tuple[int, ...]]:
        found = await replica.fresh()
        here = await found.project("group/project")
        readable = [p.id for p in await found.readable(ANONYMOUS, group)]
        return here.visibility if here else None, readable, await found.readable_ids(ANONYMOUS, group)

    assert ("public", [project.id], (project.id,)) == await seen()
    await tree.update_project(db, OPERATOR, project, {"visibility": "private"}, {})
    assert ("private", [], ()) == await seen()
    await tree.update_project(db, OPERATOR, project, {"visibility": "public"}, {})
    assert ("public", [project.id], (project.id,)) == await seen()
    await tree.delete_project(db, OPERATOR, project)
    assert (None, [], ()) == await seen()


async def test_a_renamed_group_is_found_by_its_new_path_only(db: Database, replica: Replica) -> None:
    group = await a_group(db)
    project = await a_project(db, group)

    async def seen() -> list[int | None]:
        found = await replica.fresh()
        places = [await found.group("group"), await found.group("new"), await found.group(str(group.id))]
        projects = [await found.project("GROUP/project"), await found.project("new/Project")]
        return [place.id if place else None for place in (*places, *projects)]

    assert [group.id, None, group.id, project.id, None] == await seen()
    await tree.update_group(db, OPERATOR, group, {"path": "new"}, {})
    assert [None, group.id, group.id, None, project.id] == await seen()


async def test_who_was_a_member_of_what_was_deleted_no_longer_sees_the_groups_above(
    db: Database, replica: Replica
) -> None:
    top = await a_group(db)
    below = await a_group(db, "below", parent=top)
    user = await a_user(db)
    token = await a_token(db, user)
    await join(db, below, user)

    async def sees() -> bool:
        return top.id in an_actor(await (await replica.fresh()).actor(token)).sees_groups

    assert await sees()
    await tree.delete_group(db, OPERATOR, below)
    assert not await sees()


async def test_a_deploy_token_ends_with_its_project(db: Database, replica: Replica) -> None:
    project = await a_project(db, await a_group(db))
    _, token = await accounts.create_deploy_token(db, OPERATOR, project, name="ci", scopes=["write_package_registry"])
    assert project.id == an_actor(await (await replica.fresh()).actor(token)).home_project
    await tree.delete_project(db, OPERATOR, project)
    assert Refusal("unknown") == await (await replica.fresh()).actor(token)


async def test_settings_follow_the_instance_and_the_group(db: Database, replica: Replica) -> None:
    group = await a_group(db)
    await a_project(db, group)

    async def seen() -> tuple[dict[str, object], object]:
        found = await replica.fresh()
        project = await found.project("group/project")
        assert project is not None
        return await found.settings(), project.settings.get("npm_max_file_size")

    assert ({}, None) == await seen()
    await accounts.update_settings(db, OPERATOR, {"npm_max_file_size": 5})
    assert ({"npm_max_file_size": 5}, 5) == await seen()
    await tree.update_group(db, OPERATOR, group, {}, {"npm_max_file_size": 6})
    assert ({"npm_max_file_size": 5}, 6) == await seen()


async def test_a_moved_name_is_asked_again_and_no_other(db: Database, replica: Replica) -> None:
    project = await a_project(db, await a_group(db))
    ids = (project.id,)
    found = await replica.fresh()
    assert not (await found.serials("pypi", "a", ids)).known
    assert not (await found.serials("npm", "a", ids)).known
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO package_names (project_id, package_type, normalized_name) VALUES ($1, 'pypi', 'a')", project.id
        )
        await changes.record(tx, [Change("name", "pypi:a")])
    found = await replica.fresh()
    before = replica.db.count
    assert Serials(((project.id, 1),), exists=False) == await found.serials("pypi", "a", ids)
    assert not (await found.serials("npm", "a", ids)).known
    assert 1 == replica.db.count - before


async def test_a_kind_of_change_that_a_later_release_writes_drops_everything(db: Database, replica: Replica) -> None:
    token = await a_token(db, await a_user(db))
    await (await replica.fresh()).actor(token)
    async with db.transaction() as tx:
        await changes.record(tx, [Change("firewall", "7")])  # type: ignore[arg-type]
    found = await replica.fresh()
    before = replica.db.count
    await found.actor(token)
    assert 2 == replica.db.count - before


# --- dates ----------------------------------------------------------------------------------------------------------


async def test_a_token_ends_by_itself(db: Database, replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    group = await a_group(db)
    soon = datetime.now(UTC) + timedelta(milliseconds=400)
    _, token = await accounts.create_deploy_token(
        db, OPERATOR, group, name="ci", scopes=["read_package_registry"], expires_at=soon
    )
    assert soon == an_actor(await (await replica.fresh()).actor(token)).valid_until
    await asyncio.sleep(0.45)
    assert Refusal("expired") == await (await replica.fresh()).actor(token)


async def test_a_token_is_good_until_its_day_begins(db: Database, replica: Replica) -> None:
    user = await a_user(db)
    today = datetime.now(UTC).date()
    ended = await a_token(db, user, expires_at=today)
    good = await a_token(db, user, expires_at=today + timedelta(days=2))
    found = await replica.fresh()
    assert Refusal("expired") == await found.actor(ended)
    assert datetime.combine(today, datetime.min.time(), UTC) + timedelta(days=2) == (
        an_actor(await found.actor(good)).valid_until
    )


async def test_an_actor_lasts_until_the_first_of_its_memberships_ends(db: Database, replica: Replica) -> None:
    user = await a_user(db)
    token = await a_token(db, user)
    today = datetime.now(UTC).date()
    over, short, long = [await a_group(db, path) for path in ("over", "short", "long")]
    await join(db, over, user, expires_at=today)
    await join(db, short, user, expires_at=today + timedelta(days=2))
    await join(db, long, user, expires_at=today + timedelta(days=9))
    actor = an_actor(await (await replica.fresh()).actor(token))
    assert {short.id: 30, long.id: 30} == {id_: level for id_, level in actor.groups.items() if id_ != 0 and level < 50}
    assert actor.valid_until is not None
    assert today + timedelta(days=2) == actor.valid_until.date()


async def test_an_actor_whose_time_is_over_is_asked_again(
    db: Database, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await a_user(db)
    token = await a_token(db, user)
    group = await a_group(db)
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    await join(db, group, user, expires_at=tomorrow)
    assert group.id in an_actor(await (await replica.fresh()).actor(token)).groups
    await db.execute("UPDATE members SET expires_at = current_date WHERE namespace_id = $1", group.id)
    monkeypatch.setattr(lookups, "datetime", _tomorrow())
    assert group.id not in an_actor(await (await replica.fresh()).actor(token)).groups


def _tomorrow() -> type[datetime]:
    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(days=1)

    return Tomorrow


# --- races ----------------------------------------------------------------------------------------------------------


async def test_a_fill_that_races_a_change_is_not_kept(db: Database, replica: Replica) -> None:
    group = await a_group(db, visibility="public")
    project = await a_project(db, group, visibility="public")
    user = await a_user(db)
    token = await a_token(db, user)
    await join(db, group, user)
    found = await replica.fresh()
    ids = (project.id,)
    questions: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
        "actor": lambda: found.actor(token),
        "project": lambda: found.project("group/project"),
        "group": lambda: found.group("group"),
        "settings": found.settings,
        "serials": lambda: found.serials("pypi", "a", ids),
        "index": lambda: found.serials("pypi", "", ids),
        "prefix": lambda: found.has_prefix("pypi", "a", ids),
        "below": lambda: found.below(group),
        "readable": lambda: found.readable(ANONYMOUS, group),
        "readable_ids": lambda: found.readable_ids(ANONYMOUS, group),
    }
    replica.db.hold()
    early = {name: asyncio.ensure_future(ask()) for name, ask in questions.items()}
    for _ in range(10):
        await replica.db.waiting.wait()
        await asyncio.sleep(0.01)
    await tree.remove_member(db, OPERATOR, group, user.id)
    await accounts.update_settings(db, OPERATOR, {"x": 1})
    await tree.update_project(db, OPERATOR, project, {"visibility": "private"}, {})
    await tree.update_group(db, OPERATOR, group, {"visibility": "private"}, {})
    async with db.transaction() as tx:
        for name in ("a", ""):
            await tx.execute(
                "INSERT INTO package_names (project_id, package_type, normalized_name) VALUES ($1, 'pypi', $2)",
                project.id,
                name,
            )
        await changes.record(tx, [Change("name", "pypi:a"), Change("name", "pypi:")])
    await replica.changes.barrier()
    replica.db.release()
    await asyncio.gather(*early.values())

    actor = an_actor(await found.actor(token))
    here, place = await found.project("group/project"), await found.group("group")
    assert group.id not in actor.groups
    assert here is not None
    assert place is not None
    assert ("private", "private", {"x": 1}) == (here.visibility, place.visibility, await found.settings())
    assert ((project.id, 1),) == (await found.serials("pypi", "a", ids)).pairs
    assert ((project.id, 1),) == (await found.serials("pypi", "", ids)).pairs
    assert await found.has_prefix("pypi", "a", ids)
    assert ["private"] == [p.visibility for p in await found.below(group)]
    assert ((), ()) == (await found.readable(ANONYMOUS, group), await found.readable_ids(ANONYMOUS, group))


@pytest.mark.parametrize("visibility", ["private", "internal"])
async def test_a_late_reader_of_old_projects_leaves_nothing_to_later_ones(
    db: Database, replica: Replica, visibility: Visibility
) -> None:
    """The reader waits for the projects below, which move; it works with the old ones and remembers what it found."""
    group = await a_group(db, visibility="public")
    project = await a_project(db, group, visibility="public")
    found = await replica.fresh()
    replica.db.hold()
    late = asyncio.create_task(found.readable(ANONYMOUS, group))
    await replica.db.waiting.wait()
    await tree.update_project(db, OPERATOR, project, {"visibility": visibility}, {})
    await replica.changes.barrier()
    replica.db.release()
    assert ["public"] == [p.visibility for p in await late]
    assert () == await found.readable(ANONYMOUS, group)


# --- bounds ---------------------------------------------------------------------------------------------------------


async def test_a_cache_holds_no_more_than_its_limit_and_keeps_the_newest() -> None:
    cache: Cache[int, int] = Cache("test", 80)

    async def fill() -> int:
        return 0

    for key in range(1000):
        await cache.get(key, fill)
        await asyncio.sleep(0)
        assert len(cache._values) <= 80
    assert list(cache._values) == list(range(1000 - len(cache._values), 1000))
    assert not cache._filling


async def test_unknown_names_tokens_and_paths_fill_no_memory(
    db: Database, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = await a_group(db)
    monkeypatch.setattr(lookups, "_SERIALS_SIZE", 20_000)
    found = await replica.fresh()
    for cache in (found._tokens, found._targets, found._serials, found._prefixes):
        monkeypatch.setattr(cache, "_limit", 50)
    many = tuple(range(1, 3000))
    for number in range(120):
        await found.actor(f"glpat-{number}")
        await found.project(f"none/{number}")
        await found.project("x" * 2000 + str(number))
        await found.group("x" * 2000 + str(number))
        await found.serials("pypi", "one", (number,))
        await found.serials("pypi", f"n{number}", many[: 2000 + number])
        await found.has_prefix("npm", f"@{number}/", (group.id,))
    sizes = [len(cache._values) for cache in (found._tokens, found._targets, found._prefixes)]
    assert max(sizes) <= 50
    assert max(len(key[1]) for key in found._targets._values) < 2000
    assert sum(64 + len(ids) for known in found._serials._values.values() for ids in known) <= 20_000


async def test_what_actors_may_read_fills_no_memory(
    db: Database, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = await a_group(db, visibility="public")
    for number in range(10):
        await a_project(db, group, f"p{number}", visibility="public")
    monkeypatch.setattr(lookups, "_READABLE_SIZE", 2_000)
    found = await replica.fresh()
    for _ in range(200):
        actor = Actor(kind="user", id=1, scopes=frozenset({"api"}))
        assert 10 == len(await found.readable(actor, group))
        assert 64 * len(found._readable) <= 2_000


async def test_the_same_ids_are_the_same_tuple_as_long_as_nothing_moves(db: Database, replica: Replica) -> None:
    group = await a_group(db, visibility="public")
    await a_project(db, group, visibility="public")
    found = await replica.fresh()
    first = await found.readable_ids(ANONYMOUS, group)
    assert first is await (await replica.fresh()).readable_ids(ANONYMOUS, group)


@pytest.mark.parametrize("reference", ["0", "9223372036854775808", "99999999999999999999999999", "\u0661", "1 "])
async def test_strange_ids_are_nobody(db: Database, replica: Replica, reference: str) -> None:
    await a_project(db, await a_group(db))
    found = await replica.fresh()
    assert (None, None) == (await found.project(reference), await found.group(reference))


async def test_a_personal_namespace_is_no_group(db: Database, replica: Replica) -> None:
    await a_user(db)
    found = await replica.fresh()
    namespace = await found.namespace("ada")
    assert namespace is not None
    assert ("user", None) == (namespace.kind, await found.group(str(namespace.id)))
