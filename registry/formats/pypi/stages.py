"""Stages: uploads that nobody sees before they are promoted, and the files of a preview (pypi.md, A.4; PEP 694)."""

from __future__ import annotations

from aiohttp import web

from registry import catalog, staging
from registry.db import stages
from registry.formats.pypi import downloads, upload
from registry.formats.pypi.status import check_offered, of_project
from registry.server import files
from registry.server.context import Context
from registry.server.stages import asked_stage, staged_row, until


async def receive(context: Context) -> web.StreamResponse:
    """Upload a file into a stage. Identical bytes under the same file name succeed again and change nothing."""
    stage = await asked_stage(context, "pypi")

    async def keep(context: Context, publication: catalog.Publication) -> bool:
        kept = await staging.add(context.services.db, context.author, context.project, publication, stage.id)
        return kept.outcome == "created"

    return await upload.receive(context, keep)


async def download(context: Context) -> web.StreamResponse:
    """Download a file of a preview: of the stage, or else of the project."""
    stage = await asked_stage(context, "pypi")
    sha256, file_name = context.params["sha256"].lower(), context.params["file_name"]
    file = await stages.find_file(context.services.db, stage.id, file_name, sha256)
    if file is None:
        return await downloads.download(context)
    check_offered(await of_project(context.services.db, context.project, file.normalized_name), file.name)
    return until(stage, await files.send(context, staged_row(context, file)))
