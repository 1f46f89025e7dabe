"""Namespaces: what the simple API 1.5 tells of reserved prefixes (PEP 752). JSON only, as the PEP has it.

The two endpoints stand beside `simple`, because a project may be named `namespaces`. A grant is told to who may see the
group that owns it, and beside a project whose name it covers.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from registry import grants
from registry.access import Ability, can
from registry.db.grants import Grant
from registry.errors import NotFound
from registry.formats.pypi import simple
from registry.formats.pypi.names import normalize
from registry.formats.pypi.negotiation import Representation
from registry.formats.pypi.status import offering
from registry.lookups import Serials
from registry.server import responses
from registry.server.context import Context

# Of each grant that covers a project: its prefix, and whether the project's files are all its owner's.
Namespaces = tuple[tuple[str, bool], ...]


async def index(context: Context) -> web.StreamResponse:
    """List the reserved prefixes."""
    known = await _visible(context)
    return _json({"namespaces": [{"name": grant.prefix} for grant in known]}, context)


async def detail(context: Context) -> web.StreamResponse:
    """Retrieve a reserved prefix with its owner, the one that covers it, and those that it covers."""
    known = await _visible(context)
    name = normalize(context.params["name"])
    grant = next((grant for grant in known if grant.prefix == name), None)
    if grant is None:
        raise NotFound("404 Namespace Not Found")
    above = [one.prefix for one in grants.covering(known, name) if one is not grant]
    below = [one.prefix for one in known if one is not grant and grant in grants.covering(known, one.prefix)]
    shown = {"name": name, "parent": above[-1] if above else None, "children": below, "owner": grant.full_path}
    return _json(shown, context)


async def are_on(context: Context) -> bool:
    """Whether the instance serves the simple API 1.5."""
    return (await context.services.lookups.settings()).get("pypi_namespaces") is True


async def of_project(context: Context, name: str, serials: Serials) -> Namespaces | None:
    """What covers a normalised name whose files are in these projects; None where 1.5 is not served."""
    if not await are_on(context):
        return None
    lookups = context.services.lookups
    found = grants.covering(await lookups.grants("pypi"), name)
    offered = [number for number in offering(serials) if number in serials.listed]
    # Where nothing is listed, all that ever had the name answer for it.
    numbers = offered or [number for number, _ in serials.pairs]
    projects = [await lookups.project(str(number)) for number in numbers] if found else []
    ancestries = [project.ancestry for project in projects if project is not None]
    return tuple((grant.prefix, grants.owns(grant, ancestries)) for grant in found)


def version(namespaces: object) -> str:
    """The version of the simple API that a page is served at: the plain one without namespaces (None)."""
    return simple.API_VERSION if namespaces is None else simple.API_VERSION_WITH_NAMESPACES


def shown(namespaces: Namespaces | None) -> dict[str, object]:
    """What a project's JSON page says of them."""
    if namespaces is None:
        return {}
    return {"namespaces": [{"name": name, "owned": owned} for name, owned in namespaces] or None}


async def _visible(context: Context) -> list[Grant]:
    """The grants the caller may know of. Raises NotFound where 1.5 is not served."""
    if not await are_on(context):
        raise NotFound
    lookups = context.services.lookups
    found = []
    for grant in await lookups.grants("pypi"):
        group = await lookups.group(str(grant.namespace_id))
        if group is not None and can(context.actor, Ability.READ_PACKAGE, group):
            found.append(grant)
    return found


def _json(body: Mapping[str, object], context: Context) -> web.Response:
    headers = {"Cache-Control": context.cache_control, "Vary": "Authorization"}
    meta = {"meta": {"api-version": simple.API_VERSION_WITH_NAMESPACES}}
    response = responses.json({**meta, **body}, headers=headers)
    response.headers["Content-Type"] = Representation.JSON.value
    return response
