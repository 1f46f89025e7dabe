"""Groups, and what is in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from registry import tree
from registry.access import Ability, AccessLevel
from registry.api import entities, schemas
from registry.api.entities import Entity
from registry.api.face import MEMBERS_FACE
from registry.api.pagination import KEYSET, pages, respond
from registry.api.settings import GROUP_SETTINGS, chosen, in_force
from registry.api.users import require_person
from registry.db import listings
from registry.db.listings import GroupDetails, GroupFilter
from registry.errors import NotFound
from registry.memberships import LEVELS
from registry.model import Group
from registry.server import responses
from registry.server.context import Context
from registry.server.parameters import Parameter, given
from registry.server.routes import Route

VISIBILITIES = ("private", "internal", "public")

_LIST = (
    Parameter("search", description="part of the name or path"),
    Parameter("visibility", description="only of this visibility", values=VISIBILITIES),
    Parameter("owned", "boolean", "only those the caller owns", default=False),
    Parameter("min_access_level", "integer", "only where the caller has this level", values=LEVELS),
    Parameter("all_available", "boolean", "those the caller may see; if not, those of which the caller is a member",
              default=True),
    Parameter("top_level_only", "boolean", "no subgroups", default=False),
    Parameter("skip_groups", "integers", "leave these out"),
    Parameter("order_by", description="by what to order", values=("name", "path", "id", "similarity")),
    Parameter("sort", description="direction", values=("asc", "desc")),
    *KEYSET,
)  # fmt: skip
_FIELDS = (
    Parameter("description", description="what it is for"),
    Parameter("visibility", description="who may see it", values=VISIBILITIES),
    *GROUP_SETTINGS,
)
_CREATE = (
    Parameter("name", description="display name", required=True),
    Parameter("path", description="last part of its full path", required=True),
    Parameter("parent_id", "integer", "the group above; top-level without", nullable=True),
    *_FIELDS,
)
_UPDATE = (
    Parameter("name", description="display name"),
    Parameter("path", description="last part of its full path; what is below moves along"),
    *_FIELDS,
)


async def index(context: Context) -> web.Response:
    """List the groups the caller may see."""
    return await _list(context)


async def subgroups(context: Context) -> web.Response:
    """List the groups directly in a group."""
    return await _list(context, parent=context.group.id)


async def descendants(context: Context) -> web.Response:
    """List the groups below a group, at any depth."""
    return await _list(context, below=context.group.id)


async def show(context: Context) -> web.Response:
    """Retrieve a group."""
    return responses.json(await _shown(context, context.group.id))


async def create(context: Context) -> web.Response:
    """Make a group, of which the caller becomes Owner. A subgroup needs Maintainer in the group above."""
    values = await given(context)
    await require_person(context)
    group = await tree.create_group(
        context.services.db,
        context.author,
        name=values["name"],
        path=values["path"],
        parent=await _parent(context, values.get("parent_id")),
        visibility=values.get("visibility", "private"),
        description=values.get("description", ""),
        settings=chosen(values, GROUP_SETTINGS),
    )
    return responses.json(await _shown(context, group.id), status=201)


async def update(context: Context) -> web.Response:
    """Change a group."""
    values = await given(context)
    settings = chosen(values, GROUP_SETTINGS)
    changed = fields(values, "name", "path", "description", "visibility")
    if changed or settings:
        await tree.update_group(context.services.db, context.author, context.group, changed, settings)
    return responses.json(await _shown(context, context.group.id))


async def delete(context: Context) -> web.Response:
    """Delete a group with everything below it."""
    await tree.delete_group(context.services.db, context.author, context.group)
    return responses.json({"message": "202 Accepted"}, status=202)


def fields(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Those of the named values that were given."""
    return {name: values[name] for name in names if name in values}


def entity(one: GroupDetails, base_url: str) -> Entity:
    """A group with the settings in force in it."""
    return {**entities.group(one, base_url), **in_force(one.settings, GROUP_SETTINGS)}


async def _shown(context: Context, group_id: int) -> Entity:
    found = await listings.list_groups(context.services.db, [group_id])
    if not found:
        raise NotFound("404 Group Not Found")
    return entity(found[0], context.services.settings.base_url)


async def _parent(context: Context, parent_id: int | None) -> Group | None:
    if parent_id is None:
        return None
    parent = await context.services.lookups.group(str(parent_id))
    if parent is None:
        raise NotFound("404 Group Not Found")
    refusal = context.refusal(Ability.MAINTAIN_GROUP, parent)
    if refusal is not None:
        raise NotFound("404 Group Not Found") if isinstance(refusal, NotFound) else refusal
    return parent


async def _list(context: Context, *, parent: int | None = None, below: int | None = None) -> web.Response:
    values = await given(context)
    sight = listings.sight_of(context.actor, minimum=minimum_level(values, members_only=not values["all_available"]))
    wanted = GroupFilter(
        parent=parent,
        below=below,
        search=values.get("search") or None,
        visibility=values.get("visibility"),
        top_level_only=values["top_level_only"],
        skip=tuple(values.get("skip_groups", ())),
    )
    asked = pages(values, order_by="name", rows="Group")
    db = context.services.db
    found = await listings.page_groups(db, sight, wanted, asked.window)
    groups = await listings.list_groups(db, found.ids[: asked.per_page])
    return respond(context, asked, found, [entity(one, context.services.settings.base_url) for one in groups])


def minimum_level(values: Mapping[str, Any], *, members_only: bool) -> int | None:
    """The least level the caller must have in what is listed; None when membership does not matter."""
    least: int | None = values.get("min_access_level")
    if values["owned"]:
        return int(AccessLevel.OWNER)
    return least if least is not None else (min(LEVELS) if members_only else None)


ROUTES = (
    Route("GET", "/api/v4/groups", index, Ability.ANYONE, parameters=_LIST, answers={200: schemas.GROUPS}),
    Route("POST", "/api/v4/groups", create, Ability.USE_API, parameters=_CREATE,
          answers={201: schemas.GROUP, 404: None}),
    Route("GET", "/api/v4/groups/{id}", show, Ability.READ_GROUP, answers={200: schemas.GROUP}),
    Route("PUT", "/api/v4/groups/{id}", update, Ability.ADMIN_GROUP, face=MEMBERS_FACE, parameters=_UPDATE,
          answers={200: schemas.GROUP}),
    Route("DELETE", "/api/v4/groups/{id}", delete, Ability.ADMIN_GROUP, face=MEMBERS_FACE,
          answers={202: schemas.MESSAGE}),
    Route("GET", "/api/v4/groups/{id}/subgroups", subgroups, Ability.READ_GROUP, parameters=_LIST,
          answers={200: schemas.GROUPS}),
    Route("GET", "/api/v4/groups/{id}/descendant_groups", descendants, Ability.READ_GROUP, parameters=_LIST,
          answers={200: schemas.GROUPS}),
)  # fmt: skip
