"""Downloads: tarballs at all three levels, by npm's file name and by GitLab's (contract 4.8, npm.md B.3)."""

from __future__ import annotations

from aiohttp import web

from registry.db import package_files
from registry.errors import FileNotFound
from registry.formats.npm import finding
from registry.server import files
from registry.server.context import Context


async def download(context: Context) -> web.StreamResponse:
    """Download a tarball as it was published: never content-encoded, never negotiated."""
    name = finding.asked_name(context)
    version = name.version_of(context.params["file"])
    services, projects = context.services, context.target.projects
    serials = await services.lookups.serials("npm", name.text, projects)
    if version is None or not serials.exists:
        raise FileNotFound
    file_name = name.stored_file_name(version)
    # The serials, because a version that appears in another project takes the place of the one that is known.
    where = tuple(number for pair in serials.pairs for number in pair)
    file = await services.lookups.file(
        ("npm", name.text, file_name, where),
        lambda: package_files.find_named_file(services.db, "npm", name.text, projects, file_name),
    )
    if file is None:
        raise FileNotFound
    return await files.send(context, file)
