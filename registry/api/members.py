"""Members of groups and projects. The same routes serve both; Maintainers change projects, Owners groups."""

from __future__ import annotations

from aiohttp import web

from registry import tree
from registry.access import Ability
from registry.api import entities, schemas
from registry.api.face import MEMBERS_FACE
from registry.api.pagination import PAGE, pages, respond
from registry.db import accounts, listings
from registry.db.listings import Homes, Member
from registry.errors import NotFound
from registry.memberships import LEVELS
from registry.model import Group, Project
from registry.server import responses
from registry.server.context import Context
from registry.server.parameters import BadParameters, Parameter, given, number
from registry.server.routes import Route

_LEVEL = Parameter("access_level", "integer", "10 Guest, 15 Planner, 20 Reporter, 30 Developer, 40 Maintainer, "
                   "50 Owner", required=True, values=LEVELS)  # fmt: skip
_EXPIRES = Parameter("expires_at", "date", "last day before the membership ends", nullable=True)
_LIST = (
    Parameter("query", description="part of the name or user name"),
    Parameter("user_ids", "integers", "only these users"),
    *PAGE,
)
_ADD = (
    Parameter("user_id", "integer", "who becomes a member"),
    Parameter("username", description="who becomes a member, by user name"),
    _LEVEL,
    _EXPIRES,
)
_UPDATE = (_LEVEL, _EXPIRES)


async def index(context: Context) -> web.Response:
    """List direct members."""
    return await _list(context, _direct(context))


async def index_all(context: Context) -> web.Response:
    """List members, those of the groups above included; each once, with the highest level."""
    return await _list(context, _inherited(context))


async def show(context: Context) -> web.Response:
    """Retrieve a direct member."""
    return await _show(context, _direct(context))


async def show_all(context: Context) -> web.Response:
    """Retrieve a member, direct or of a group above."""
    return await _show(context, _inherited(context))


async def add(context: Context) -> web.Response:
    """Make a user a member, at most with the caller's own level."""
    values = await given(context)
    user_id = values.get("user_id")
    if user_id is None:
        user_id = await _user_id(context, values.get("username"))
    await tree.add_member(
        context.services.db,
        context.author,
        _home(context),
        user_id=user_id,
        access_level=values["access_level"],
        expires_at=values.get("expires_at"),
    )
    return responses.json(await _shown(context, _direct(context), user_id), status=201)


async def update(context: Context) -> web.Response:
    """Change the level of a direct member."""
    values = await given(context)
    user_id = number(context.params["user_id"], "user_id")
    member = await _find(context, _direct(context), user_id)
    await tree.update_member(
        context.services.db,
        context.author,
        _home(context),
        user_id=user_id,
        access_level=values["access_level"],
        expires_at=values.get("expires_at", member.expires_at),
    )
    return responses.json(await _shown(context, _direct(context), user_id))


async def remove(context: Context) -> web.Response:
    """End a direct membership. Everybody may end their own."""
    user_id, home = number(context.params["user_id"], "user_id"), _home(context)
    context.require(Ability.USE_API, None)
    if user_id != context.actor.id:
        context.require(_change(home), home)
    await tree.remove_member(context.services.db, context.author, home, user_id)
    return web.Response(status=204)


def _home(context: Context) -> Project | Group:
    return context.target.project or context.group


def _change(home: Project | Group) -> Ability:
    return Ability.MAINTAIN_PROJECT if isinstance(home, Project) else Ability.ADMIN_GROUP


def _direct(context: Context) -> Homes:
    home = _home(context)
    return Homes(project=home.id) if isinstance(home, Project) else Homes(groups=(home.id,))


def _inherited(context: Context) -> Homes:
    home = _home(context)
    return Homes(groups=home.ancestry, project=home.id if isinstance(home, Project) else None)


async def _user_id(context: Context, username: str | None) -> int:
    if not username:
        raise BadParameters("user_id, username are missing, exactly one parameter must be provided")
    user = await accounts.find_user_by_name(context.services.db, username)
    if user is None:
        raise NotFound("404 User Not Found")
    return user.id


async def _list(context: Context, homes: Homes) -> web.Response:
    # Deploy tokens and strangers to the instance see public projects, but not who works there.
    context.require(Ability.READ_USER, None)
    values = await given(context)
    asked, db = pages(values), context.services.db
    found = await listings.page_members(
        db, homes, query=values.get("query"), user_ids=values.get("user_ids", ()), window=asked.window
    )
    members = await listings.list_members(db, homes, found.ids[: asked.per_page])
    return respond(context, asked, found, [entities.member(m, context.services.settings.base_url) for m in members])


async def _show(context: Context, homes: Homes) -> web.Response:
    context.require(Ability.READ_USER, None)
    return responses.json(await _shown(context, homes, number(context.params["user_id"], "user_id")))


async def _shown(context: Context, homes: Homes, user_id: int) -> entities.Entity:
    return entities.member(await _find(context, homes, user_id), context.services.settings.base_url)


async def _find(context: Context, homes: Homes, user_id: int) -> Member:
    found = await listings.list_members(context.services.db, homes, [user_id])
    if not found:
        raise NotFound("404 Member Not Found")
    return found[0]


def _routes(noun: str, see: Ability, change: Ability) -> tuple[Route, ...]:
    base, face, user = f"/api/v4/{noun}/{{id}}/members", MEMBERS_FACE, Ability.READ_USER
    return (
        Route("GET", base, index, see, also=user, face=face, parameters=_LIST, answers={200: schemas.MEMBERS}),
        Route("POST", base, add, change, face=face, parameters=_ADD, answers={201: schemas.MEMBER, 409: None}),
        Route("GET", f"{base}/all", index_all, see, also=user, face=face, parameters=_LIST,
              answers={200: schemas.MEMBERS}),
        Route("GET", f"{base}/all/{{user_id}}", show_all, see, also=user, face=face, answers={200: schemas.MEMBER}),
        Route("GET", f"{base}/{{user_id}}", show, see, also=user, face=face, answers={200: schemas.MEMBER}),
        Route("PUT", f"{base}/{{user_id}}", update, change, face=face, parameters=_UPDATE,
              answers={200: schemas.MEMBER}),
        Route("DELETE", f"{base}/{{user_id}}", remove, see, also=Ability.USE_API, face=face),
    )  # fmt: skip


ROUTES = (
    *_routes("projects", Ability.READ_PROJECT, Ability.MAINTAIN_PROJECT),
    *_routes("groups", Ability.READ_GROUP, Ability.ADMIN_GROUP),
)
