"""Owners: `npm owner`. They are the members of the project with Maintainer or more; there are none per package."""

from __future__ import annotations

from datetime import datetime

from aiohttp import web

from registry import tree
from registry.access import Ability, AccessLevel, can
from registry.errors import Conflict, Forbidden, NotFound
from registry.formats.npm import users
from registry.formats.npm.edits import OwnerChange
from registry.lookups import Serials
from registry.server import responses
from registry.server.context import Context

_NOTICE = "owners are the maintainers of the project: this was about all its packages"


async def shown(context: Context, serials: Serials) -> tuple[tuple[str, ...] | None, datetime | None]:
    """The owners as the full document lists them, by name, and how long that is so at most.

    None for who may not see members: that is for people.
    """
    if not can(context.actor, Ability.READ_USER):
        return None, None
    people = [await context.services.lookups.people(project) for project, _ in serials.pairs]
    names = {name for some in people for name, level in some.levels if level >= AccessLevel.MAINTAINER}
    return tuple(sorted(names)), min(filter(None, (some.valid_until for some in people)), default=None)


async def change(context: Context, wanted: OwnerChange, serials: Serials) -> web.StreamResponse:
    """Make one user a Maintainer of the project, or end the membership of one.

    The client sends the whole list. Where that differs from what is there in more than one name, somebody else has
    changed it in between, which the `_rev` of the document does not tell.
    """
    context.require(Ability.MAINTAIN_PROJECT, context.project)
    listed, _ = await shown(context, serials)
    present = set(listed or ())
    known = {name.lower(): name for name in present}
    sent = {known.get(name.lower(), name) for name in wanted.maintainers}
    match sorted(sent - present), sorted(present - sent):
        case [], []:
            pass
        case [added], []:
            await _add(context, added)
        case [], [removed]:
            await _remove(context, removed)
        case _:
            raise Conflict("The owners have changed meanwhile: look at them again, and change one at a time")
    return responses.json({"ok": True, "success": True}, headers={"npm-notice": _NOTICE})


async def _add(context: Context, name: str) -> None:
    user, project = await users.find(context, name), context.project
    services, level = context.services, AccessLevel.MAINTAINER
    try:
        await tree.add_member(services.db, context.author, project, user_id=user.id, access_level=level)
    except Conflict:
        await tree.update_member(
            services.db, context.author, project, user_id=user.id, access_level=level, expires_at=None
        )


async def _remove(context: Context, name: str) -> None:
    user = await users.find(context, name)
    try:
        await tree.remove_member(context.services.db, context.author, context.project, user.id)
    except NotFound as error:
        raise Forbidden(
            f"403 Forbidden - {name} is an owner as a member of a group above this project: remove them there"
        ) from error
