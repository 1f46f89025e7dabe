"""Pages of projects, groups, users and members as the management API lists them, in Postgres.

A list takes two steps: the ids of one page, decided with all filters in the database, then the rows of these ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from registry.access import AccessLevel, Actor
from registry.db.connection import Db
from registry.db.namespaces import effective
from registry.db.queries import Queries
from registry.model import PackageRegistryAccess, Visibility

SQL = Queries("listings")

# Totals are counted up to this many rows; beyond, GitLab leaves them out of the headers, too.
COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class PageOfIds:
    """The ids of one page in order, one more than asked when there is another page; `total` stops at COUNTED + 1."""

    ids: list[int]
    total: int


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of a list: `limit` rows from `offset` in the order asked, of those between two ids."""

    limit: int
    offset: int = 0
    order_by: str = "id"
    descending: bool = False
    id_after: int | None = None
    id_before: int | None = None


@dataclass(frozen=True, slots=True)
class Sight:
    """What somebody may see in lists: everything, or by visibility and by membership."""

    everything: bool
    visibilities: tuple[Visibility, ...]
    projects: tuple[int, ...]
    groups: tuple[int, ...]
    groups_above: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ProjectFilter:
    """Conditions of a list of projects. `parent` is the group they are in, `below` a group anywhere above them."""

    parent: int | None = None
    below: int | None = None
    search: str | None = None
    search_namespaces: bool = False
    visibility: Visibility | None = None
    archived: bool | None = None


