"""Editing what is published: deprecate, and unpublish through the `-rev` routes (contract 4.2; npm.md, A.5).

Clients send back the document they were given. Its `_rev` is the serial of the name: what was changed in between is
never overwritten.
"""

from __future__ import annotations

from aiohttp import web

from registry import catalog
from registry.access import Ability
from registry.catalog import Moved
from registry.db import packages
from registry.errors import Invalid, NotFound
from registry.formats.npm import edits, finding, incoming
from registry.formats.npm.edits import Deprecation, Edit, Unpublication
from registry.formats.npm.names import Name
from registry.server import responses
from registry.server.context import Context

_DONE = {"ok": True, "success": True}
_NOT_KEPT = "owners and stars are not kept here: members of the project own its packages"


async def edit(context: Context, name: Name, wanted: Edit) -> web.StreamResponse:
    """`PUT <name>` without attachments. Deprecating needs what deleting needs, as on GitLab."""
    context.require(Ability.DESTROY_PACKAGE, context.project)
    await finding.find(context, name)
    if not isinstance(wanted, Deprecation):
        raise Invalid(_NOT_KEPT)
    await catalog.deprecate(
        context.services.db,
        context.author,
        context.project,
        "npm",
        name.text,
        wanted.messages,
        serial=None if wanted.revision is None else _serial(wanted.revision),
    )
    return responses.json(_DONE)


async def unpublish_package(context: Context) -> web.StreamResponse:
    """Unpublish a name with all its versions."""
    name = finding.asked_name(context)
    await finding.find(context, name)
    ids = await packages.list_package_ids(context.services.db, context.project.id, "npm", name.text)
    return await _delete(context, ids)


async def unpublish_versions(context: Context) -> web.StreamResponse:
    """Unpublish the versions that the sent document no longer lists.

    This does the whole job: npm sends the DELETE of the tarball to a doubled path, and prints success all the same.
    """
    name = finding.asked_name(context)
    document = await incoming.document(context)
    serials = await finding.find(context, name)
    wanted = edits.parse_revision(document, name.text)
    if not isinstance(wanted, Unpublication):
        raise Invalid(_NOT_KEPT)
    if (context.project.id, _serial(context.params["rev"])) not in serials.pairs:
        raise Moved
    numbers = await packages.list_numbers(context.services.db, "npm", [name.text], context.target.projects)
    return await _delete(context, [number.id for number in numbers if number.version not in wanted.kept])


async def unpublish_tarball(context: Context) -> web.StreamResponse:
    """Unpublish a tarball: the last step of unpublishing a version, which is gone already as a rule."""
    name = finding.asked_name(context)
    version = name.version_of(context.params["file"])
    serials = await context.services.lookups.serials("npm", name.text, context.target.projects)
    if version is None or not serials.known:
        raise NotFound("404 Package Not Found")
    file = await packages.find_named_file(
        context.services.db, "npm", name.text, context.target.projects, name.stored_file_name(version)
    )
    return await _delete(context, [file.package_id] if file is not None else [])


async def _delete(context: Context, package_ids: list[int]) -> web.StreamResponse:
    if package_ids:
        await catalog.delete_packages(
            context.services.db, context.author, context.project, package_ids, serial=_serial(context.params["rev"])
        )
    return responses.json(_DONE)


def _serial(revision: str) -> int:
    """The serial that a `_rev` of ours stands for. Raises Moved for any other: npm sends `undefined` without one."""
    if not revision.isascii() or not revision.isdigit() or len(revision) > 18:
        raise Moved
    return int(revision)
