"""Dist-tags: list, set, remove, at all three levels (contract 4.6)."""

from __future__ import annotations

from aiohttp import web

from registry import catalog
from registry.access import Ability
from registry.db import package_names
from registry.errors import NotFound
from registry.formats.npm import finding, pages, tags
from registry.formats.npm.names import Name
from registry.lookups import Serials
from registry.model import Level, Project
from registry.server import bodies, responses
from registry.server.context import Context


async def list_tags(context: Context) -> web.StreamResponse:
    """List dist-tags, as a flat object. Unknown names are never forwarded."""
    name = finding.asked_name(context)
    return await pages.dist_tags(context, name, await _find(context, name))


async def set_tag(context: Context) -> web.StreamResponse:
    """Point a tag at the version in the body."""
    name = finding.asked_name(context)
    project = await _home(context, name, Ability.CREATE_PACKAGE)
    body = await bodies.read(context.request, 4096)
    tag, version = tags.check_name(context.params["tag"]), tags.parse_body(body)
    await catalog.set_tag(context.services.db, context.author, project, "npm", name.text, tag, version)
    return _done(context)


async def delete_tag(context: Context) -> web.StreamResponse:
    """Remove a tag. `latest` falls back to the highest version."""
    name = finding.asked_name(context)
    project = await _home(context, name, Ability.DESTROY_PACKAGE)
    if not await package_names.has_name(context.services.db, project.id, "npm", name.text):
        raise NotFound("404 Package Not Found")
    await catalog.delete_tag(context.services.db, context.author, project, "npm", name.text, context.params["tag"])
    return _done(context)


async def _find(context: Context, name: Name) -> Serials:
    try:
        return await finding.find(context, name)
    except NotFound:
        text = "404 Package Not Found" if context.target.level is Level.PROJECT else "404 Project Not Found"
        raise NotFound(text) from None


async def _home(context: Context, name: Name, ability: Ability) -> Project:
    """The project that a write is about: below a group and at instance level that of the newest package."""
    if context.target.project is not None:
        return context.target.project
    context.require(Ability.SIGNED_IN, None)
    await _find(context, name)
    project_id = await package_names.find_home(context.services.db, "npm", name.text, context.target.projects)
    project = await context.services.lookups.project(str(project_id)) if project_id is not None else None
    if project is None:
        raise NotFound("404 Project Not Found")
    context.require(ability, project)
    return project


def _done(context: Context) -> web.Response:
    """204 as GitLab; yarn 1 takes only a JSON answer for success (npm.md, fact 8)."""
    if context.request.headers.get("User-Agent", "").startswith("yarn/1."):
        return responses.json({"ok": True})
    return web.Response(status=204)
