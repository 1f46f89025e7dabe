"""Service routes: ping, whoami, search, audit. None of them is in GitLab but audit; npm clients ask for all."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from registry.access import Ability
from registry.db import advisories, package_names, packages
from registry.db.connection import Db
from registry.db.package_names import FoundName
from registry.errors import Invalid, RegistryError
from registry.formats.npm import audit, names, pages, search, semver
from registry.model import Level
from registry.server import bodies, feed, responses
from registry.server.context import Context
from registry.upstream import PUBLIC, forwards

_AUDIT_LIMIT = 16 * 1024 * 1024
_PAGE_LIMIT = 250
_MAX_OFFSET = 1_000_000


async def ping(context: Context) -> web.StreamResponse:
    """Answer `npm ping`."""
    return responses.json({})


async def ping_denied(context: Context, _refusal: RegistryError) -> web.StreamResponse:
    """The same answer where there is no project or group: nothing is said of what exists."""
    return responses.json({})


async def whoami(context: Context) -> web.StreamResponse:
    """Answer `npm whoami`: the user's name, or the deploy token's."""
    context.require(Ability.SIGNED_IN, None)
    return responses.json({"username": context.actor.username}, headers={"Cache-Control": "private, no-store"})


async def find(context: Context) -> web.StreamResponse:
    """Search, for `npm search`: among what the caller may see; `total` counts all matches."""
    parameters = context.request.query
    size, offset = _number(parameters.get("size"), 20, _PAGE_LIMIT), _number(parameters.get("from"), 0, _MAX_OFFSET)
    query = search.parse(parameters.get("text", ""))
    projects = context.target.projects
    if context.target.level is Level.INSTANCE:
        projects = await context.services.lookups.readable_ids(context.actor, None)
    async with context.services.db.snapshot() as db:
        rows = await _matches(db, projects, query, max(size, 1), offset)
        # Behind the last page there is no row to tell how many there are.
        total = rows or await _matches(db, projects, query, 1, 0)
        hits = await _describe(db, projects, rows[:size])
    body = search.page(hits, total=total[0].total if total else 0, now=datetime.now(UTC))
    return responses.json(body, headers={"Cache-Control": context.cache_control, "Vary": "Authorization"})


async def changes(context: Context) -> web.Response:
    """List the npm names that changed since the last look, for followers and mirrors (CouchDB's `_changes`)."""
    return await feed.answer(context, "npm")


async def _matches(db: Db, projects: tuple[int, ...], query: search.Query, limit: int, offset: int) -> list[FoundName]:
    return await package_names.search(
        db, "npm", projects, tag="latest", prefix=query.prefix, words=query.words, limit=limit, offset=offset
    )


async def _describe(db: Db, projects: tuple[int, ...], found: list[FoundName]) -> list[dict[str, object]]:
    """The hits with the manifests of their `latest`: as tagged, else the highest version."""
    latest = {one.name: one.tagged_id for one in found}
    untagged = [name for name, tagged in latest.items() if tagged is None]
    ids: dict[str, dict[str, int]] = {}
    for number in await packages.list_numbers(db, "npm", untagged, projects) if untagged else ():
        ids.setdefault(number.name, {})[number.version] = number.id
    for name, versions in ids.items():
        highest = semver.highest(versions)
        latest[name] = versions[highest] if highest else None
    rows = await packages.list_manifests(db, [package_id for package_id in latest.values() if package_id is not None])
    described = {row.name: search.result(names.parse(row.name), pages.version_row(row)) for row in rows}
    return [described[one.name] for one in found if one.name in described]


async def bulk(context: Context) -> web.StreamResponse:
    """Audit, for npm 7 and later, pnpm 12, bun, berry."""
    return await _audit(context, audit.BULK)


async def quick(context: Context) -> web.StreamResponse:
    """Audit, for npm 6 and pnpm 10, and the fallback of npm 7 to 10."""
    return await _audit(context, audit.QUICK)


async def audit_denied(context: Context, refusal: RegistryError) -> web.StreamResponse:
    """GitLab forwards before it authorises; only credentials are needed."""
    if refusal.status == 403:
        raise refusal
    return await _audit(context, refusal)


async def _audit(context: Context, form: audit.Form | RegistryError) -> web.StreamResponse:
    """Answered from the advisories that were loaded, without asking anybody.

    Without any, forwarded as on GitLab where forwarding is on; else nothing is known against any package.
    """
    context.require(Ability.SIGNED_IN, None)
    body = await bodies.read_packed(context.request, _AUDIT_LIMIT)
    # A small body may hold a large tree: it is unpacked only when its turn has come.
    async with context.services.audits.share(1):
        return await _report(context, form, body)


async def _report(context: Context, form: audit.Form | RegistryError, body: bytes) -> web.StreamResponse:
    services = context.services
    document = await asyncio.to_thread(_document, context.request, body)
    place = context.target.project or context.target.group
    if forwards("npm", place, await services.lookups.settings()) and not await advisories.exist(services.db):
        path = context.endpoint.template.partition("/-/npm/")[2]
        return web.Response(status=307, headers={"Location": f"{PUBLIC['npm']}/-/npm/{path}"})
    if isinstance(form, RegistryError):
        raise form
    tree = await asyncio.to_thread(form.parse, document)
    names_asked = [name for name in tree.installed if "\0" not in name]
    known = await advisories.list_about(
        services.db, audit.ECOSYSTEM, names_asked, details=form.details, limit=audit.MOST_KNOWN + 1
    )
    report = await asyncio.to_thread(form.report, tree, known)
    return web.Response(body=report, headers={"Content-Type": "application/json"})


def _document(request: web.Request, body: bytes) -> Mapping[str, Any]:
    inflated = bodies.inflated(request, body, _AUDIT_LIMIT)
    return bodies.json_object(inflated) if inflated.strip() else {}


def _number(text: str | None, default: int, highest: int) -> int:
    if text is None or text == "":
        return default
    if not text.isascii() or not text.isdigit():
        raise Invalid("size and from are numbers")
    return min(int(text[:9]), highest)
