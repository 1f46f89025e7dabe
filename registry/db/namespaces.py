"""Groups, projects and the paths they hold, in Postgres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from registry.db.connection import Db
from registry.db.queries import Queries
from registry.model import Group, PackageRegistryAccess, Project, Visibility

SQL = Queries("namespaces")


@dataclass(frozen=True, slots=True)
class RouteRow:
    """What holds a path: one of the two."""

    namespace_id: int | None
    project_id: int | None


# Rows fill the nouns themselves; `settings` arrives in layers and is merged by `effective`.
ProjectRow = Project
GroupRow = Group


# What is true above stays true below: a place asks for more, never for less.
_KEPT = ("package_stages_required", "package_stages_four_eyes")


def effective(layers: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in force: the instance's, then each namespace's from the top, then its own.

    `lock_<name>` of the instance or of a group keeps everything below from changing `<name>`, the lock included
    (GitLab: cascading settings). So does a release gate that is on, without a lock.
    """
    instance = dict(layers)
    above = instance.pop("above", [])
    own = instance.pop("own", {})
    settings: dict[str, Any] = {}
    locked: set[str] = set()
    for layer in [instance, *above, own]:
        settings.update({name: value for name, value in layer.items() if name.removeprefix("lock_") not in locked})
        locked |= {name.removeprefix("lock_") for name, value in layer.items() if name.startswith("lock_") and value}
        locked |= {name for name in _KEPT if layer.get(name)}
    return settings


def _project(row: Mapping[str, Any]) -> Project:
    return Project(**{**row, "ancestry": tuple(row["ancestry"]), "settings": effective(row["settings"])})


def _group(row: Mapping[str, Any]) -> Group:
    return Group(**{**row, "ancestry": tuple(row["ancestry"]), "settings": effective(row["settings"])})


async def find_project(db: Db, project_id: int) -> Project | None:
    """A project with the settings in force in it."""
    row = await db.fetchrow(SQL.find_project, project_id)
    return _project(dict(row)) if row else None


async def find_group(db: Db, group_id: int) -> Group | None:
    """A group or personal namespace with the settings in force in it."""
    row = await db.fetchrow(SQL.find_group, group_id)
    return _group(dict(row)) if row else None


async def find_route(db: Db, full_path: str) -> RouteRow | None:
    """What holds a full path. Paths are compared without regard to case, as on GitLab."""
    row = await db.fetchrow(SQL.find_route, full_path.lower())
    return RouteRow(**row) if row else None


async def list_group_projects(db: Db, group_id: int | None) -> list[Project]:
    """All projects below a namespace (None: of the instance), without their settings."""
    return [_project(dict(row)) for row in await db.fetch(SQL.list_group_projects, group_id)]


async def insert_group(
    tx: Db, *, parent: Group | None, name: str, path: str, description: str, visibility: Visibility
) -> int:
    """Make a group and claim its path; answers its id."""
    full_path = f"{parent.full_path}/{path}" if parent else path
    return await _insert(
        tx, "group", parent.id if parent else None, None, name, path, full_path, description, visibility
    )


async def insert_personal_namespace(tx: Db, *, owner_id: int, name: str, path: str) -> int:
    """Make the personal namespace of a user; answers its id."""
    return await _insert(tx, "user", None, owner_id, name, path, path, "", "private")


async def _insert(
    tx: Db,
    kind: str,
    parent_id: int | None,
    owner_id: int | None,
    name: str,
    path: str,
    full_path: str,
    description: str,
    visibility: Visibility,
) -> int:
    namespace_id = int(
        await tx.fetchval(
            SQL.insert_namespace, kind, parent_id, owner_id, name, path, full_path, description, visibility
        )
    )
    await tx.execute(SQL.set_ancestry, namespace_id, parent_id)
    await tx.execute(SQL.insert_route, full_path, namespace_id, None)
    return namespace_id


