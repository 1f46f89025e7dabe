"""Editing what is published: deprecate, and unpublish through the `-rev` routes (contract 4.2; npm.md, A.5).

Clients send back the document they were given. Its `_rev` is the serial of the name: what was changed in between is
never overwritten.
"""

from __future__ import annotations

from aiohttp import web

from registry import catalog
from registry.access import Ability, can
from registry.catalog import Moved
from registry.db import package_files, packages
from registry.errors import NotFound, RegistryError
from registry.formats.npm import edits, finding, incoming, owners, stars
from registry.formats.npm.edits import Edit, OwnerChange, StarChange
from registry.formats.npm.names import Name
from registry.lookups import Serials
from registry.server import bodies, responses
from registry.server.context import Context

_LARGEST_STAR = 64 * 1024
_DONE = {"ok": True, "success": True}


async def edit(context: Context, name: Name, wanted: Edit) -> web.StreamResponse:
    """`PUT <name>` without attachments. Deprecating needs what deleting needs, as on GitLab."""
    if isinstance(wanted, StarChange):
        return await stars.change(context, name, wanted)
    context.require(Ability.DESTROY_PACKAGE, context.project)
    serials = await finding.find(context, name)
    if isinstance(wanted, OwnerChange):
        return await _change_owners(context, wanted, serials, wanted.revision or "")
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


async def star_denied(context: Context, refusal: RegistryError) -> web.StreamResponse:
    """Let readers star a package: npm up to 11 sends that to where publishes go."""
    project = context.target.project
    starring = context.request.headers.get("npm-command") in {"star", "unstar"}
    if not starring or project is None or not can(context.actor, Ability.READ_PACKAGE, project):
        raise refusal
    name = finding.asked_name(context)
    wanted = edits.parse(bodies.json_object(await bodies.read(context.request, _LARGEST_STAR)), name.text)
    if not isinstance(wanted, StarChange):
        raise refusal
    return await stars.change(context, name, wanted)


async def unpublish_package(context: Context) -> web.StreamResponse:
    """Unpublish a name with all its versions."""
    name = finding.asked_name(context)
    await finding.find(context, name)
    ids = await packages.list_package_ids(context.services.db, context.project.id, "npm", name.text)
    return await _delete(context, ids)


async def unpublish_versions(context: Context) -> web.StreamResponse:
    """Unpublish the versions that the sent document no longer lists; or change the owners, as `npm owner` does.

    This does the whole job: npm sends the DELETE of the tarball to a doubled path, and prints success all the same.
    """
    name = finding.asked_name(context)
    document = await incoming.document(context)
    serials = await finding.find(context, name)
    wanted = edits.parse_revision(document, name.text)
    if isinstance(wanted, StarChange):
        return await stars.change(context, name, wanted)
    if isinstance(wanted, OwnerChange):
        return await _change_owners(context, wanted, serials, context.params["rev"])
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
    file = await package_files.find_named_file(
        context.services.db, "npm", name.text, context.target.projects, name.stored_file_name(version)
    )
    return await _delete(context, [file.package_id] if file is not None else [])


async def _change_owners(context: Context, wanted: OwnerChange, serials: Serials, revision: str) -> web.StreamResponse:
    if (context.project.id, _serial(revision)) not in serials.pairs:
        raise Moved
    return await owners.change(context, wanted, serials)


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
