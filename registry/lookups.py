"""Lookups: answers kept in memory, valid as of the barrier: token -> Actor, id -> Target, name -> serials.

Nothing here expires by time except what has a date of its own. An answer is forgotten when the change log says that it
moved, and a fill that was under way at that moment is not kept, because it may have started before the change.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Literal

from registry.access import Ability, Actor, can
from registry.cache import Cache
from registry.db import accounts, grants, instance, mounts, namespaces, package_names, signing
from registry.db.connection import Database
from registry.db.grants import Grant
from registry.db.mounts import MountRow
from registry.db.package_files import FileRow
from registry.db.signing import PublicKey
from registry.model import Group, Level, NameStatus, Project

# Package type, what names the file, and the projects to look in.
FileKey = tuple[str, str, str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a token is no good: `unknown`, or once good and now `expired`, `revoked`, or its user `blocked`."""

    reason: Literal["unknown", "expired", "revoked", "blocked"]


@dataclass(frozen=True, slots=True)
class Serials:
    """Where a name is, among the projects asked: (project id, serial) pairs, and whether any version exists.

    `listed` are the projects that have files of it to install. `statuses` holds project id, status and reason (PEP 792)
    of the projects that have versions; nothing when the name is active, without a word about it, in all of them.
    """

    pairs: tuple[tuple[int, int], ...]
    exists: bool
    listed: tuple[int, ...] = ()
    statuses: tuple[tuple[int, NameStatus, str | None], ...] = ()

    @property
    def known(self) -> bool:
        """The name is or once was here: nobody else may be asked for it."""
        return bool(self.pairs)


@dataclass(frozen=True, slots=True)
class People:
    """Who works on a project, as (user name, access level), until a membership ends."""

    levels: tuple[tuple[str, int], ...]
    valid_until: datetime | None


@dataclass(frozen=True, slots=True)
class _Readable:
    """What an actor may read of the projects below a group, and what that was computed from."""

    below: tuple[Project, ...]
    projects: tuple[Project, ...]
    ids: tuple[int, ...]


# Answers about many projects are weighed, in project ids: groups have thousands, and actors see different ones of them.
_READABLE_SIZE = 1_000_000
_SERIALS_SIZE = 4_000_000
# A longer path is looked up and not remembered.
_LONGEST_REFERENCE = 1_024


