"""Stages in paths: the one that a request is about."""

from __future__ import annotations

from uuid import UUID

from aiohttp import web

from registry.db import stages
from registry.db.package_files import FileRow
from registry.db.stages import Stage, StagedFile
from registry.errors import NotFound
from registry.server.context import Context
from registry.server.finished import Finished
from registry.server.parameters import Parameter

PATH = Parameter("stage_id", description="id of a stage, which cannot be guessed")


def stage_id(context: Context) -> UUID:
    """The id in the path. Raises NotFound for what is none."""
    try:
        return UUID(context.params["stage_id"])
    except ValueError:
        raise NotFound("404 Stage Not Found") from None


async def asked_stage(context: Context, package_type: str | None = None) -> Stage:
    """The stage of the path, in the project of the path. Raises NotFound, also for one of another package type."""
    stage = await stages.find_stage(context.services.db, context.project.id, stage_id(context))
    if stage is None or package_type not in {None, stage.package_type}:
        raise NotFound("404 Stage Not Found")
    return stage


def until(stage: Stage, response: web.StreamResponse) -> web.StreamResponse:
    """The same answer, which is not given again without asking once the stage has expired."""
    if isinstance(response, Finished):
        response.valid_until = min(filter(None, (response.valid_until, stage.expires_at)))
    return response


def staged_row(context: Context, file: StagedFile) -> FileRow:
    """A file of a stage as `files.send` takes it. It belongs to no package, so nothing counts its downloads."""
    return FileRow(
        id=0,
        package_id=0,
        project_id=context.project.id,
        name=file.name,
        normalized_name=file.normalized_name,
        version=file.version,
        file_name=file.file_name,
        requires_python="",
        yanked=False,
        yanked_reason=None,
        core_metadata_sha256=None,
        created_at=file.created_at,
        key=file.key,
        size=file.size,
        sha256=file.sha256,
        sha1=file.sha1,
        sha512=file.sha512,
        facts={},
        serial=0,
        name_status="active",
    )
