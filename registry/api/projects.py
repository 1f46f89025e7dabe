"""Projects: where packages live."""

from __future__ import annotations

import re
from typing import Any

from aiohttp import web

from registry import tree
from registry.access import Ability
from registry.api import entities, schemas
from registry.api.entities import Entity
from registry.api.face import MEMBERS_FACE
from registry.api.groups import VISIBILITIES, fields, minimum_level
from registry.api.pagination import KEYSET, pages, respond
from registry.api.settings import PROJECT_SETTINGS, chosen, in_force
from registry.db import listings
from registry.db.listings import ProjectDetails, ProjectFilter
from registry.errors import InvalidField, NotFound
from registry.memberships import LEVELS
from registry.model import Group, PackageRegistryAccess
from registry.server import responses
from registry.server.auth import authenticate
from registry.server.context import Context
from registry.server.parameters import BadParameters, Parameter, given
from registry.server.routes import Route

_ORDERS = ("id", "name", "path", "created_at", "updated_at", "star_count", "last_activity_at", "similarity")
_LIST = (
    Parameter("search", description="part of the name, path or description"),
    Parameter("search_namespaces", "boolean", "search the full path, too", default=False),
    Parameter("visibility", description="only of this visibility", values=VISIBILITIES),
    Parameter("archived", "boolean", "only archived ones, or only the others"),
    Parameter("membership", "boolean", "only those the caller is a member of", default=False),
    Parameter("owned", "boolean", "only those the caller owns", default=False),
    Parameter("min_access_level", "integer", "only where the caller has this level", values=LEVELS),
    Parameter("simple", "boolean", "fewer fields", default=False),
    Parameter("order_by", description="by what to order", values=_ORDERS),
    Parameter("sort", description="direction", values=("asc", "desc")),
    *KEYSET,
)
_GROUP_LIST = (*_LIST, Parameter("include_subgroups", "boolean", "those of subgroups, too", default=False))
_FIELDS = (
    Parameter("name", description="display name"),
    Parameter("path", description="last part of its full path"),
    Parameter("description", description="what it is for"),
    Parameter("visibility", description="who may see it", values=VISIBILITIES),
    Parameter("package_registry_access_level", description="who may pull packages; public: anyone",
              values=("disabled", "private", "enabled", "public")),
    Parameter("packages_enabled", "boolean", "older form of package_registry_access_level"),
    *PROJECT_SETTINGS,
)  # fmt: skip
_CREATE = (
    *_FIELDS,
    Parameter("namespace_id", "integer", "the group it goes to; the caller's own namespace without", nullable=True),
)


async def index(context: Context) -> web.Response:
    """List the projects the caller may see."""
    return await _list(context, await given(context))


async def of_group(context: Context) -> web.Response:
    """List the projects of a group that the caller may see."""
    values, group = await given(context), context.group.id
    if values["include_subgroups"]:
        return await _list(context, values, below=group)
    return await _list(context, values, parent=group)


async def show(context: Context) -> web.Response:
    """Retrieve a project."""
    return responses.json(await _shown(context, context.project.id))


async def create(context: Context) -> web.Response:
    """Make a project. In a group this needs Developer, GitLab's default."""
    values = await given(context)
    name, path = _names(values)
    project = await tree.create_project(
        context.services.db,
        context.author,
        namespace=await _namespace(context, values.get("namespace_id")),
        name=name,
        path=path,
        visibility=values.get("visibility", "private"),
        package_registry_access_level=_access_level(values).get("package_registry_access_level", "enabled"),
        description=values.get("description", ""),
        settings=chosen(values, PROJECT_SETTINGS),
    )
    # The creator is a member now, which the answer shows.
    await context.services.changes.barrier()
    context.actor = await authenticate(context.request, context.services.lookups, context.address)
    return responses.json(await _shown(context, project.id), status=201)


async def update(context: Context) -> web.Response:
    """Change a project. Its visibility is for Owners."""
    values, project = await given(context), context.project
    settings = chosen(values, PROJECT_SETTINGS)
    changed = {**fields(values, "name", "path", "description", "visibility"), **_access_level(values)}
    if changed.get("visibility", project.visibility) != project.visibility:
        context.require(Ability.ADMIN_PROJECT, project)
    if changed or settings:
        await tree.update_project(context.services.db, context.author, project, changed, settings)
    return responses.json(await _shown(context, project.id))


async def archive(context: Context) -> web.Response:
    """Archive a project: nothing can be published there until it is unarchived."""
    return await _archive(context, archived=True)


async def unarchive(context: Context) -> web.Response:
    """Unarchive a project."""
    return await _archive(context, archived=False)


