"""Mounts: host names and paths of their own for projects and groups."""

from __future__ import annotations

from aiohttp import web

from registry import mounts
from registry.access import Ability
from registry.api import schemas
from registry.api.entities import Entity, timestamp
from registry.db.mounts import MountRow
from registry.errors import NotFound
from registry.model import Group, Project
from registry.server import responses
from registry.server.context import Context
from registry.server.parameters import BadParameters, Parameter, given, number
from registry.server.routes import Route

_CREATE = (
    Parameter("url", description="base URL of the mount, `https://host/path` or `/path` below every host",
              required=True),
    Parameter("project_id", description="number or full path of the project that is served there"),
    Parameter("group_id", description="number or full path of the group that is served there"),
    Parameter("package_type", description="only these packages; null: all", values=("npm", "pypi"), nullable=True),
)  # fmt: skip


async def index(context: Context) -> web.Response:
    """List the mounts, all of them."""
    return responses.json([_entity(one) for one in await context.services.lookups.mounts()])


async def create(context: Context) -> web.Response:
    """Mount a project or group, one of the two."""
    values, services = await given(context), context.services
    if ("project_id" in values) == ("group_id" in values):
        raise BadParameters("project_id, group_id are missing, exactly one parameter must be provided")
    place: Project | Group | None
    if "project_id" in values:
        place = await services.lookups.project(values["project_id"])
    else:
        place = await services.lookups.group(values["group_id"])
    if place is None:
        raise NotFound(f"404 {'Project' if 'project_id' in values else 'Group'} Not Found")
    made = await mounts.create_mount(
        services.db, context.author, place, url=values["url"], package_type=values.get("package_type") or ""
    )
    return responses.json(_entity(made), status=201)


async def delete(context: Context) -> web.Response:
    """End a mount, at once on every replica."""
    await mounts.delete_mount(context.services.db, context.author, number(context.params["mount_id"], "mount_id"))
    return web.Response(status=204)


def _entity(one: MountRow) -> Entity:
    return {
        "id": one.id,
        "url": one.url,
        "package_type": one.package_type or None,
        "project_id": one.project_id,
        "group_id": one.namespace_id,
        "full_path": one.full_path,
        "created_at": timestamp(one.created_at),
    }


ROUTES = (
    Route("GET", "/api/v4/mounts", index, Ability.INSPECT_INSTANCE, answers={200: schemas.MOUNTS}),
    Route("POST", "/api/v4/mounts", create, Ability.ADMIN_INSTANCE, parameters=_CREATE,
          answers={201: schemas.MOUNT, 404: None}),
    Route("DELETE", "/api/v4/mounts/{mount_id}", delete, Ability.ADMIN_INSTANCE),
)  # fmt: skip
