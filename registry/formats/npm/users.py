"""Users as npm asks about them: `npm profile get`, and whom `npm owner add` is about."""

from __future__ import annotations

from aiohttp import web

from registry.access import Ability, can
from registry.db import accounts
from registry.db.accounts import User
from registry.errors import Forbidden, NotFound
from registry.formats.npm.login import user_name
from registry.formats.npm.packument import iso
from registry.server import responses
from registry.server.context import Context


async def profile(context: Context) -> web.StreamResponse:
    """Show the caller's own account."""
    user = await accounts.find_user(context.services.db, context.actor.id or 0)
    if user is None:
        raise NotFound("404 User Not Found")
    # Like GitLab's `GET /user`: a token for packages alone does not tell it.
    email = user.email if can(context.actor, Ability.READ_USER) else ""
    networks = [str(network) for network in context.actor.networks]
    body = {
        "tfa": False,
        "name": user.username,
        "fullname": user.name,
        "email": email,
        "email_verified": bool(email),
        "created": iso(user.created_at),
        "updated": iso(user.created_at),
        "cidr_whitelist": networks or None,
    }
    return responses.json(body)


async def change_profile(_context: Context) -> web.StreamResponse:
    """Refuse: accounts are the administrator's, and there are neither passwords nor one-time passwords."""
    raise Forbidden("403 Forbidden - Accounts are changed by an administrator, not through npm")


async def show(context: Context) -> web.StreamResponse:
    """Show another user, as `npm owner add` asks; without the address, which only they and administrators see."""
    user = await find(context, user_name(context))
    return responses.json({"_id": f"org.couchdb.user:{user.username}", "name": user.username, "email": ""})


async def find(context: Context, name: str) -> User:
    """A person by user name. Raises NotFound."""
    user = await accounts.find_user_by_name(context.services.db, name)
    if user is None or user.kind != "human":
        raise NotFound("404 User Not Found")
    return user
