"""The feed of changed names of projects and groups, of all package types."""

from __future__ import annotations

from aiohttp import web

from registry.access import Ability
from registry.server import feed
from registry.server.context import Context
from registry.server.routes import Route


async def changes(context: Context) -> web.Response:
    """List the names that changed since the last look, in the order of the changes; each once."""
    return await feed.answer(context)


ROUTES = tuple(
    Route("GET", f"/api/v4/{noun}/{{id}}/packages/_changes", changes, Ability.READ_PACKAGE,
          parameters=feed.PARAMETERS, answers={200: feed.CHANGES})
    for noun in ("projects", "groups")
)  # fmt: skip
