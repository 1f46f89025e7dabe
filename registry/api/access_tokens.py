"""Access tokens of projects and groups. The same routes serve both; Maintainers rule projects, Owners groups."""

from __future__ import annotations

from functools import partial

from aiohttp import web

from registry import access_tokens
from registry.access import Ability, AccessLevel
from registry.access_tokens import BOT_SCOPES
from registry.accounts import place_of
from registry.api import entities, schemas
from registry.api.entities import Entity
from registry.api.face import MEMBERS_FACE
from registry.api.groups import fields
from registry.api.pagination import respond
from registry.api.tokens import CREATE, FILTERS, ROTATE, filters, in_order, rotated
from registry.api.users import require_person
from registry.db import tokens
from registry.db.tokens import AccessToken
from registry.errors import NotFound, Unauthenticated
from registry.memberships import LEVELS
from registry.model import Group, Project
from registry.server import responses
from registry.server.context import Context
from registry.server.parameters import Parameter, given, number
from registry.server.routes import Route

_CREATE = (
    *CREATE,
    Parameter("scopes", "strings", "what it opens", required=True, values=BOT_SCOPES),
    Parameter("access_level", "integer", "the bot's level, at most the caller's", values=LEVELS,
              default=int(AccessLevel.MAINTAINER)),
)  # fmt: skip


async def index(context: Context) -> web.Response:
    """List access tokens of a project or group."""
    values, place = await given(context), place_of(_home(context))
    asked, db = in_order(values), context.services.db
    found = await tokens.page_tokens(db, filters(values, place=place), asked.window)
    shown = await tokens.list_tokens(db, found.ids[: asked.per_page], place)
    return respond(context, asked, found, [_entity(context, one) for one in shown])


async def show(context: Context) -> web.Response:
    """Retrieve an access token of a project or group."""
    return responses.json(_entity(context, await _asked(context)))


async def create(context: Context) -> web.Response:
    """Make an access token with a bot of its own. Its text is in this answer and nowhere else."""
    values = await given(context)
    await require_person(context)
    token_id, text = await access_tokens.create_bot_token(
        context.services.db,
        context.author,
        _home(context),
        **fields(values, "name", "scopes", "access_level", "description", "expires_at"),
    )
    token = await _find(context, token_id)
    return responses.json({**_entity(context, token), "token": text}, status=201)


async def revoke(context: Context) -> web.Response:
    """Revoke an access token, at once."""
    token = await _asked(context)
    await access_tokens.revoke(context.services.db, context.author, token.id)
    return web.Response(status=204)


async def rotate(context: Context) -> web.Response:
    """Replace an access token by a new one of the same bot."""
    token = await _asked(context)
    if (token.access_level or 0) > AccessLevel.MAINTAINER:
        # Who holds the new text acts as the bot.
        context.require(_own(_home(context)), _home(context))
    return await _rotate(context, token)


async def rotate_itself(context: Context) -> web.Response:
    """Replace the token that was used for this request, which must be one of this project or group."""
    context.require(Ability.USE_API, None)
    token = await _find(context, context.actor.token_id or 0)
    if token.access_level is None:
        raise Unauthenticated
    return await _rotate(context, token)


async def _rotate(context: Context, token: AccessToken) -> web.Response:
    present = partial(_entity, context)
    return responses.json(await rotated(context, token, present, place_of(_home(context))))


def _home(context: Context) -> Project | Group:
    return context.target.project or context.group


def _own(home: Project | Group) -> Ability:
    return Ability.ADMIN_PROJECT if isinstance(home, Project) else Ability.ADMIN_GROUP


def _entity(context: Context, token: AccessToken) -> Entity:
    home = _home(context)
    return entities.bot_token(token, "project" if isinstance(home, Project) else "group", home.id)


async def _asked(context: Context) -> AccessToken:
    """The token of the path. Raises NotFound also for one that belongs elsewhere."""
    token = await _find(context, number(context.params["token_id"], "token_id"))
    if token.access_level is None:
        raise _absent(context)
    return token


async def _find(context: Context, token_id: int) -> AccessToken:
    found = await tokens.list_tokens(context.services.db, [token_id], place_of(_home(context)))
    if not found:
        raise _absent(context)
    return found[0]


def _absent(context: Context) -> NotFound:
    noun = "Project" if isinstance(_home(context), Project) else "Group"
    return NotFound(f"404 {noun} Access Token Not Found")


def _routes(noun: str, see: Ability, inspect: Ability, change: Ability) -> tuple[Route, ...]:
    base, face = f"/api/v4/{noun}/{{id}}/access_tokens", MEMBERS_FACE
    return (
        Route("GET", base, index, inspect, face=face, parameters=FILTERS, answers={200: schemas.ACCESS_TOKENS}),
        Route("POST", base, create, change, face=face, parameters=_CREATE, answers={201: schemas.NEW_ACCESS_TOKEN}),
        Route("POST", f"{base}/self/rotate", rotate_itself, see, also=Ability.USE_API, face=face, parameters=ROTATE,
              answers={200: schemas.NEW_ACCESS_TOKEN}),
        Route("GET", f"{base}/{{token_id}}", show, inspect, face=face, answers={200: schemas.ACCESS_TOKEN}),
        Route("DELETE", f"{base}/{{token_id}}", revoke, change, face=face),
        Route("POST", f"{base}/{{token_id}}/rotate", rotate, change, face=face, parameters=ROTATE,
              answers={200: schemas.NEW_ACCESS_TOKEN}),
    )  # fmt: skip


ROUTES = (
    *_routes("projects", Ability.READ_PROJECT, Ability.INSPECT_PROJECT, Ability.MAINTAIN_PROJECT),
    *_routes("groups", Ability.READ_GROUP, Ability.OVERSEE_GROUP, Ability.ADMIN_GROUP),
)
