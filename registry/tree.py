"""The tree: the only module that changes groups, projects and members. One transaction each, with its audit row."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from types import MappingProxyType
from typing import Any

import asyncpg

from registry.access import AccessLevel, Actor, level_in
from registry.accounts import check_text, place_of
from registry.db import accounts, changes, instance, namespaces, tokens
from registry.db.changes import Change
from registry.db.connection import Database, Db
from registry.db.instance import Author, audit
from registry.errors import Conflict, InvalidField, NotFound, Taken
from registry.memberships import check_inherited, check_last_owner, check_level, check_standing
from registry.model import Group, PackageRegistryAccess, Project, Visibility

# GitLab: namespace format; never digits alone, so that a path is never taken for an id.
_PATH = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,253}[A-Za-z0-9_-])?", re.ASCII)
_OPENNESS: Mapping[str, int] = {"private": 0, "internal": 1, "public": 2}
MAX_DEPTH = 20
MAX_DESCRIPTION = 2000


def check_path(path: str) -> None:
    """Raise InvalidField for what cannot be the last part of a full path."""
    if not _PATH.fullmatch(path) or path.isdigit() or path.endswith((".git", ".atom")):
        raise InvalidField(
            "path",
            "can contain only letters, digits, '_', '-' and '.'; cannot start with '-' or '.', "
            "end in '.', '.git' or '.atom', or consist of digits",
        )


async def create_group(
    db: Database,
    author: Author,
    *,
    name: str,
    path: str,
    parent: Group | None = None,
    visibility: Visibility = "private",
    description: str = "",
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> Group:
    """Make a group; its creator becomes Owner. Raises Invalid, Conflict when the path is taken."""
    check_path(path)
    _check_texts(name, description)
    try:
        async with db.transaction() as tx:
            if parent is not None:
                parent = await _held(tx, parent.id)
                _check_visibility(visibility, parent)
                if len(parent.ancestry) >= MAX_DEPTH:
                    raise InvalidField("parent_id", f"is too deep: groups nest at most {MAX_DEPTH} levels")
            group_id = await namespaces.insert_group(
                tx, parent=parent, name=name, path=path, description=description, visibility=visibility
            )
            if author.actor.is_user and author.actor.id is not None:
                await accounts.insert_member(
                    tx,
                    accounts.Place(namespace_id=group_id),
                    user_id=author.actor.id,
                    access_level=AccessLevel.OWNER,
                    expires_at=None,
                    created_by_id=author.actor.id,
                )
            group = await _held(tx, group_id)
            above = parent.settings if parent is not None else await instance.find_settings(tx)
            if settings:
                await namespaces.update_group(tx, group, group, _layer({}, settings, above))
                group = await _held(tx, group_id)
            await audit(tx, author, "group_created", group, visibility=visibility, **settings)
            await changes.record(tx, [Change("namespaces"), *_membership(author)])
    except (asyncpg.UniqueViolationError, asyncpg.ForeignKeyViolationError) as error:
        raise _taken(error) from error
    return group


async def update_group(
    db: Database, author: Author, group: Group, changed: Mapping[str, Any], settings: Mapping[str, Any]
) -> Group:
    """Change name, path, description, visibility, and the group's own layer of settings. Raises Invalid, Conflict."""
    try:
        async with db.transaction() as tx:
            group = await _held(tx, group.id)
            new = _renamed(replace(group, **changed), group)
            parent = await namespaces.find_group(tx, new.parent_id) if new.parent_id is not None else None
            if parent is not None:
                _check_visibility(new.visibility, parent)
            await _check_below(tx, new)
            own = await namespaces.own_settings(tx, group_id=group.id)
            above = parent.settings if parent is not None else await instance.find_settings(tx)
            await namespaces.update_group(tx, group, new, _layer(own, settings, above))
            await audit(tx, author, "group_updated", new, **changed, **settings)
            await changes.record(tx, [Change("namespaces")])
            return await _held(tx, group.id)
    except asyncpg.UniqueViolationError as error:
        raise _taken(error) from error


async def delete_group(db: Database, author: Author, group: Group) -> None:
    """Delete a group with everything below it, at once; objects are freed later."""
    async with db.transaction() as tx:
        groups = await _held_below(tx, group.id)
        if not groups:
            raise NotFound("404 Group Not Found")
        moved = [Change("namespaces")]
        for project in await namespaces.list_group_projects(tx, group.id):
            moved += await _clear_project(tx, author, project)
        await audit(tx, author, "group_deleted", group)
        moved += [Change("user", str(bot)) for bot in await tokens.delete_bots(tx, groups=groups)]
        await namespaces.delete_groups(tx, groups)
        await changes.record(tx, moved)


