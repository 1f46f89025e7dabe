"""What this server is."""

from __future__ import annotations

from aiohttp import web

from registry import __version__
from registry.access import Ability
from registry.api import schemas
from registry.server import responses
from registry.server.context import Context
from registry.server.routes import Route

# GitLab shows a commit here; what matters to a reader is that this is not GitLab itself.
REVISION = "package-registry"


async def version(_context: Context) -> web.Response:
    """Retrieve the version."""
    return responses.json({"version": __version__, "revision": REVISION})


async def metadata(_context: Context) -> web.Response:
    """Retrieve the version and the edition."""
    kas = {"enabled": False, "externalUrl": None, "externalK8sProxyUrl": None, "version": None}
    return responses.json({"version": __version__, "revision": REVISION, "kas": kas, "enterprise": False})


ROUTES = (
    Route("GET", "/api/v4/version", version, Ability.READ_USER, answers={200: schemas.VERSION}),
    Route("GET", "/api/v4/metadata", metadata, Ability.READ_USER, answers={200: schemas.METADATA}),
)
