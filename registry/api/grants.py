"""Grants: prefixes of package names that are reserved for a group (PEP 752). They bind all groups of the instance."""

from __future__ import annotations

from aiohttp import web

from registry import grants
from registry.access import Ability
from registry.api import schemas
from registry.api.entities import Entity, timestamp
from registry.db.grants import Grant
from registry.errors import NotFound
from registry.server import responses
from registry.server.context import Context
from registry.server.parameters import Parameter, given, number
from registry.server.routes import Route

# The only type whose names have a specification for this.
TYPE = "pypi"
_CREATE = (
    Parameter("prefix", description="covers this name, and those that go on with a hyphen", required=True),
    Parameter("group_id", description="id or full path of the group that may use them", required=True),
)


async def index(context: Context) -> web.Response:
    """List the reserved prefixes, all of them."""
    return responses.json([_entity(grant) for grant in await context.services.lookups.grants(TYPE)])


async def create(context: Context) -> web.Response:
    """Reserve a prefix for a group."""
    values, services = await given(context), context.services
    group = await services.lookups.group(values["group_id"])
    if group is None:
        raise NotFound("404 Group Not Found")
    prefix = services.normalize(TYPE, values["prefix"])
    grant = await grants.create(services.db, context.author, group, TYPE, prefix)
    return responses.json(_entity(grant), status=201)


async def delete(context: Context) -> web.Response:
    """Give a prefix back."""
    grant_id = number(context.params["grant_id"], "grant_id")
    await grants.delete(context.services.db, context.author, grant_id)
    return web.Response(status=204)


def _entity(grant: Grant) -> Entity:
    return {
        "id": grant.id,
        "package_type": grant.package_type,
        "prefix": grant.prefix,
        "group_id": grant.namespace_id,
        "group_path": grant.full_path,
        "created_at": timestamp(grant.created_at),
    }


_BASE = "/api/v4/package_grants"

ROUTES = (
    Route("GET", _BASE, index, Ability.INSPECT_INSTANCE, answers={200: schemas.GRANTS}),
    Route("POST", _BASE, create, Ability.ADMIN_INSTANCE, parameters=_CREATE,
          answers={201: schemas.GRANT, 404: None}),
    Route("DELETE", f"{_BASE}/{{grant_id}}", delete, Ability.ADMIN_INSTANCE, answers={404: None}),
)  # fmt: skip