class Lookups:
    """The answers a request needs before it can be served. `forget` is for `registry.changes`."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._tokens: Cache[bytes, Actor | Refusal] = Cache("token", 50_000)
        self._targets: Cache[tuple[Level, str], Project | Group | None] = Cache("target", 50_000)
        self._group_projects: Cache[int | None, tuple[Project, ...]] = Cache("group_projects", 5_000)
        self._readable: dict[tuple[Actor, int | None], _Readable] = {}
        self._readable_size = 0
        self._prefixes: Cache[tuple[str, str, tuple[int, ...]], bool] = Cache("prefix", 1_000)
        self._retired: Cache[tuple[str, str], frozenset[str]] = Cache("retired", 50_000)
        self._retired_prefixes: Cache[tuple[str, str], frozenset[str]] = Cache("retired_prefix", 1_000)
        self._serials: Cache[tuple[str, str], dict[tuple[int, ...], Serials]] = Cache("serials", 100_000)
        self._serials_size = 0
        self._files: dict[FileKey, FileRow] = {}
        self._people: Cache[int, People] = Cache("people", 500_000, weigh=_people_weight)
        self._settings: Cache[None, dict[str, object]] = Cache("settings", 1)
        self._grants: Cache[str, tuple[Grant, ...]] = Cache("grants", 10)
        self._signing_keys: Cache[None, tuple[PublicKey, ...]] = Cache("signing_keys", 1)
        self._mounts: Cache[None, list[MountRow]] = Cache("mounts", 1)

    async def actor(self, token: str) -> Actor | Refusal:
        """Who holds a token: a personal access token or a deploy token."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        found = await self._tokens.get(digest, lambda: self._load_actor(digest))
        if isinstance(found, Actor) and _is_over(found):
            self._tokens.forget(digest)
            found = await self._tokens.get(digest, lambda: self._load_actor(digest))
        return found

    async def project(self, reference: str) -> Project | None:
        """A project by id or full path, with the settings in force."""
        if len(reference) > _LONGEST_REFERENCE:
            return await self._load_project(reference)
        found = await self._targets.get((Level.PROJECT, reference), lambda: self._load_project(reference))
        return found if isinstance(found, Project) else None

    async def group(self, reference: str) -> Group | None:
        """A group by id or full path. Personal namespaces are found only by `namespace`."""
        found = await self.namespace(reference)
        return found if found is not None and found.kind == "group" else None

    async def namespace(self, reference: str) -> Group | None:
        """A group or personal namespace by id or full path."""
        if len(reference) > _LONGEST_REFERENCE:
            return await self._load_group(reference)
        found = await self._targets.get((Level.GROUP, reference), lambda: self._load_group(reference))
        return found if isinstance(found, Group) else None

    async def below(self, group: Group | None) -> tuple[Project, ...]:
        """All projects below a group (None: of the instance), whoever may see them."""
        group_id = group.id if group else None
        return await self._group_projects.get(group_id, lambda: self._load_group_projects(group_id))

    async def readable(self, actor: Actor, group: Group | None) -> tuple[Project, ...]:
        """The projects below a group (None: of the instance) whose packages this actor may read."""
        return (await self._find_readable(actor, group)).projects

    async def readable_ids(self, actor: Actor, group: Group | None) -> tuple[int, ...]:
        """Their ids: the same tuple again and again, as long as nothing moves."""
        return (await self._find_readable(actor, group)).ids

    async def _find_readable(self, actor: Actor, group: Group | None) -> _Readable:
        below = await self.below(group)
        key = (actor, group.id if group else None)
        found = self._readable.get(key)
        # Another tuple means that something moved since; an answer that was kept by who still had the old one counts
        # for nobody else.
        if found is not None and found.below is below:
            return found
        # "Allow anyone to pull" opens the project's own routes only (contract 1.0), hence the second condition.
        projects = tuple(
            p for p in below if can(actor, Ability.READ_PACKAGE, p) and can(actor, Ability.READ_PROJECT, p)
        )
        found = _Readable(below, projects, tuple(project.id for project in projects))
        self._readable_size += 64 + len(projects)
        if self._readable_size > _READABLE_SIZE:
            self._readable.clear()
            self._readable_size = 0
        self._readable[key] = found
        return found

    async def serials(self, package_type: str, name: str, projects: tuple[int, ...]) -> Serials:
        """Serials of a normalised name in some projects; the name '' is the index."""
        key = (package_type, name)
        known = await self._serials.get(key, _nowhere_yet)
        found = known.get(projects)
        if found is None:
            found = await self._load_serials(package_type, name, projects)
            self._serials_size += 64 + len(projects)
            if self._serials_size > _SERIALS_SIZE:
                self._serials.clear()
                self._serials_size = 0
            # `known` is dropped as a whole when the name moves; then this answer goes with it.
            known[projects] = found
        return found

    async def file(
        self,
        key: FileKey,
        find: Callable[[], Awaitable[FileRow | None]],
        *,
        is_best: Callable[[FileRow], bool] = lambda _: True,
    ) -> FileRow | None:
        """A file that was asked for: as known from before when its name has not moved since, else by `find`.

        `is_best`: no other row could be preferred to this one. Where one can, it may be of another project or name,
        whose serial is not looked at here.
        """
        known = self._files.get(key)
        if known is not None and is_best(known):
            serials = await self.serials(key[0], known.normalized_name, (known.project_id,))
            if serials.pairs == ((known.project_id, known.serial),):
                return known
        found = await find()
        if found is not None:
            if len(self._files) >= 100_000:
                self._files.clear()
            self._files[key] = found
        return found

    async def has_prefix(self, package_type: str, prefix: str, projects: tuple[int, ...]) -> bool:
        """Whether any name that begins like this is or once was in some projects."""
        key = (package_type, prefix, projects)
        return await self._prefixes.get(key, lambda: package_names.has_prefix(self._db, package_type, prefix, projects))

    async def is_retired(self, package_type: str, name: str, root_path: str | None) -> bool:
        """Whether a deleted project below a top-level namespace had this normalised name; below any when it is None."""
        key = (package_type, name)
        roots = await self._retired.get(key, lambda: package_names.list_retired(self._db, package_type, name))
        return bool(roots) if root_path is None else root_path in roots

    async def is_retired_prefix(self, package_type: str, prefix: str, root_path: str | None) -> bool:
        """The same for any name that begins like this."""
        key = (package_type, prefix)
        roots = await self._retired_prefixes.get(
            key, lambda: package_names.list_retired(self._db, package_type, prefix, prefix=True)
        )
        return bool(roots) if root_path is None else root_path in roots

    async def people(self, project_id: int) -> People:
        """Who works on a project, the members of the groups above it included."""
        found = await self._people.get(project_id, lambda: self._load_people(project_id))
        if _is_over(found):
            self._people.forget(project_id)
            found = await self._people.get(project_id, lambda: self._load_people(project_id))
        return found

    async def settings(self) -> dict[str, object]:
        """The instance's settings that differ from the defaults."""
        return await self._settings.get(None, lambda: instance.find_settings(self._db))

    async def grants(self, package_type: str) -> tuple[Grant, ...]:
        """The prefixes of names that are reserved for a group."""
        return await self._grants.get(package_type, lambda: grants.list_grants(self._db, package_type))

    async def signing_keys(self) -> tuple[PublicKey, ...]:
        """The public halves of all keys that ever signed here."""
        return await self._signing_keys.get(None, lambda: signing.list_keys(self._db))

    async def mounts(self) -> Sequence[MountRow]:
        """All mounts: the same list again and again, as long as nothing moves."""
        return await self._mounts.get(None, lambda: mounts.list_mounts(self._db))

    def forget(self, moved: Sequence[tuple[str, str]] | None) -> None:
        """Drop what moved; None drops everything."""
        if moved is None:
            self._tokens.clear()
            self._serials.clear()
            self._prefixes.clear()
            self._forget_retired()
            self._files.clear()
            self._forget_places()
            return
        for kind, key in moved:
            match kind:
                case "name":
                    package_type, _, name = key.partition(":")
                    self._serials.forget((package_type, name))
                    self._retired.forget((package_type, name))
                    if name == "":
                        self._prefixes.clear()
                        self._retired_prefixes.clear()
                case "token":
                    self._tokens.forget(bytes.fromhex(key))
                case "user":
                    user = int(key)
                    self._tokens.forget_if(lambda _, found, user=user: _belongs_to(found, user))  # type: ignore[misc]
                    self._readable.clear()
                    self._people.clear()
                case "project" | "settings":
                    # Rare beside reads, and a group's settings and path reach everything below it.
                    self._forget_places()
                case "namespaces":
                    # Whoever was a member of something deleted saw the groups above it; deploy tokens went with it.
                    self._tokens.clear()
                    self._forget_places()
                    # A renamed top-level namespace takes its retired names along.
                    self._forget_retired()
                case "mounts":
                    self._mounts.clear()
                case "packages":
                    # What is listed of a project is kept by `registry.package_lists`.
                    pass
                case _:
                    # Written by a later release.
                    self.forget(None)

    def _forget_retired(self) -> None:
        self._retired.clear()
        self._retired_prefixes.clear()

    def _forget_places(self) -> None:
        self._targets.clear()
        self._group_projects.clear()
        self._readable.clear()
        self._people.clear()
        self._settings.clear()
        self._grants.clear()
        self._signing_keys.clear()
        self._mounts.clear()

    async def _load_actor(self, digest: bytes) -> Actor | Refusal:
        owner = await accounts.find_token_owner(self._db, digest)
        if owner is None:
            return await self._load_deploy_token(digest)
        if owner.revoked:
            return Refusal("revoked")
        if owner.expired:
            return Refusal("expired")
        if owner.state != "active":
            return Refusal("blocked")
        places = await accounts.list_memberships(self._db, owner.user_id)
        ends = (owner.expires_at, *(m.expires_at for m in places))
        return Actor(
            kind="user",
            id=owner.user_id,
            username=owner.username,
            name=owner.name,
            admin=owner.admin,
            scopes=frozenset(owner.scopes),
            token_id=owner.token_id,
            groups={m.namespace_id: m.access_level for m in places if m.namespace_id is not None},
            projects={m.project_id: m.access_level for m in places if m.project_id is not None},
            sees_groups=frozenset(group for m in places for group in m.ancestry),
            valid_until=_first(ends),
            networks=tuple(ipaddress.ip_network(network) for network in owner.networks),
            packages=tuple(owner.packages),
        )

    async def _load_deploy_token(self, digest: bytes) -> Actor | Refusal:
        token = await accounts.find_deploy_token(self._db, digest)
        if token is None:
            return Refusal("unknown")
        if token.revoked:
            return Refusal("revoked")
        if token.expired:
            return Refusal("expired")
        return Actor(
            kind="deploy_token",
            id=token.id,
            username=token.username,
            name=token.name,
            scopes=frozenset(token.scopes),
            token_id=token.id,
            home_group=token.namespace_id,
            home_project=token.project_id,
            valid_until=token.expires_at,
        )

    async def _load_project(self, reference: str) -> Project | None:
        project_id = _id(reference)
        if project_id is None:
            route = await namespaces.find_route(self._db, reference)
            project_id = route.project_id if route else None
        return await namespaces.find_project(self._db, project_id) if project_id is not None else None

    async def _load_group(self, reference: str) -> Group | None:
        group_id = _id(reference)
        if group_id is None:
            route = await namespaces.find_route(self._db, reference)
            group_id = route.namespace_id if route else None
        return await namespaces.find_group(self._db, group_id) if group_id is not None else None

    async def _load_people(self, project_id: int) -> People:
        found = await accounts.list_people(self._db, project_id)
        levels = tuple((one.username, one.access_level) for one in found)
        return People(levels, _first(one.expires_at for one in found))

    async def _load_group_projects(self, group_id: int | None) -> tuple[Project, ...]:
        return tuple(await namespaces.list_group_projects(self._db, group_id))

    async def _load_serials(self, package_type: str, name: str, projects: tuple[int, ...]) -> Serials:
        if name == "":
            rows = await package_names.list_index_serials(self._db, package_type, projects)
        else:
            rows = await package_names.list_serials(self._db, package_type, name, projects)
        statuses = tuple((row.project_id, row.status, row.status_reason) for row in rows if row.exists)
        plain = all(status == "active" and not reason for _, status, reason in statuses)
        pairs = tuple((row.project_id, row.serial) for row in rows)
        listed = tuple(row.project_id for row in rows if row.listed)
        return Serials(pairs, any(row.exists for row in rows), listed, () if plain else statuses)


def _people_weight(people: People) -> int:
    return 1 + len(people.levels)


def _is_over(found: Actor | People) -> bool:
    return found.valid_until is not None and found.valid_until <= datetime.now(UTC)


def _first(days: Iterable[date | None]) -> datetime | None:
    """When the first of these days begins, in UTC: what ends on a day is over then."""
    return min((datetime.combine(day, time.min, UTC) for day in days if day is not None), default=None)


async def _nowhere_yet() -> dict[tuple[int, ...], Serials]:
    return {}


def _belongs_to(found: Actor | Refusal, user_id: int) -> bool:
    # A refusal does not say whose token it was; dropping it costs one query.
    return isinstance(found, Refusal) or (found.is_user and found.id == user_id)


def _id(reference: str) -> int | None:
    """A numeric id, within Postgres' bigint; None for a path. Paths never consist of digits alone."""
    if not reference.isascii() or not reference.isdigit():
        return None
    return min(int(reference[:20]), 2**63 - 1)
