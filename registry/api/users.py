"""Users: people and bots. Only administrators make, see all of, and block them."""

from __future__ import annotations

from aiohttp import web

from registry import accounts
from registry.access import Ability
from registry.api import entities, schemas
from registry.api.entities import Entity
from registry.api.pagination import KEYSET, pages, respond
from registry.db import listings
from registry.db.listings import UserDetails, UserFilter
from registry.errors import Forbidden, NotFound
from registry.server import responses
from registry.server.context import Context
from registry.server.parameters import Parameter, given, number
from registry.server.routes import Route

_LIST = (
    Parameter("username", description="exactly this user name"),
    Parameter("search", description="part of the name or user name; for administrators also of the address"),
    Parameter("active", "boolean", "only active users", default=False),
    Parameter("blocked", "boolean", "only blocked users", default=False),
    Parameter("humans", "boolean", "no bots", default=False),
    Parameter("exclude_internal", "boolean", "no bots", default=False),
    Parameter("without_project_bots", "boolean", "no bots", default=False),
    Parameter("admins", "boolean", "only administrators; for administrators", default=False),
    Parameter("created_after", "datetime", "made after this time; for administrators"),
    Parameter("created_before", "datetime", "made before this time; for administrators"),
    Parameter("order_by", description="for administrators",
              values=("id", "name", "username", "created_at", "updated_at")),
    Parameter("sort", description="for administrators", values=("asc", "desc")),
    *KEYSET,
)  # fmt: skip
_CREATE = (
    Parameter("email", description="address, unique", required=True),
    Parameter("name", description="display name", required=True),
    Parameter("username", description="user name, unique", required=True),
    Parameter("admin", "boolean", "make an administrator", default=False),
)


async def current(context: Context) -> web.Response:
    """Retrieve the user who asks."""
    found = await find(context, context.actor.id or 0)
    return responses.json(_own(context, found))


async def index(context: Context) -> web.Response:
    """List users."""
    values = await given(context)
    admin = context.actor.admin
    if not admin:
        values = {k: v for k, v in values.items() if k not in {"order_by", "sort", "created_after", "created_before"}}
    chosen = UserFilter(
        username=values.get("username"),
        search=values.get("search") or None,
        by_email=admin,
        state="active" if values["active"] else "blocked" if values["blocked"] else None,
        admins=admin and values["admins"],
        humans=values["humans"] or values["exclude_internal"] or values["without_project_bots"],
        created_after=values.get("created_after"),
        created_before=values.get("created_before"),
    )
    asked = pages(values, descending=True, rows="User")
    db = context.services.db
    found = await listings.page_users(db, chosen, asked.window)
    users = await listings.list_users(db, found.ids[: asked.per_page])
    shown = entities.user_for_admin if admin else entities.user_basic
    return respond(context, asked, found, [shown(user, context.services.settings.base_url) for user in users])


async def show(context: Context) -> web.Response:
    """Retrieve a user."""
    found = await find(context, number(context.params["user_id"], "id"))
    base_url = context.services.settings.base_url
    admin = context.actor.admin
    return responses.json(entities.user_for_admin(found, base_url) if admin else entities.user(found, base_url))


async def create(context: Context) -> web.Response:
    """Make a user. There are no passwords here: who signs in shows a token."""
    values = await given(context)
    user = await accounts.create_user(
        context.services.db,
        context.author,
        username=values["username"],
        name=values["name"],
        email=values["email"],
        admin=values["admin"],
    )
    found = await find(context, user.id)
    return responses.json(entities.user_for_admin(found, context.services.settings.base_url), status=201)


async def block(context: Context) -> web.Response:
    """Block a user, at once, with every token."""
    return await _set_state(context, "blocked")


async def unblock(context: Context) -> web.Response:
    """Unblock a user."""
    return await _set_state(context, "active")


async def find(context: Context, user_id: int) -> UserDetails:
    """A user as the API shows it. Raises NotFound."""
    found = await listings.list_users(context.services.db, [user_id])
    if not found:
        raise NotFound("404 User Not Found")
    return found[0]


async def require_person(context: Context) -> None:
    """Raise Forbidden for bots: what they make would outlive the token they come from."""
    if context.actor.is_user and (await find(context, context.actor.id or 0)).kind != "human":
        raise Forbidden


def _own(context: Context, found: UserDetails) -> Entity:
    base_url = context.services.settings.base_url
    if context.actor.admin:
        return entities.user_for_admin(found, base_url)
    return entities.user_private(found, base_url)


async def _set_state(context: Context, state: str) -> web.Response:
    user_id = number(context.params["user_id"], "id")
    if user_id == context.actor.id:
        raise Forbidden("403 Forbidden - The API initiating user cannot be blocked by the API")
    await accounts.set_user_state(context.services.db, context.author, user_id, state)
    return responses.json(value=True, status=201)


ROUTES = (
    Route("GET", "/api/v4/user", current, Ability.READ_USER, answers={200: schemas.CURRENT_USER}),
    Route("GET", "/api/v4/users", index, Ability.READ_USER, parameters=_LIST, answers={200: schemas.USERS}),
    Route("POST", "/api/v4/users", create, Ability.ADMIN_INSTANCE, parameters=_CREATE,
          answers={201: schemas.USER_FOR_ADMINISTRATORS, 409: None}),
    Route("GET", "/api/v4/users/{user_id}", show, Ability.READ_USER, answers={200: schemas.USER}),
    Route("POST", "/api/v4/users/{user_id}/block", block, Ability.ADMIN_INSTANCE, answers={201: schemas.TRUE}),
    Route("POST", "/api/v4/users/{user_id}/unblock", unblock, Ability.ADMIN_INSTANCE, answers={201: schemas.TRUE}),
)  # fmt: skip
