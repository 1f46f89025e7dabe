"""Collaborators: `npm access`. A package is as visible as its project, and open to the members of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiohttp import web

from registry.access import ANONYMOUS, Ability, AccessLevel, Actor, can, level_in
from registry.db import package_names
from registry.errors import Forbidden, Invalid, NotFound
from registry.formats.npm import finding, names
from registry.model import Level, Project
from registry.server import bodies, responses
from registry.server.context import Context

_LARGEST = 64 * 1024


async def visibility(context: Context) -> web.StreamResponse:
    """Tell whether everybody may install a package, for `npm access get status` and `npm publish --provenance`."""
    return responses.json({"public": await _is_public(context)})


async def access(context: Context) -> web.StreamResponse:
    """The same, as pnpm asks."""
    public = await _is_public(context)
    return responses.json({"access": "public" if public else "restricted", "public": public})


async def set_access(context: Context) -> web.StreamResponse:
    """Accept what is so already, and refuse any change: a package is as visible as its project."""
    context.require(Ability.SIGNED_IN, None)
    document = bodies.json_object(await bodies.read(context.request, _LARGEST))
    wanted = document.get("access")
    if document.get("publish_requires_tfa") is True:
        raise Forbidden("403 Forbidden - There are no one-time passwords here: limit tokens instead (npm token create)")
    if wanted is None and document.get("publish_requires_tfa") is False:
        return responses.json({"ok": True})
    if wanted not in ("public", "restricted", "private"):
        raise Invalid("access is public or restricted")
    if (wanted == "public") != await _is_public(context):
        raise Forbidden("403 Forbidden - A package is as visible as its project: change the visibility of the project")
    return responses.json({"ok": True})


async def index(context: Context) -> web.StreamResponse:
    """List who may do what with a package: the members of its project."""
    context.require(Ability.READ_USER, None)
    serials = await finding.find(context, finding.asked_name(context))
    only = context.request.query.get("user")
    levels: dict[str, int] = {}
    for project, _ in serials.pairs:
        for name, level in (await context.services.lookups.people(project)).levels:
            levels[name] = max(level, levels.get(name, 0))
    return responses.json({name: _permission(level) for name, level in levels.items() if only in {None, name}})


async def of_user(context: Context) -> web.StreamResponse:
    """List the packages that the caller is a member for."""
    context.require(Ability.READ_USER, None)
    if context.params["username"].lower() != context.actor.username.lower():
        raise Forbidden("403 Forbidden - Only your own packages are listed by user; ask for a scope instead")
    here = [one for one in await _projects(context) if level_in(context.actor, one) > AccessLevel.NONE]
    return responses.json(await _permissions(context, here, ""))


async def of_scope(context: Context) -> web.StreamResponse:
    """List the packages of a scope, and what the caller may do with them."""
    context.require(Ability.READ_USER, None)
    scope = names.parse(f"@{context.params['scope']}/any").scope
    found = await _permissions(context, await _projects(context), f"@{scope}/")
    if not found:
        # npm takes that for the name of a user then.
        raise NotFound("404 Scope Not Found")
    return responses.json(found)


async def change_team(context: Context) -> web.StreamResponse:
    """Refuse: groups are the teams here, and their members are changed there."""
    context.require(Ability.SIGNED_IN, None)
    raise Forbidden("403 Forbidden - There are no teams here: add members to the project, or to a group above it")


async def _is_public(context: Context) -> bool:
    serials = await finding.find(context, finding.asked_name(context))
    found = [await context.services.lookups.project(str(project)) for project, _ in serials.pairs]
    return any(one is not None and can(ANONYMOUS, Ability.READ_PACKAGE, one) for one in found)


async def _projects(context: Context) -> list[Project]:
    """The projects of the level whose packages the caller may read."""
    target, lookups = context.target, context.services.lookups
    if target.project is not None:
        return [target.project]
    group = target.group if target.level is Level.GROUP else None
    return list(await lookups.readable(context.actor, group))


async def _permissions(context: Context, projects: Sequence[Project], prefix: str) -> Mapping[str, str]:
    """Names that begin with `prefix`, with what the caller may do in the project of each."""
    found: dict[str, str] = {}
    for may, some in _by_permission(context.actor, projects).items():
        for row in await package_names.list_names(context.services.db, "npm", some):
            if row.name.startswith(prefix) and found.get(row.name) != "write":
                found[row.name] = may
    return dict(sorted(found.items()))


def _by_permission(actor: Actor, projects: Sequence[Project]) -> Mapping[str, list[int]]:
    ids: dict[str, list[int]] = {}
    for one in projects:
        ids.setdefault(_permission(level_in(actor, one)), []).append(one.id)
    return ids


def _permission(level: int) -> str:
    """Npm knows two: who may publish, and who may not."""
    return "write" if level >= AccessLevel.DEVELOPER else "read"
