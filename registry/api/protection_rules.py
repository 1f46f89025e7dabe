"""Package protection rules of projects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from registry import protection
from registry.access import Ability, AccessLevel
from registry.api import package_entities as entities
from registry.api import schemas
from registry.api.face import ERRORS, render
from registry.api.schemas import IF_UNMODIFIED_SINCE
from registry.conditions import unmodified_since
from registry.db.protection import list_rules
from registry.errors import NotFound, Unauthenticated
from registry.server import responses
from registry.server.context import Context
from registry.server.parameters import BadParameters, Parameter, given, number
from registry.server.routes import Face, Route

_PUSH = "minimum_access_level_for_push"
_DELETE = "minimum_access_level_for_delete"
_LEVELS: Mapping[str, tuple[str, ...]] = {_PUSH: ("maintainer", "owner", "admin"), _DELETE: ("owner", "admin")}
_TYPES = ("npm", "pypi")
_MINIMA = (
    Parameter(_PUSH, description="least level that publishes; null: Developer", values=_LEVELS[_PUSH], nullable=True,
              empty_is_null=False),
    Parameter(_DELETE, description="least level that deletes; null: Maintainer", values=_LEVELS[_DELETE],
              nullable=True, empty_is_null=False),
)  # fmt: skip
_CREATE = (
    Parameter("package_name_pattern", description="which names; `*` is any text", required=True),
    Parameter("package_type", description="which packages", required=True, values=_TYPES),
    *_MINIMA,
)
_UPDATE = (
    Parameter("package_name_pattern", description="which names; `*` is any text"),
    Parameter("package_type", description="which packages", values=_TYPES),
    *_MINIMA,
)

# GitLab looks for the project first, and then for who asks.
_FACE = Face(
    render=render, unknown=NotFound, hidden=NotFound, lacking=Unauthenticated, errors=ERRORS, deploy_tokens=False
)


async def index(context: Context) -> web.Response:
    """List the protection rules of a project, all of them."""
    rules = await list_rules(context.services.db, context.project.id)
    return responses.json([entities.protection_rule(rule) for rule in rules])


async def create(context: Context) -> web.Response:
    """Make a protection rule: at least one of the two levels."""
    values = await given(context)
    if _PUSH not in values and _DELETE not in values:
        raise BadParameters(f"{_PUSH}, {_DELETE} are missing, at least one parameter must be provided")
    services = context.services
    rule = await protection.create_rule(
        services.db, context.author, context.project, _levelled(values), services.normalize
    )
    return responses.json(entities.protection_rule(rule), status=201)


async def update(context: Context) -> web.Response:
    """Change a protection rule."""
    values, services = await given(context), context.services
    rule = await protection.update_rule(
        services.db, context.author, context.project, _asked(context), _levelled(values), services.normalize
    )
    return responses.json(entities.protection_rule(rule))


async def delete(context: Context) -> web.Response:
    """Delete a protection rule."""
    since = unmodified_since(context.request.headers.get("If-Unmodified-Since"))
    await protection.delete_rule(
        context.services.db, context.author, context.project, _asked(context), unmodified_since=since
    )
    return web.Response(status=204)


def _asked(context: Context) -> int:
    return number(context.params["package_protection_rule_id"], "package_protection_rule_id")


def _levelled(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with levels for their names."""
    levels = {name: AccessLevel[values[name].upper()] for name in (_PUSH, _DELETE) if values.get(name) is not None}
    return {**values, **levels}


_BASE = "/api/v4/projects/{id}/packages/protection/rules"
_ONE = f"{_BASE}/{{package_protection_rule_id}}"

ROUTES = (
    Route("GET", _BASE, index, Ability.INSPECT_PROJECT, face=_FACE, answers={200: schemas.PROTECTION_RULES}),
    Route("POST", _BASE, create, Ability.MAINTAIN_PROJECT, face=_FACE, parameters=_CREATE,
          answers={201: schemas.PROTECTION_RULE, 422: None}),
    Route("PATCH", _ONE, update, Ability.MAINTAIN_PROJECT, face=_FACE, parameters=_UPDATE,
          answers={200: schemas.PROTECTION_RULE, 422: None}),
    Route("DELETE", _ONE, delete, Ability.MAINTAIN_PROJECT, face=_FACE, headers=(IF_UNMODIFIED_SINCE,),
          answers={412: None}),
)  # fmt: skip