async def insert_project(
    tx: Db,
    *,
    namespace: Group,
    name: str,
    path: str,
    description: str,
    visibility: Visibility,
    package_registry_access_level: PackageRegistryAccess,
    creator_id: int | None,
) -> int:
    """Make a project and claim its path; answers its id."""
    full_path = f"{namespace.full_path}/{path}"
    project_id = int(
        await tx.fetchval(
            SQL.insert_project,
            namespace.id,
            name,
            path,
            full_path,
            description,
            visibility,
            package_registry_access_level,
            creator_id,
        )
    )
    await tx.execute(SQL.insert_route, full_path, None, project_id)
    return project_id


async def update_group(tx: Db, old: Group, new: Group, own_settings: Mapping[str, Any]) -> None:
    """Write a changed group; a new path renames everything below it. `own_settings` are its own layer."""
    await tx.execute(
        SQL.update_namespace,
        new.id,
        new.name,
        new.description,
        new.visibility,
        own_settings,
        new.path,
        new.full_path,
    )
    if new.full_path != old.full_path:
        await tx.execute(SQL.rename_routes, old.full_path, new.full_path)
        await tx.execute(SQL.rename_namespaces, new.id, old.full_path, new.full_path)
        await tx.execute(SQL.rename_projects, new.id, old.full_path, new.full_path)
        await tx.execute(SQL.copy_retired_names, old.full_path, new.full_path)


async def update_project(tx: Db, old: Project, new: Project, own_settings: Mapping[str, Any]) -> None:
    """Write a changed project. `own_settings` are its own layer."""
    await tx.execute(
        SQL.update_project,
        new.id,
        new.name,
        new.description,
        new.visibility,
        new.package_registry_access_level,
        new.archived,
        own_settings,
        new.path,
        new.full_path,
    )
    if new.full_path != old.full_path:
        await tx.execute(SQL.rename_routes, old.full_path, new.full_path)


async def list_subtree(tx: Db, group_id: int) -> list[int]:
    """Ids of a namespace and all below it, deepest first, locked until the end of the transaction."""
    return [row["id"] for row in await tx.fetch(SQL.list_subtree, group_id)]


async def delete_project(tx: Db, project_id: int) -> None:
    """Delete a locked project with everything in it; its blobs are doomed, its names remembered as retired."""
    await tx.execute(SQL.retire_project_names, project_id)
    await tx.execute(SQL.doom_project_blobs, project_id)
    await tx.execute(SQL.delete_project_files, project_id)
    await tx.execute(SQL.delete_project, project_id)


async def delete_groups(tx: Db, group_ids: Sequence[int]) -> None:
    """Delete namespaces whose projects are gone."""
    await tx.execute(SQL.delete_namespaces, group_ids)


async def own_settings(db: Db, *, group_id: int | None = None, project_id: int | None = None) -> dict[str, Any]:
    """The layer of settings that a group or project has of its own."""
    if group_id is not None:
        return dict(await db.fetchval(SQL.group_settings, group_id) or {})
    return dict(await db.fetchval(SQL.project_settings, project_id) or {})


async def list_visibilities_below(db: Db, group_id: int) -> list[Visibility]:
    """The visibilities of all groups and projects below a group."""
    return [row["visibility"] for row in await db.fetch(SQL.list_visibilities_below, group_id)]


async def list_project_names(db: Db, project_id: int) -> list[tuple[str, str]]:
    """(package type, normalised name) of everything that has a serial in a project."""
    return [(row["package_type"], row["normalized_name"]) for row in await db.fetch(SQL.list_project_names, project_id)]


async def lock_group(tx: Db, group_id: int) -> Group | None:
    """A group or personal namespace as it is now, locked until the end of the transaction."""
    await tx.fetchval(SQL.lock_namespace, group_id)
    return await find_group(tx, group_id)


async def lock_project(tx: Db, project_id: int) -> Project | None:
    """A project as it is now, locked until the end of the transaction."""
    await tx.fetchval(SQL.lock_project, project_id)
    return await find_project(tx, project_id)
