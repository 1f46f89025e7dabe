"""Deploy tokens of projects and groups, and all of them for administrators."""

from __future__ import annotations

from aiohttp import web

from registry import accounts
from registry.access import DEPLOY_TOKEN_SCOPES, Ability
from registry.accounts import place_of
from registry.api import entities, schemas
from registry.api.face import MEMBERS_FACE
from registry.api.groups import fields
from registry.api.pagination import PAGE, pages, respond
from registry.api.users import require_person
from registry.db import tokens
from registry.db.accounts import Place
from registry.errors import NotFound
from registry.model import Group, Project
from registry.server import responses
from registry.server.context import Context
from registry.server.parameters import Parameter, given, number
from registry.server.routes import Route

_LIST = (Parameter("active", "boolean", "only usable ones", default=False), *PAGE)
_CREATE = (
    Parameter("name", description="what it is for", required=True),
    Parameter("scopes", "strings", "what it opens", required=True, values=DEPLOY_TOKEN_SCOPES),
    Parameter("expires_at", "datetime", "when it ends; never, without", nullable=True),
    Parameter("username", description="user name; `gitlab+deploy-token-{n}` without"),
)


async def index_all(context: Context) -> web.Response:
    """List every deploy token of the instance."""
    return await _list(context, tokens.EVERYWHERE)


async def index(context: Context) -> web.Response:
    """List deploy tokens of a project or group."""
    return await _list(context, place_of(_home(context)))


async def show(context: Context) -> web.Response:
    """Retrieve a deploy token of a project or group."""
    token_id = number(context.params["token_id"], "token_id")
    found = await tokens.list_deploy_tokens(context.services.db, [token_id], place_of(_home(context)))
    if not found:
        raise NotFound("404 Deploy Token Not Found")
    return responses.json(entities.deploy_token(found[0]))


async def create(context: Context) -> web.Response:
    """Make a deploy token. Its text is in this answer and nowhere else."""
    values = await given(context)
    await require_person(context)
    row, token = await accounts.create_deploy_token(
        context.services.db,
        context.author,
        _home(context),
        **fields(values, "name", "scopes", "expires_at", "username"),
    )
    (shown,) = await tokens.list_deploy_tokens(context.services.db, [row.id])
    return responses.json({**entities.deploy_token(shown), "token": token}, status=201)


async def revoke(context: Context) -> web.Response:
    """Revoke a deploy token, at once."""
    token_id = number(context.params["token_id"], "token_id")
    await accounts.revoke_deploy_token(context.services.db, context.author, _home(context), token_id)
    return web.Response(status=204)


def _home(context: Context) -> Project | Group:
    return context.target.project or context.group


async def _list(context: Context, place: Place) -> web.Response:
    values, db = await given(context), context.services.db
    asked = pages(values)
    found = await tokens.page_deploy_tokens(db, place, active=values["active"], window=asked.window)
    shown = await tokens.list_deploy_tokens(db, found.ids[: asked.per_page], place)
    return respond(context, asked, found, [entities.deploy_token(one) for one in shown])


def _routes(noun: str, inspect: Ability, change: Ability) -> tuple[Route, ...]:
    base, face = f"/api/v4/{noun}/{{id}}/deploy_tokens", MEMBERS_FACE
    return (
        Route("GET", base, index, inspect, face=face, parameters=_LIST, answers={200: schemas.DEPLOY_TOKENS}),
        Route("POST", base, create, change, face=face, parameters=_CREATE, answers={201: schemas.NEW_DEPLOY_TOKEN}),
        Route("GET", f"{base}/{{token_id}}", show, inspect, face=face, answers={200: schemas.DEPLOY_TOKEN}),
        Route("DELETE", f"{base}/{{token_id}}", revoke, change, face=face),
    )  # fmt: skip


ROUTES = (
    Route("GET", "/api/v4/deploy_tokens", index_all, Ability.INSPECT_INSTANCE, parameters=_LIST,
          answers={200: schemas.DEPLOY_TOKENS}),
    *_routes("projects", Ability.INSPECT_PROJECT, Ability.MAINTAIN_PROJECT),
    *_routes("groups", Ability.INSPECT_GROUP, Ability.ADMIN_GROUP),
)  # fmt: skip
