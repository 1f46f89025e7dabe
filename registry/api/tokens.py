"""Personal access tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from registry import access_tokens, accounts
from registry.access import TOKEN_SCOPES, Ability
from registry.api import entities, schemas
from registry.api.entities import Entity
from registry.api.groups import fields
from registry.api.pagination import PAGE, Pages, pages, respond
from registry.api.projects import entity as project_entity
from registry.api.users import find as find_user
from registry.db import accounts as account_rows
from registry.db import listings, tokens
from registry.db.accounts import Place
from registry.db.listings import GroupFilter, ProjectFilter
from registry.db.tokens import AccessToken, TokenFilter
from registry.errors import Forbidden, MethodNotAllowed, NotFound, Unauthenticated
from registry.memberships import LEVELS
from registry.server import responses
from registry.server.context import Context
from registry.server.parameters import Parameter, given, number
from registry.server.routes import Route

# GitLab's words for the order of tokens, as (column, descending).
_SORTS: Mapping[str, tuple[str, bool]] = {
    "created_asc": ("created", False),
    "created_desc": ("created", True),
    "created_at_asc": ("created", False),
    "created_at_desc": ("created", True),
    "expires_asc": ("expires", False),
    "expires_desc": ("expires", True),
    "expires_at_asc_id_desc": ("expires", False),
    "last_used_asc": ("last_used", False),
    "last_used_desc": ("last_used", True),
    "name_asc": ("name", False),
    "name_desc": ("name", True),
}
FILTERS = (
    Parameter("state", description="only usable ones, or only the others", values=("active", "inactive")),
    Parameter("revoked", "boolean", "only revoked ones, or only the others"),
    Parameter("search", description="part of the name"),
    Parameter("created_after", "datetime", "made after this time"),
    Parameter("created_before", "datetime", "made before this time"),
    Parameter("last_used_after", "datetime", "used after this time"),
    Parameter("last_used_before", "datetime", "last used before this time"),
    Parameter("expires_after", "date", "ending after this day"),
    Parameter("expires_before", "date", "ending before this day"),
    Parameter("sort", description="by what to order", values=tuple(_SORTS)),
    *PAGE,
)
CREATE = (
    Parameter("name", description="what it is for", required=True),
    Parameter("description", description="more of that"),
    Parameter("expires_at", "date", "first day on which it is no longer good; never, without", nullable=True),
)
ROTATE = (
    Parameter("expires_at", "date", "when the new one ends; a week from today without", nullable=True),
    Parameter("keep_token_lifetime", "boolean", "let the new one live as long as the old was meant to", default=False),
)
_LIST = (Parameter("user_id", "integer", "whose; another user's for administrators"), *FILTERS)
_CREATE = (*CREATE, Parameter("scopes", "strings", "what it opens", required=True, values=TOKEN_SCOPES))
_ASSOCIATIONS = (
    Parameter("min_access_level", "integer", "only where the user has this level", values=LEVELS),
    *PAGE,
)


async def create(context: Context) -> web.Response:
    """Make a personal access token of a user. Its text is in this answer and nowhere else."""
    values = await given(context)
    db = context.services.db
    user = await account_rows.find_user(db, number(context.params["user_id"], "user_id"))
    if user is None or user.kind != "human":
        raise NotFound("404 User Not Found")
    row, token = await accounts.create_personal_access_token(
        db, context.author, user, scopes=values["scopes"], **fields(values, "name", "description", "expires_at")
    )
    return responses.json({**entities.access_token(await _find(context, row.id)), "token": token}, status=201)


async def index(context: Context) -> web.Response:
    """List personal access tokens: the caller's own; for administrators everybody's."""
    values, actor = await given(context), context.actor
    user_id = values.get("user_id")
    if not actor.admin:
        if user_id not in {None, actor.id}:
            raise Unauthenticated
        user_id = actor.id
    elif user_id is not None:
        await find_user(context, user_id)
    asked, db = in_order(values), context.services.db
    found = await tokens.page_tokens(db, filters(values, user_id=user_id), asked.window)
    shown = await tokens.list_tokens(db, found.ids[: asked.per_page])
    return respond(context, asked, found, [entities.access_token(one) for one in shown])


async def show(context: Context) -> web.Response:
    """Retrieve a personal access token."""
    return responses.json(entities.access_token(await _own(context)))


async def show_itself(context: Context) -> web.Response:
    """Retrieve the token that was used for this request."""
    return responses.json(entities.access_token(await _itself(context)))


async def associations(context: Context) -> web.Response:
    """List the groups and projects that the token of this request reaches by membership.

    Not with a token that is limited to some packages: it reaches none of them as a whole.
    """
    if context.actor.packages:
        raise Forbidden("403 Forbidden - This token is for some packages only.")
    values, db = await given(context), context.services.db
    sight = listings.sight_of(context.actor, minimum=values.get("min_access_level", min(LEVELS)))
    asked, base_url = pages(values), context.services.settings.base_url
    found = await listings.page_groups(db, sight, GroupFilter(), asked.window)
    groups = await listings.list_groups(db, found.ids[: asked.per_page])
    found = await listings.page_projects(db, sight, ProjectFilter(), asked.window)
    projects = await listings.list_projects(db, found.ids[: asked.per_page])
    body = {
        "groups": [entities.group(one, base_url) for one in groups],
        "projects": [project_entity(one, context) for one in projects],
    }
    return responses.json(body)


async def revoke(context: Context) -> web.Response:
    """Revoke a personal access token, at once."""
    return await _revoke(context, await _own(context))


async def revoke_itself(context: Context) -> web.Response:
    """Revoke the token that was used for this request."""
    return await _revoke(context, await _itself(context))


async def rotate(context: Context) -> web.Response:
    """Replace a personal access token by a new one."""
    return responses.json(await rotated(context, await _own(context), entities.access_token))


async def rotate_itself(context: Context) -> web.Response:
    """Replace the token that was used for this request by a new one."""
    token = await _itself(context)
    if (await find_user(context, token.user_id)).kind != "human":
        # A bot's token is rotated below its group or project.
        raise MethodNotAllowed(frozenset())
    return responses.json(await rotated(context, token, entities.access_token))


async def rotated(
    context: Context, token: AccessToken, present: Callable[[AccessToken], Entity], place: Place = tokens.EVERYWHERE
) -> Entity:
    """Rotate a token; the new one as `present` shows it, with its text."""
    values, services = await given(context), context.services
    expiry = access_tokens.expiry(
        values.get("expires_at"), datetime.now(UTC).date(), keep_lifetime=values["keep_token_lifetime"]
    )
    token_id, text = await access_tokens.rotate(services.db, context.author, token.id, expiry)
    found = await tokens.list_tokens(services.db, [token_id], place)
    return {**present(found[0]), "token": text}


def filters(values: Mapping[str, Any], **whose: Any) -> TokenFilter:
    """The conditions of a list of tokens."""
    state = values.get("state")
    names = ("revoked", "search", "created_after", "created_before", "last_used_after", "last_used_before",
             "expires_after", "expires_before")  # fmt: skip
    return TokenFilter(**whose, active=None if state is None else state == "active", **fields(values, *names))


def in_order(values: Mapping[str, Any]) -> Pages:
    """Which page of a list of tokens, in which order."""
    order_by, descending = _SORTS[values["sort"]] if "sort" in values else ("id", False)
    return pages({**values, "order_by": order_by, "sort": "desc" if descending else "asc"})


async def _itself(context: Context) -> AccessToken:
    return await _find(context, context.actor.token_id or 0)


async def _own(context: Context) -> AccessToken:
    """The token of the path, for its owner or an administrator. Others are not told whether there is one."""
    actor = context.actor
    found = await tokens.list_tokens(context.services.db, [number(context.params["token_id"], "id")])
    if found and (actor.admin or found[0].user_id == actor.id):
        return found[0]
    raise NotFound("404 Personal Access Token Not Found") if actor.admin else Unauthenticated()


async def _find(context: Context, token_id: int) -> AccessToken:
    found = await tokens.list_tokens(context.services.db, [token_id])
    if not found:
        raise NotFound("404 Personal Access Token Not Found")
    return found[0]


async def _revoke(context: Context, token: AccessToken) -> web.Response:
    await access_tokens.revoke(context.services.db, context.author, token.id)
    return web.Response(status=204)


_BASE = "/api/v4/personal_access_tokens"

ROUTES = (
    Route("POST", "/api/v4/users/{user_id}/personal_access_tokens", create, Ability.ADMIN_INSTANCE, parameters=_CREATE,
          answers={201: schemas.NEW_PERSONAL_ACCESS_TOKEN}),
    Route("GET", _BASE, index, Ability.READ_API, parameters=_LIST,
          answers={200: schemas.PERSONAL_ACCESS_TOKENS, 404: None}),
    Route("GET", f"{_BASE}/self", show_itself, Ability.ITSELF, answers={200: schemas.PERSONAL_ACCESS_TOKEN}),
    Route("GET", f"{_BASE}/self/associations", associations, Ability.ITSELF, parameters=_ASSOCIATIONS,
          answers={200: schemas.ASSOCIATIONS}),
    Route("DELETE", f"{_BASE}/self", revoke_itself, Ability.ITSELF),
    Route("POST", f"{_BASE}/self/rotate", rotate_itself, Ability.USE_API, parameters=ROTATE,
          answers={200: schemas.NEW_PERSONAL_ACCESS_TOKEN, 405: None}),
    Route("GET", f"{_BASE}/{{token_id}}", show, Ability.READ_API, answers={200: schemas.PERSONAL_ACCESS_TOKEN}),
    Route("DELETE", f"{_BASE}/{{token_id}}", revoke, Ability.USE_API),
    Route("POST", f"{_BASE}/{{token_id}}/rotate", rotate, Ability.USE_API, parameters=ROTATE,
          answers={200: schemas.NEW_PERSONAL_ACCESS_TOKEN}),
)  # fmt: skip
