"""Downloads: a file by its sha256 and name (contract 3.6), and its core metadata beside it (PEP 658)."""

from __future__ import annotations

import re

from aiohttp import web

from registry.db import package_files
from registry.db.package_files import FileRow
from registry.documents import Page
from registry.errors import FileNotFound
from registry.formats.pypi.status import QUARANTINED, Status, check_offered
from registry.server import files, responses
from registry.server.context import Context

# What is appended to the URL of a file; no file has such a name (`names.check_file_name`).
_CORE_METADATA = ".metadata"

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_ABSENT = "404 Package Not Found"


async def download(context: Context) -> web.StreamResponse:
    """Download a file, or `<file>.metadata`. It is found only in projects whose packages the caller may read, at group
    level too.
    """
    file_name = context.params["file_name"]
    if file_name.endswith(_CORE_METADATA):
        file = await _find(context, file_name.removesuffix(_CORE_METADATA), described=True)
        return await _core_metadata(context, file)
    return await files.send(context, await _find(context, file_name))


async def _find(context: Context, file_name: str, *, described: bool = False) -> FileRow:
    """The file asked for; `described`: one whose core metadata is known, where there is such a one."""
    sha256 = context.params["sha256"].lower()
    if not _SHA256.fullmatch(sha256):
        raise FileNotFound(_ABSENT)
    services, projects = context.services, context.target.projects
    file = await services.lookups.file(
        ("pypi", sha256, file_name, projects),
        lambda: package_files.find_file(services.db, "pypi", projects, file_name, sha256),
        # Of the same bytes in two places, one may be quarantined, or checked and found unsound: pages list both.
        is_best=lambda one: one.name_status != QUARANTINED and not (described and one.core_metadata_sha256 is None),
    )
    if file is None:
        raise FileNotFound(_ABSENT)
    check_offered(Status(file.name_status), file.name)
    return file


async def _core_metadata(context: Context, file: FileRow) -> web.StreamResponse:
    """Sent from here and never redirected; small, compressed once, and good for ever like the file itself."""
    if file.core_metadata_sha256 is None:
        raise FileNotFound(_ABSENT)

    async def render() -> Page:
        content = await package_files.find_core_metadata(context.services.db, file.id)
        if content is None:
            raise FileNotFound(_ABSENT)
        return Page(content, "application/octet-stream", (("Vary", "Accept-Encoding"),))

    key = ("pypi", "core metadata", file.id, file.core_metadata_sha256)
    return await responses.document(context, key, render, cache_control=files.IMMUTABLE)
