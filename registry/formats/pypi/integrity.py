"""Integrity: the provenance of a file, as PEP 740 has indexes serve it (the public index's integrity API)."""

from __future__ import annotations

import re

from aiohttp import web

from registry.db import package_files
from registry.documents import Page
from registry.errors import FileNotFound, Invalid
from registry.formats.pypi import names
from registry.formats.pypi.pages import NotAcceptable
from registry.formats.pypi.simple import PROVENANCE_TYPE
from registry.formats.pypi.status import check_offered, offering, shown
from registry.server import responses
from registry.server.content import JSON
from registry.server.context import Context

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_OFFERED = {PROVENANCE_TYPE: PROVENANCE_TYPE, JSON: JSON, "application/*": JSON, "*/*": JSON}


async def provenance(context: Context) -> web.StreamResponse:
    """Retrieve the provenance of a file: who attested what about it. A file without attestations has none."""
    name, version = names.normalize(context.params["name"]), context.params["version"]
    file_name, sha256 = context.params["file_name"], context.request.query.get("sha256")
    media_type = _media_type(context.request)
    if sha256 is not None and not _SHA256.fullmatch(sha256):
        raise Invalid("sha256 is invalid")
    services, projects = context.services, context.target.projects
    serials = await services.lookups.serials("pypi", name, projects)
    if not serials.exists:
        raise FileNotFound("404 Package Not Found")
    check_offered(shown(serials), name)
    offered = offering(serials)

    async def render() -> Page:
        found = await package_files.find_provenance(services.db, "pypi", name, offered, file_name, sha256)
        if found is None or found.text is None or not names.same_version(found.version, version):
            raise FileNotFound("404 Not Found - there is no provenance for this file")
        return Page(found.text.encode(), media_type, (("Vary", "Accept, Accept-Encoding, Authorization"),))

    key = ("pypi", "provenance", media_type, context.base_url, name, version, file_name, sha256, serials.pairs)
    return await responses.document(context, key, render)


def _media_type(request: web.BaseRequest) -> str:
    """The first type of the Accept header that there is."""
    accept = ",".join(request.headers.getall("Accept", [])) or "*/*"
    for item in accept.lower().split(","):
        media, _, parameters = item.partition(";")
        offered = _OFFERED.get(media.strip())
        if offered is not None and not re.search(r"\bq=0(\.0*)?\s*($|;)", parameters):
            return offered
    raise NotAcceptable(f"406 Not Acceptable - provenance comes as {PROVENANCE_TYPE}, {JSON}")
