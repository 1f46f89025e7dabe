"""Stars: what a user likes. Nothing that documents show, so no serial moves; each user changes only their own."""

from __future__ import annotations

import orjson
from aiohttp import web

from registry.access import Ability
from registry.db import stars
from registry.errors import Invalid
from registry.formats.npm import finding
from registry.formats.npm.edits import StarChange
from registry.formats.npm.names import Name
from registry.model import Level
from registry.server import responses
from registry.server.context import Context


async def star(context: Context) -> web.StreamResponse:
    """Star a package."""
    return await _put(context, finding.asked_name(context), starred=True)


async def unstar(context: Context) -> web.StreamResponse:
    """Take a star back."""
    return await _put(context, finding.asked_name(context), starred=False)


async def change(context: Context, name: Name, wanted: StarChange) -> web.StreamResponse:
    """The same as npm up to 11 asks: with the document's `users`, of which only the caller's own entry counts."""
    return await _put(context, name, starred=context.actor.username in wanted.users)


async def index(context: Context) -> web.StreamResponse:
    """List what a user has starred, as far as the caller may see it. `key` is the user's name as a JSON string."""
    context.require(Ability.SIGNED_IN, None)
    try:
        username = orjson.loads(context.request.query.get("key", ""))
    except orjson.JSONDecodeError:
        username = None
    if not isinstance(username, str):
        raise Invalid("key is the name of a user as a JSON string")
    projects = context.target.projects
    if context.target.level is Level.INSTANCE:
        projects = await context.services.lookups.readable_ids(context.actor, None)
    found = await stars.list_names(context.services.db, username, "npm", projects)
    return responses.json({"rows": [{"id": name, "key": username, "value": name} for name in found]})


async def _put(context: Context, name: Name, *, starred: bool) -> web.StreamResponse:
    context.require(Ability.READ_USER, None)
    serials = await finding.find(context, name)
    projects, user_id = [project for project, _ in serials.pairs], context.actor.id or 0
    if starred:
        await stars.put(context.services.db, user_id, projects[0], "npm", name.text)
    else:
        await stars.delete(context.services.db, user_id, projects, "npm", name.text)
    return responses.json({"ok": True, "success": True})