async def delete(context: Context) -> web.Response:
    """Delete a project with its packages."""
    await tree.delete_project(context.services.db, context.author, context.project)
    return responses.json({"message": "202 Accepted"}, status=202)


def entity(one: ProjectDetails, context: Context) -> Entity:
    """A project with the settings in force in it; outsiders see the simple form."""
    base_url = context.services.settings.base_url
    if context.actor.is_anonymous:
        return entities.project_simple(one, base_url)
    return {**entities.project(one, context.actor, base_url), **in_force(one.settings, PROJECT_SETTINGS)}


async def _shown(context: Context, project_id: int) -> Entity:
    found = await listings.list_projects(context.services.db, [project_id])
    if not found:
        raise NotFound("404 Project Not Found")
    return entity(found[0], context)


async def _archive(context: Context, *, archived: bool) -> web.Response:
    project = context.project
    if project.archived != archived:
        await tree.update_project(context.services.db, context.author, project, {"archived": archived}, {})
    return responses.json(await _shown(context, project.id), status=201)


def _names(values: dict[str, Any]) -> tuple[str, str]:
    """Name and path, each made from the other where it is missing (GitLab: create a project)."""
    name, path = values.get("name") or "", values.get("path") or ""
    if not name and not path:
        raise BadParameters("name, path are missing, at least one parameter must be provided")
    return name or path, path or re.sub(r"[^a-z0-9_.-]+", "-", name.lower(), flags=re.ASCII).strip("-.")


def _access_level(values: dict[str, Any]) -> dict[str, PackageRegistryAccess]:
    if "package_registry_access_level" in values:
        return {"package_registry_access_level": values["package_registry_access_level"]}
    if "packages_enabled" in values:
        return {"package_registry_access_level": "enabled" if values["packages_enabled"] else "disabled"}
    return {}


async def _namespace(context: Context, namespace_id: int | None) -> Group:
    """Where a project goes. Unknown, hidden and forbidden namespaces are told alike, as on GitLab."""
    lookups, actor = context.services.lookups, context.actor
    found = await lookups.namespace(actor.username if namespace_id is None else str(namespace_id))
    if found is None or context.refusal(Ability.CREATE_IN_GROUP, found) is not None:
        raise InvalidField("namespace", "is not valid")
    return found


async def _list(
    context: Context, values: dict[str, Any], *, parent: int | None = None, below: int | None = None
) -> web.Response:
    sight = listings.sight_of(context.actor, minimum=minimum_level(values, members_only=values["membership"]))
    wanted = ProjectFilter(
        parent=parent,
        below=below,
        search=values.get("search") or None,
        search_namespaces=values["search_namespaces"],
        visibility=values.get("visibility"),
        archived=values.get("archived"),
    )
    asked = pages(values, order_by="created_at", descending=True, rows="Project")
    db, base_url = context.services.db, context.services.settings.base_url
    found = await listings.page_projects(db, sight, wanted, asked.window)
    projects = await listings.list_projects(db, found.ids[: asked.per_page])
    if values["simple"]:
        return respond(context, asked, found, [entities.project_simple(one, base_url) for one in projects])
    return respond(context, asked, found, [entity(one, context) for one in projects])


ROUTES = (
    Route("GET", "/api/v4/projects", index, Ability.ANYONE, parameters=_LIST, answers={200: schemas.PROJECTS}),
    Route("POST", "/api/v4/projects", create, Ability.USE_API, parameters=_CREATE,
          answers={201: schemas.PROJECT, 404: None}),
    Route("GET", "/api/v4/projects/{id}", show, Ability.READ_PROJECT, answers={200: schemas.PROJECT}),
    Route("PUT", "/api/v4/projects/{id}", update, Ability.MAINTAIN_PROJECT, face=MEMBERS_FACE, parameters=_FIELDS,
          answers={200: schemas.PROJECT}),
    Route("DELETE", "/api/v4/projects/{id}", delete, Ability.ADMIN_PROJECT, face=MEMBERS_FACE,
          answers={202: schemas.MESSAGE}),
    Route("POST", "/api/v4/projects/{id}/archive", archive, Ability.ADMIN_PROJECT, face=MEMBERS_FACE,
          answers={201: schemas.PROJECT}),
    Route("POST", "/api/v4/projects/{id}/unarchive", unarchive, Ability.ADMIN_PROJECT, face=MEMBERS_FACE,
          answers={201: schemas.PROJECT}),
    Route("GET", "/api/v4/groups/{id}/projects", of_group, Ability.READ_GROUP, parameters=_GROUP_LIST,
          answers={200: schemas.PROJECTS}),
)  # fmt: skip
