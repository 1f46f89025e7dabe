"""Downloads: a file by its sha256 and name (contract 3.6)."""

from __future__ import annotations

import re

from aiohttp import web

from registry.db import packages
from registry.errors import FileNotFound
from registry.server import files
from registry.server.context import Context

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_ABSENT = "404 Package Not Found"


async def download(context: Context) -> web.StreamResponse:
    """Download a file. It is found only in projects whose packages the caller may read, at group level too."""
    sha256, file_name = context.params["sha256"].lower(), context.params["file_name"]
    if not _SHA256.fullmatch(sha256):
        raise FileNotFound(_ABSENT)
    services, projects = context.services, context.target.projects
    file = await services.lookups.file(
        ("pypi", sha256, file_name, projects),
        lambda: packages.find_file(services.db, "pypi", projects, file_name, sha256),
    )
    if file is None:
        raise FileNotFound(_ABSENT)
    return await files.send(context, file)