@dataclass(frozen=True, slots=True)
class GroupFilter:
    """Conditions of a list of groups. `parent` is the group they are in, `below` a group anywhere above them."""

    parent: int | None = None
    below: int | None = None
    search: str | None = None
    visibility: Visibility | None = None
    top_level_only: bool = False
    skip: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Conditions of a list of users. `by_email` lets the search look at addresses."""

    username: str | None = None
    search: str | None = None
    by_email: bool = False
    state: Literal["active", "blocked"] | None = None
    admins: bool = False
    humans: bool = False
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class ProjectDetails:
    """A project as the API shows it. `settings` are those in force."""

    id: int
    namespace_id: int
    ancestry: list[int]
    name: str
    path: str
    full_path: str
    description: str
    visibility: Visibility
    package_registry_access_level: PackageRegistryAccess
    archived: bool
    creator_id: int | None
    created_at: datetime
    last_activity_at: datetime
    namespace_name: str
    namespace_path: str
    namespace_kind: str
    namespace_full_path: str
    namespace_parent_id: int | None
    namespace_full_name: str
    settings: dict[str, Any]


@dataclass(frozen=True, slots=True)
class GroupDetails:
    """A group as the API shows it. `settings` are those in force."""

    id: int
    kind: str
    parent_id: int | None
    ancestry: list[int]
    name: str
    path: str
    full_path: str
    description: str
    visibility: Visibility
    created_at: datetime
    full_name: str
    settings: dict[str, Any]


@dataclass(frozen=True, slots=True)
class UserDetails:
    """A user as the API shows it; bots have no personal namespace."""

    id: int
    username: str
    name: str
    email: str
    admin: bool
    state: str
    kind: str
    created_at: datetime
    namespace_id: int | None


@dataclass(frozen=True, slots=True)
class Member:
    """A user and their level in a group or project."""

    user_id: int
    username: str
    name: str
    state: str
    access_level: int
    expires_at: date | None
    created_at: datetime
    created_by_id: int | None
    created_by_username: str | None
    created_by_name: str | None
    created_by_state: str | None


@dataclass(frozen=True, slots=True)
class Homes:
    """Where to look for members: in any of some groups, and in a project."""

    groups: tuple[int, ...] = ()
    project: int | None = None


def sight_of(actor: Actor, *, minimum: int | None = None) -> Sight:
    """What an actor may see; with `minimum` only where the actor is a member of at least that level."""
    least = minimum or AccessLevel.NONE
    projects = tuple(place for place, level in actor.projects.items() if level >= least)
    groups = tuple(place for place, level in actor.groups.items() if level >= least)
    if minimum is not None:
        return Sight(everything=False, visibilities=(), projects=projects, groups=groups, groups_above=())
    visibilities: tuple[Visibility, ...] = ("public", "internal") if actor.is_user else ("public",)
    return Sight(actor.admin, visibilities, projects, groups, tuple(actor.sees_groups))


async def page_projects(db: Db, sight: Sight, chosen: ProjectFilter, window: Window) -> PageOfIds:
    """One page of the projects in sight."""
    row = await db.fetchrow(
        SQL.page_projects,
        sight.everything,
        sight.visibilities,
        sight.projects,
        sight.groups,
        chosen.parent,
        chosen.below,
        chosen.search,
        chosen.search_namespaces,
        chosen.visibility,
        chosen.archived,
        window.id_after,
        window.id_before,
        window.limit + 1,
        window.offset,
        window.order_by,
        window.descending,
    )
    return PageOfIds(**row)  # type: ignore[arg-type]  # it always answers one row


async def list_projects(db: Db, ids: Sequence[int]) -> list[ProjectDetails]:
    """Projects by id, in that order."""
    rows = await db.fetch(SQL.list_projects, ids)
    return [ProjectDetails(**{**row, "settings": effective(row["settings"])}) for row in rows]


async def page_groups(db: Db, sight: Sight, chosen: GroupFilter, window: Window) -> PageOfIds:
    """One page of the groups in sight."""
    row = await db.fetchrow(
        SQL.page_groups,
        sight.everything,
        sight.visibilities,
        sight.groups_above,
        sight.groups,
        chosen.parent,
        chosen.below,
        chosen.search,
        chosen.visibility,
        chosen.top_level_only,
        chosen.skip,
        window.id_after,
        window.id_before,
        window.limit + 1,
        window.order_by,
        window.descending,
        window.offset,
    )
    return PageOfIds(**row)  # type: ignore[arg-type]  # it always answers one row


async def list_groups(db: Db, ids: Sequence[int]) -> list[GroupDetails]:
    """Groups by id, in that order."""
    rows = await db.fetch(SQL.list_groups, ids)
    return [GroupDetails(**{**row, "settings": effective(row["settings"])}) for row in rows]


async def page_users(db: Db, chosen: UserFilter, window: Window) -> PageOfIds:
    """One page of the users."""
    row = await db.fetchrow(
        SQL.page_users,
        chosen.username,
        chosen.search,
        chosen.by_email,
        chosen.state,
        chosen.admins,
        chosen.humans,
        chosen.created_after,
        chosen.created_before,
        window.id_after,
        window.id_before,
        window.limit + 1,
        window.offset,
        window.order_by,
        window.descending,
    )
    return PageOfIds(**row)  # type: ignore[arg-type]  # it always answers one row


async def list_users(db: Db, ids: Sequence[int]) -> list[UserDetails]:
    """Users by id, in that order."""
    return [UserDetails(**row) for row in await db.fetch(SQL.list_users, ids)]


async def page_members(
    db: Db, homes: Homes, *, query: str | None, user_ids: Sequence[int], window: Window
) -> PageOfIds:
    """One page of members as user ids; `query` searches names, `user_ids` picks some when there are any."""
    row = await db.fetchrow(
        SQL.page_members, homes.groups, homes.project, query, user_ids, window.limit + 1, window.offset
    )
    return PageOfIds(**row)  # type: ignore[arg-type]  # it always answers one row


async def list_members(db: Db, homes: Homes, user_ids: Sequence[int]) -> list[Member]:
    """Members by user id; each once, with the highest of their levels."""
    return [Member(**row) for row in await db.fetch(SQL.list_members, homes.groups, homes.project, user_ids)]
