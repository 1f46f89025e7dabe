"""Attestations: the provenance bundles of a version, as `npm audit signatures` asks for them (npm.md, A.12)."""

from __future__ import annotations

import orjson
from aiohttp import web

from registry.db import package_files
from registry.documents import Page
from registry.errors import NotFound
from registry.formats.npm import finding, names
from registry.formats.npm.names import Name
from registry.server import responses
from registry.server.context import Context

_VARY = ("Vary", "Accept-Encoding, Authorization")
_ABSENT = "404 Not Found - there are no attestations of this version"


async def show(context: Context) -> web.StreamResponse:
    """Retrieve the attestations of a version. One that was published without provenance has none."""
    name, version = _asked(context.params["spec"])
    serials = await finding.find(context, name)
    services, projects = context.services, context.target.projects

    async def render() -> Page:
        found = await package_files.find_version_provenance(services.db, "npm", name.text, projects, version)
        if found is None or found.text is None:
            raise NotFound(_ABSENT)
        one = {"predicateType": found.facts["attestations"][0]["predicate_type"], "bundle": orjson.Fragment(found.text)}
        return Page(
            orjson.dumps({"attestations": [one]}), "application/json", (("Vary", "Accept-Encoding, Authorization"),)
        )

    key = ("npm", "attestations", context.base_url, name.text, version, serials.pairs)
    return await responses.document(context, key, render)


def _asked(spec: str) -> tuple[Name, str]:
    """Name and version of `name@version`. Raises NotFound where there is no version."""
    text, at, version = spec.rpartition("@")
    if not text or not at or not version:
        raise NotFound(_ABSENT)
    return names.parse(text), version
