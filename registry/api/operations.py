"""Operations: health, liveness, readiness, metrics. None of them needs credentials or touches shared dependencies."""

from __future__ import annotations

from aiohttp import web

from registry import metrics
from registry.access import Ability
from registry.server import responses
from registry.server.content import entity, text
from registry.server.context import Context
from registry.server.routes import Route


async def health(context: Context) -> web.StreamResponse:
    """Say that the process answers."""
    return web.Response(text="GitLab OK")


async def liveness(context: Context) -> web.StreamResponse:
    """Say that the event loop turns. Nothing else is asked: an outage of Postgres must not restart every replica."""
    return responses.json({"status": "ok"})


async def readiness(context: Context) -> web.StreamResponse:
    """Say whether traffic should come here: the schema fits and the server is not draining."""
    if context.services.draining.is_set():
        return responses.json({"status": "draining"}, status=503)
    if context.services.outgrown.is_set():
        return responses.json({"status": "outgrown"}, status=503)
    return responses.json({"status": "ok"})


async def exposition(context: Context) -> web.StreamResponse:
    """Show metrics in Prometheus' text format: of all workers, where there are several."""
    siblings = context.services.siblings
    body = metrics.exposition() if siblings is None else await siblings.exposition()
    return web.Response(body=body, headers={"Content-Type": metrics.CONTENT_TYPE})


_STATUS = entity("Status", {"status": "string"})

ROUTES = (
    Route("GET", "/-/health", health, Ability.PUBLIC, answers={200: text()}),
    Route("GET", "/-/liveness", liveness, Ability.PUBLIC, answers={200: _STATUS}),
    Route("GET", "/-/readiness", readiness, Ability.PUBLIC, answers={200: _STATUS, 503: _STATUS}),
    Route("GET", "/-/metrics", exposition, Ability.PUBLIC, answers={200: text()}),
)