async def create_project(
    db: Database,
    author: Author,
    *,
    namespace: Group,
    name: str,
    path: str,
    visibility: Visibility = "private",
    package_registry_access_level: PackageRegistryAccess = "enabled",
    description: str = "",
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> Project:
    """Make a project. Raises Invalid, Conflict when the path is taken."""
    check_path(path)
    _check_texts(name, description)
    try:
        async with db.transaction() as tx:
            namespace = await _held(tx, namespace.id)
            if namespace.kind == "group":
                _check_visibility(visibility, namespace)
            project_id = await namespaces.insert_project(
                tx,
                namespace=namespace,
                name=name,
                path=path,
                description=description,
                visibility=visibility,
                package_registry_access_level=package_registry_access_level,
                creator_id=author.actor.id if author.actor.is_user else None,
            )
            await _welcome(tx, author.actor, namespace, project_id)
            project = await namespaces.find_project(tx, project_id)
            if project is None:
                raise NotFound("404 Project Not Found")
            if settings:
                await namespaces.update_project(tx, project, project, _layer({}, settings, namespace.settings))
                project = await namespaces.find_project(tx, project_id) or project
            await audit(tx, author, "project_created", project, visibility=visibility, **settings)
            await changes.record(tx, [Change("namespaces"), *_membership(author)])
    except (asyncpg.UniqueViolationError, asyncpg.ForeignKeyViolationError) as error:
        raise _taken(error) from error
    return project


async def update_project(
    db: Database, author: Author, project: Project, changed: Mapping[str, Any], settings: Mapping[str, Any]
) -> Project:
    """Change a project's fields, and its own layer of settings. Raises Invalid, Conflict."""
    try:
        async with db.transaction() as tx:
            namespace = await _held(tx, project.namespace_id)
            found = await namespaces.lock_project(tx, project.id)
            if found is None:
                raise NotFound("404 Project Not Found")
            new = _renamed(replace(found, **changed), found)
            if namespace.kind == "group":
                _check_visibility(new.visibility, namespace)
            own = await namespaces.own_settings(tx, project_id=project.id)
            await namespaces.update_project(tx, found, new, _layer(own, settings, namespace.settings))
            await audit(tx, author, "project_updated", new, **changed, **settings)
            await changes.record(tx, [Change("namespaces")])
            found = await namespaces.find_project(tx, project.id)
    except asyncpg.UniqueViolationError as error:
        raise _taken(error) from error
    return found or project


async def delete_project(db: Database, author: Author, project: Project) -> None:
    """Delete a project with its packages, at once; objects are freed later."""
    async with db.transaction() as tx:
        if await namespaces.lock_project(tx, project.id) is None:
            raise NotFound("404 Project Not Found")
        moved = await _clear_project(tx, author, project)
        await changes.record(tx, [Change("namespaces"), *moved])


async def add_member(
    db: Database,
    author: Author,
    home: Project | Group,
    *,
    user_id: int,
    access_level: int,
    expires_at: date | None = None,
) -> None:
    """Make a user a member. Raises Conflict, NotFound for an unknown user, Forbidden above one's own level."""
    check_level(author.actor, home, access_level)
    try:
        async with db.transaction() as tx:
            user = await accounts.find_user(tx, user_id)
            if user is None:
                raise NotFound("404 User Not Found")
            if user.kind != "human":
                raise InvalidField("user_id", "is a bot: it belongs to its own group or project only")
            await check_inherited(tx, home, user_id, access_level)
            await accounts.insert_member(
                tx,
                place_of(home),
                user_id=user_id,
                access_level=access_level,
                expires_at=expires_at,
                created_by_id=author.actor.id if author.actor.is_user else None,
            )
            await audit(tx, author, "member_added", home, user_id=user_id, access_level=access_level)
            await changes.record(tx, [Change("user", str(user_id))])
    except asyncpg.UniqueViolationError as error:
        raise Conflict("Member already exists") from error
    except asyncpg.ForeignKeyViolationError as error:
        raise NotFound("404 User Not Found") from error


async def update_member(
    db: Database, author: Author, home: Project | Group, *, user_id: int, access_level: int, expires_at: date | None
) -> None:
    """Change a member's level. Raises NotFound, Forbidden above one's own level or for the last owner of a group."""
    check_level(author.actor, home, access_level)
    async with db.transaction() as tx:
        if access_level < AccessLevel.OWNER or expires_at is not None:
            await check_last_owner(tx, author.actor, home, user_id)
        await check_standing(tx, author.actor, home, user_id)
        await check_inherited(tx, home, user_id, access_level)
        await accounts.update_member(
            tx, place_of(home), user_id=user_id, access_level=access_level, expires_at=expires_at
        )
        await audit(tx, author, "member_updated", home, user_id=user_id, access_level=access_level)
        await changes.record(tx, [Change("user", str(user_id))])


async def remove_member(db: Database, author: Author, home: Project | Group, user_id: int) -> None:
    """End a membership, at once on every replica. Raises NotFound, Forbidden for the last owner of a group."""
    async with db.transaction() as tx:
        await check_last_owner(tx, author.actor, home, user_id)
        await check_standing(tx, author.actor, home, user_id)
        await accounts.delete_member(tx, place_of(home), user_id)
        await audit(tx, author, "member_removed", home, user_id=user_id)
        await changes.record(tx, [Change("user", str(user_id))])


async def _held(tx: Db, group_id: int) -> Group:
    """A group or personal namespace as it is now, so that nobody renames, closes or deletes it meanwhile."""
    group = await namespaces.lock_group(tx, group_id)
    if group is None:
        raise NotFound("404 Group Not Found")
    return group


async def _held_below(tx: Db, group_id: int) -> list[int]:
    """A group and all below it, deepest first. Read until nothing was added while waiting for a lock."""
    held: list[int] = []
    while (found := await namespaces.list_subtree(tx, group_id)) != held:
        held = found
    return held


async def _welcome(tx: Db, creator: Actor, namespace: Group, project_id: int) -> None:
    """Make the creator of a project a member of it, unless they rule its namespace already."""
    rules = level_in(creator, namespace) >= AccessLevel.MAINTAINER and not creator.admin
    if creator.id is None or not creator.is_user or namespace.owner_id == creator.id or rules:
        return
    await accounts.insert_member(
        tx,
        accounts.Place(project_id=project_id),
        user_id=creator.id,
        access_level=AccessLevel.OWNER if creator.admin else AccessLevel.MAINTAINER,
        expires_at=None,
        created_by_id=creator.id,
    )


async def _clear_project(tx: Any, author: Author, project: Project) -> list[Change]:
    """Delete a project; answers what moved with it."""
    # Waits for publishes under way: the names that they bring are retired, too.
    await namespaces.lock_project(tx, project.id)
    names = await namespaces.list_project_names(tx, project.id)
    await audit(tx, author, "project_deleted", project)
    bots = await tokens.delete_bots(tx, projects=[project.id])
    await namespaces.delete_project(tx, project.id)
    moved = [Change("name", f"{package_type}:{name}") for package_type, name in names]
    return [*moved, *(Change("user", str(bot)) for bot in bots)]


def _renamed(new: Any, old: Any) -> Any:
    _check_texts(new.name, new.description)
    if new.path == old.path:
        return new
    check_path(new.path)
    above, slash, _ = old.full_path.rpartition("/")
    return replace(new, full_path=f"{above}{slash}{new.path}")


def _check_texts(name: str, description: str) -> None:
    check_text(name, "name")
    if len(description) > MAX_DESCRIPTION:
        raise InvalidField("description", f"is too long (maximum is {MAX_DESCRIPTION} characters)")


def _layer(own: Mapping[str, Any], changed: Mapping[str, Any], above: Mapping[str, object]) -> dict[str, Any]:
    """A layer of settings with some changed; None takes one out, so that what is above decides again."""
    for name in changed:
        if above.get(f"lock_{name.removeprefix('lock_')}"):
            raise InvalidField(name, "cannot be changed because it is locked by an ancestor")
    return {name: value for name, value in {**own, **changed}.items() if value is not None}


def _check_visibility(visibility: Visibility, above: Group) -> None:
    if _OPENNESS[visibility] > _OPENNESS[above.visibility]:
        raise InvalidField("visibility_level", f"{visibility} is not allowed in a group that is {above.visibility}")


async def _check_below(tx: Any, group: Group) -> None:
    for visibility in await namespaces.list_visibilities_below(tx, group.id):
        if _OPENNESS[visibility] > _OPENNESS[group.visibility]:
            raise InvalidField(
                "visibility_level",
                f"{group.visibility} is not allowed since there are {visibility} projects or groups below",
            )


def _membership(author: Author) -> list[Change]:
    return [Change("user", str(author.actor.id))] if author.actor.is_user else []


def _taken(error: asyncpg.IntegrityConstraintViolationError) -> Taken | NotFound:
    if isinstance(error, asyncpg.ForeignKeyViolationError):
        return NotFound("404 Namespace Not Found")
    return Taken("path")
