"""Stages: what `npm stage`, `pnpm stage` and `yarn npm publish --staged` ask for (npm.md, A.13; npm 12.2, berry 4.18).

A version staged so has a stage of its own, which takes no other; its id is the stage id that these clients show.
Publishing to the registry of a stage puts several versions into one.
"""

from __future__ import annotations

from uuid import UUID

from aiohttp import web

from registry import catalog, staging
from registry.db import stages
from registry.db.stages import Stage, StagedFile
from registry.errors import Invalid, NotFound
from registry.formats.npm import names, publish
from registry.formats.npm.edits import Edit
from registry.formats.npm.names import Name
from registry.formats.npm.packument import iso
from registry.server import files, responses
from registry.server.context import Context
from registry.server.parameters import given
from registry.server.stages import asked_stage, staged_row

# What npm and berry ask for; more is not given at once.
PER_PAGE = 100


async def stage(context: Context) -> web.StreamResponse:
    """Stage one version with its tarball, in a stage of its own."""
    response = await publish.receive(context, _keeper(None), edit=_refuse_edit)
    response.set_status(201)
    return response


async def receive(context: Context) -> web.StreamResponse:
    """Stage one version with its tarball in a stage that is there: what publishes to the registry of that stage do."""
    there = await asked_stage(context, "npm")
    return await publish.receive(context, _keeper(there.id), edit=_refuse_edit)


async def index(context: Context) -> web.StreamResponse:
    """List the staged versions, newest first."""
    values, db, project = await given(context), context.services.db, context.project
    asked = values.get("package")
    name = names.parse(asked).text if asked else None
    size = min(values["perPage"], PER_PAGE)
    found = await stages.list_sealed_files(db, project.id, "npm", name=name, limit=size, offset=values["page"] * size)
    total = await stages.count_sealed_files(db, project.id, "npm", name=name)
    return responses.json({"items": [_item(file) for file in found], "total": total})


async def show(context: Context) -> web.StreamResponse:
    """Retrieve a staged version."""
    return responses.json(_item(await _asked_file(context)))


async def tarball(context: Context) -> web.StreamResponse:
    """Download the tarball of a staged version."""
    return await files.send(context, staged_row(context, await _asked_file(context)))


async def approve(context: Context) -> web.StreamResponse:
    """Publish a staged version."""
    there = await _asked_sealed(context)
    promoted = await staging.promote(context.services.db, context.author, context.project, there.id)
    return responses.json({"ok": True, "success": True, "stageId": str(promoted.id), "status": "approved"})


async def reject(context: Context) -> web.StreamResponse:
    """Drop a staged version."""
    there = await _asked_sealed(context)
    await staging.drop(context.services.db, context.author, context.project, there.id)
    return web.Response(status=204)


def _keeper(wanted: UUID | None) -> publish.Keep:
    async def keep(context: Context, stored: catalog.Publication) -> tuple[bool, dict[str, object]]:
        kept = await staging.add(context.services.db, context.author, context.project, stored, wanted)
        return kept.outcome == "created", {"stageId": str(kept.stage_id), "status": "pending"}

    return keep


async def _refuse_edit(_context: Context, _name: Name, _edit: Edit) -> web.StreamResponse:
    raise Invalid("A stage takes a version with its tarball, nothing else")


async def _asked_sealed(context: Context) -> Stage:
    """The stage of one version. Raises NotFound, also for others: what is in them may change after it was looked at."""
    there = await asked_stage(context, "npm")
    if not there.sealed:
        raise NotFound("404 Stage Not Found")
    return there


async def _asked_file(context: Context) -> StagedFile:
    """The one file of a sealed stage. Raises NotFound."""
    there = await _asked_sealed(context)
    found = await stages.list_files(context.services.db, [there.id])
    if not found:
        raise NotFound("404 Stage Not Found")
    return found[0]


def _item(file: StagedFile) -> dict[str, object]:
    """A staged version with the fields that npm prints."""
    return {
        "id": str(file.stage_id),
        "packageName": file.name,
        "version": file.version,
        "tag": file.tag or "latest",
        "createdAt": iso(file.created_at),
        "actor": file.author_name,
        "actorType": file.author_kind,
        "shasum": file.sha1,
        "status": "pending",
    }
