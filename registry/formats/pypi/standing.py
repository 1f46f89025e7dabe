"""Standing: the routes that say what may still be done with a name and its files (PEP 592, 792)."""

from __future__ import annotations

import functools

from aiohttp import web

from registry import standings
from registry.access import Ability, can
from registry.formats.pypi.names import normalize, same_version
from registry.server import parameters, responses
from registry.server.context import Context
from registry.server.parameters import Parameter

_REASON = Parameter("reason", description="why, in one line; shown to who installs", nullable=True)
STATUS_PARAMETERS = (
    Parameter("status", description="what may be done with the name", required=True, values=standings.STATUSES),
    _REASON,
)
YANK_PARAMETERS = (
    Parameter("yanked", "boolean", "whether installers pass over it unless it is pinned", required=True),
    _REASON,
)


async def show(context: Context) -> web.StreamResponse:
    """Show the status of a name and which of its files are yanked."""
    name = normalize(context.params["name"])
    manages = can(context.actor, Ability.DESTROY_PACKAGE, context.project)
    found = await standings.find(context.services.db, context.project, "pypi", name, manages=manages)
    return responses.json(found, headers={"Cache-Control": context.cache_control})


async def set_status(context: Context) -> web.StreamResponse:
    """Set the status of a name: active, archived, quarantined or deprecated."""
    given = await parameters.given(context)
    db, name = context.services.db, normalize(context.params["name"])
    status, reason = given["status"], given.get("reason")
    await standings.set_status(db, context.author, context.project, "pypi", name, status=status, reason=reason)
    return await show(context)


async def yank_release(context: Context) -> web.StreamResponse:
    """Yank a release, all of its files, or take it back."""
    given = await parameters.given(context)
    await standings.yank(
        context.services.db,
        context.author,
        context.project,
        "pypi",
        normalize(context.params["name"]),
        is_version=functools.partial(same_version, context.params["version"]),
        yanked=given["yanked"],
        reason=given.get("reason"),
    )
    return await show(context)


async def yank_file(context: Context) -> web.StreamResponse:
    """Yank one file of a name, or take it back."""
    given = await parameters.given(context)
    await standings.yank(
        context.services.db,
        context.author,
        context.project,
        "pypi",
        normalize(context.params["name"]),
        file_name=context.params["file_name"],
        yanked=given["yanked"],
        reason=given.get("reason"),
    )
    return await show(context)
