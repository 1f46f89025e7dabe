"""The composition root: settings become a running application. The only module that knows every part."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import aiohttp_jinja2
import jinja2
from aiohttp import web

from registry import __version__, metrics, resource
from registry.api import API_FACE, API_ROUTES, docs, operations
from registry.changes import Changes
from registry.db.connection import open_database
from registry.documents import Documents
from registry.formats.npm.routes import FACE as NPM_FACE
from registry.formats.npm.routes import FORMAT as NPM
from registry.formats.npm.routes import LOGIN_ROUTES
from registry.formats.pypi.routes import FORMAT as PYPI
from registry.ingest import Ingest
from registry.inspection import Inspector
from registry.lookups import Lookups
from registry.package_lists import PackageLists
from registry.sections import KeptSections
from registry.server import pace
from registry.server.pipeline import Pipeline
from registry.server.routes import Table
from registry.services import Services
from registry.settings import Settings
from registry.siblings import Siblings
from registry.storage import BlobStore, open_store
from registry.storage.breaker import guarded
from registry.usage import Usage

FORMATS = (PYPI, NPM)


def routes() -> Table:
    """Every route of the server."""
    table = Table()
    for one in FORMATS:
        table.mount(one)
    table.add(LOGIN_ROUTES, NPM_FACE)
    table.add(API_ROUTES, API_FACE)
    table.add(operations.ROUTES, API_FACE)
    table.add(docs.routes(table), API_FACE)
    return table


@contextlib.asynccontextmanager
async def open_services(
    settings: Settings, database_url: str, *, siblings: Siblings | None = None
) -> AsyncIterator[Services]:
    """The running parts, closed in the reverse order. `siblings` are the other workers on the port."""
    pooled = settings.database_direct_url is not None
    async with contextlib.AsyncExitStack() as stack:
        db = await open_database(database_url, pool_size=settings.database_pool, pooled=pooled)
        stack.push_async_callback(db.close)
        opened = await stack.enter_async_context(open_store(settings.store_url, floor=settings.free_space_bytes))
        store = await stack.enter_async_context(guarded(opened, failures=settings.store_failures))
        lookups = Lookups(db)
        package_lists = PackageLists(db)

        def forget(moved: Sequence[tuple[str, str]] | None) -> None:
            lookups.forget(moved)
            package_lists.forget(moved)

        changes = Changes(db, forget, stale_seconds=settings.stale_seconds)
        stack.push_async_callback(changes.close)
        ingest = Ingest(db, store, memory=settings.upload_memory_bytes, wait_seconds=settings.upload_wait_seconds)
        stack.callback(ingest.close)
        inspector = await stack.enter_async_context(Inspector())
        if siblings is not None:
            await stack.enter_async_context(siblings.telling())
        usage = Usage(db)
        await stack.enter_async_context(usage.flushing())
        yield Services(
            settings=settings,
            db=db,
            store=store,
            changes=changes,
            lookups=lookups,
            package_lists=package_lists,
            documents=Documents(settings.document_cache_bytes * 3 // 4),
            sections=KeptSections(settings.document_cache_bytes // 4),
            ingest=ingest,
            inspector=inspector,
            usage=usage,
            redirects=redirects(settings, store),
            normalize=normalize,
            same_version=same_version,
            siblings=siblings,
        )


def normalize(package_type: str, name: str) -> str:
    """A name, or a pattern of names, as the format of this type compares names."""
    return next(one.normalize(name) for one in FORMATS if one.package_type == package_type)


def same_version(package_type: str, one: str, other: str) -> bool:
    """Whether two texts are one version to the format of this type."""
    return next(each.same_version(one, other) for each in FORMATS if each.package_type == package_type)


def redirects(settings: Settings, store: BlobStore) -> bool:
    """Whether downloads go to presigned URLs.

    Never to our own host name: npm and yarn keep the Authorization header on a redirect to another port of the same
    host (npm.md, B.4). Raises ValueError when the settings demand just that.
    """
    own_host = (urlsplit(settings.base_url).hostname or "").lower()
    safe = store.public_host is not None and store.public_host != own_host
    if settings.downloads == "redirect" and not safe:
        raise ValueError(
            "REGISTRY_DOWNLOADS=redirect needs a store with URLs on another host name than the registry's: "
            "npm and yarn would send their tokens along"
        )
    return safe and settings.downloads != "proxy"


PIPELINE = web.AppKey("pipeline", Pipeline)
DRAINING = web.AppKey("draining", asyncio.Event)


def make_app(services: Services, *, table: Table | None = None) -> web.Application:
    """The aiohttp application: templates, and one catch-all in front of the pipeline."""
    app = web.Application(client_max_size=0)
    aiohttp_jinja2.setup(
        app,
        loader=jinja2.FileSystemLoader(resource("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    app[pace.SLOWEST] = services.settings.slowest_client
    app[PIPELINE] = Pipeline(services, table or routes(), API_FACE)
    app[DRAINING] = services.draining
    app.router.add_route("*", "/{path:.*}", app[PIPELINE].handle, expect_handler=_wait_for_handler)
    metrics.build_info.labels(__version__).set(1)
    return app


def make_server(app: web.Application, **options: Any) -> web.Server:
    """What accepts connections for the application, without its router: every path is the pipeline's.

    `options` are those of aiohttp's request handler. Bodies are never inflated on the way: `server/bodies` does it,
    with a limit, where it is allowed.
    """
    options.setdefault("auto_decompress", False)
    route = next(iter(app.router.routes()))
    match_info = web.UrlMappingMatchInfo({}, route)
    match_info.add_app(app)
    match_info.freeze()
    loop = asyncio.get_running_loop()
    draining = app[DRAINING]
    handle: Any = app[PIPELINE].handle  # of web.Request, which the factory below makes of every request

    def request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.Request:
        if draining.is_set():
            # The answer tells the client to take its next request to another replica.
            message = message._replace(should_close=True)
        request = web.Request(message, payload, protocol, writer, task, loop, client_max_size=0)
        # What Application._handle would find out again for each request; aiohttp-jinja2 finds its templates by it.
        request._match_info = match_info  # noqa: SLF001
        return request

    return web.Server(handle, request_factory=request, **options)


async def _wait_for_handler(request: web.Request) -> None:
    """`100 Continue` is sent by who reads the body, after authorisation, not on arrival."""
