"""Stages of a project: sets of uploads that nobody sees before they are promoted, all at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiohttp import web

from registry import staging
from registry.access import Ability
from registry.accounts import check_text
from registry.api import schemas
from registry.api.entities import Entity, timestamp
from registry.api.face import ERRORS, render
from registry.api.pagination import PAGE, pages, respond
from registry.db import stages
from registry.db.listings import PageOfIds
from registry.db.stages import Stage, StagedFile
from registry.errors import NotFound, Unauthenticated
from registry.server import responses
from registry.server.context import Context
from registry.server.parameters import Parameter, given, number
from registry.server.routes import Face, Route
from registry.server.stages import asked_stage, stage_id

_TYPES = ("npm", "pypi")
# Below a format's base: what a client uploads to, and the index or registry that shows the stage.
_ADDRESSES: Mapping[str, tuple[str, str]] = {
    "npm": ("/-/stages/{}/", "/-/stages/{}/"),
    "pypi": ("/stages/{}", "/stages/{}/simple/"),
}
_CREATE = (
    Parameter("package_type", description="what will be uploaded", required=True, values=_TYPES),
    Parameter("title", description="what it is, for people; at most 255 characters"),
)
_PROMOTE = (
    Parameter(
        "file_ids", "integers", description="the files that were looked at; nothing happens when others are there"
    ),
)
_LIST = (
    Parameter("package_type", description="only of this type", values=_TYPES),
    Parameter("state", description="only in this state", values=("open", "promoted")),
    *PAGE,
)

# What uploads may use deploy tokens may use here, too.
FACE = Face(render=render, unknown=NotFound, hidden=NotFound, lacking=Unauthenticated, errors=ERRORS)


async def index(context: Context) -> web.Response:
    """List the stages of a project, newest first."""
    values, db, project = await given(context), context.services.db, context.project
    asked = pages(values)
    chosen = {"package_type": values.get("package_type"), "state": values.get("state")}
    window = asked.window
    found = await stages.list_stages(db, project.id, **chosen, limit=window.limit + 1, offset=window.offset)
    total = await stages.count_stages(db, project.id, **chosen)
    shown = found[: asked.per_page]
    files = await stages.list_files(db, [stage.id for stage in shown])
    items = [_entity(context, stage, [file for file in files if file.stage_id == stage.id]) for stage in shown]
    return respond(context, asked, PageOfIds(list(range(len(found))), total), items)


async def create(context: Context) -> web.Response:
    """Open an empty stage, to upload to."""
    values = await given(context)
    title = values.get("title") or ""
    if title:
        check_text(title, "title")
    made = await staging.create(context.services.db, context.author, context.project, values["package_type"], title)
    stage = await stages.find_stage(context.services.db, context.project.id, made)
    if stage is None:
        raise NotFound("404 Stage Not Found")
    return responses.json(_entity(context, stage, []), status=201)


async def show(context: Context) -> web.Response:
    """Retrieve a stage with its files."""
    stage = await asked_stage(context)
    return responses.json(_entity(context, stage, await stages.list_files(context.services.db, [stage.id])))


async def promote(context: Context) -> web.Response:
    """Promote a stage: all its files become visible at once."""
    asked, services = stage_id(context), context.services
    file_ids = (await given(context)).get("file_ids")
    stage = await staging.promote(
        services.db, context.author, context.project, asked, file_ids=file_ids, same_version=services.same_version
    )
    return responses.json(_entity(context, stage, []))


async def drop(context: Context) -> web.Response:
    """Drop a stage with its files."""
    await staging.drop(context.services.db, context.author, context.project, stage_id(context))
    return web.Response(status=204)


async def drop_file(context: Context) -> web.Response:
    """Take a file out of a stage."""
    file_id = number(context.params["staged_file_id"], "staged_file_id")
    await staging.drop_file(context.services.db, context.author, context.project, stage_id(context), file_id)
    return web.Response(status=204)


def _entity(context: Context, stage: Stage, files: Sequence[StagedFile]) -> Entity:
    upload, preview = (address.format(stage.id) for address in _ADDRESSES[stage.package_type])
    base = f"{context.services.api_url}/projects/{stage.project_id}/packages/{stage.package_type}"
    return {
        "id": str(stage.id),
        "project_id": stage.project_id,
        "package_type": stage.package_type,
        "title": stage.title,
        "sealed": stage.sealed,
        "state": stage.state,
        "author": stage.author_name,
        "created_at": timestamp(stage.created_at),
        "expires_at": timestamp(stage.expires_at),
        "promoted_at": timestamp(stage.promoted_at),
        "upload_url": f"{base}{upload}",
        "preview_url": f"{base}{preview}",
        "files": [_file(file) for file in files],
        "packages": list(stage.released),
    }


def _file(file: StagedFile) -> Entity:
    return {
        "id": file.id,
        "name": file.name,
        "version": file.version,
        "file_name": file.file_name,
        "size": file.size,
        "file_sha256": file.sha256,
        "author": file.author_name,
        "created_at": timestamp(file.created_at),
    }


_BASE = "/api/v4/projects/{id}/packages/stages"
_ONE = f"{_BASE}/{{stage_id}}"
_ABILITY = Ability.CREATE_PACKAGE

ROUTES = (
    Route("GET", _BASE, index, _ABILITY, face=FACE, parameters=_LIST, answers={200: schemas.STAGES}),
    Route("POST", _BASE, create, _ABILITY, face=FACE, parameters=_CREATE, answers={201: schemas.STAGE, 409: None}),
    Route("GET", _ONE, show, _ABILITY, face=FACE, answers={200: schemas.STAGE}),
    Route("DELETE", _ONE, drop, _ABILITY, face=FACE, answers={409: None}),
    Route("POST", f"{_ONE}/promote", promote, _ABILITY, face=FACE, parameters=_PROMOTE,
          answers={200: schemas.STAGE, 409: None}),
    Route("DELETE", f"{_ONE}/files/{{staged_file_id}}", drop_file, _ABILITY, face=FACE, answers={409: None}),
)  # fmt: skip
