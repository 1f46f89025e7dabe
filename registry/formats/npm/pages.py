"""Pages: packuments and single manifests, rendered from stored texts and cached (contract 4.4; npm.md A.2, A.3)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

from aiohttp import web

from registry.db import packages
from registry.db.connection import Db
from registry.documents import Page
from registry.errors import NotFound
from registry.formats.npm import finding, packument
from registry.formats.npm.names import Name
from registry.formats.npm.packument import Packument, Person, VersionRow
from registry.lookups import Serials
from registry.server import responses
from registry.server.context import Context

_VARY = ("Vary", "Accept, Accept-Encoding, Authorization")
# More versions than this are joined in a thread: about a millisecond of work.
_WORTH_A_THREAD = 100


async def document(context: Context) -> web.StreamResponse:
    """Retrieve a packument, full or abbreviated. An unknown name is forwarded, where that is on."""
    name = finding.asked_name(context)
    try:
        serials = await finding.find(context, name)
    except NotFound as refusal:
        return await finding.forward(context, name, refusal)
    abbreviated = wants_abbreviated(context.request)

    async def render() -> Page:
        found = await _load(context, name, abbreviated=abbreviated)

        def join() -> bytes:
            whole = _packument(context, name, serials, found)
            return packument.abbreviated(whole) if abbreviated else packument.full(whole)

        body = await asyncio.to_thread(join) if len(found.rows) > _WORTH_A_THREAD else join()
        return _page(body, packument.ABBREVIATED_TYPE if abbreviated else packument.FULL_TYPE, found.modified)

    return await responses.document(context, _key(context, name, serials, abbreviated), render)


async def manifest(context: Context) -> web.StreamResponse:
    """Retrieve one version, by number or tag: what pnpm's `add` and Corepack ask for. Forwarded like the packument."""
    name, wanted = finding.asked_name(context), context.params["version"]
    try:
        serials = await finding.find(context, name)
    except NotFound as refusal:
        return await finding.forward(context, name, refusal)

    async def render() -> Page:
        async with context.services.db.snapshot() as db:
            ids, tags = await _pointers(db, context, name)
            version = packument.find(ids, tags, wanted)
            if version is None:
                raise NotFound("404 Package Not Found")
            rows = await packages.list_manifests(db, [ids[version]])
            found = _Found(rows, {}, await _modified(db, context, name), None)
        whole = _packument(context, name, serials, found)
        return _page(packument.manifest(whole, whole.versions[0]), packument.FULL_TYPE, found.modified)

    return await responses.document(context, (_key(context, name, serials, "manifest"), wanted), render)


async def dist_tags(context: Context, name: Name, serials: Serials) -> web.StreamResponse:
    """The tags as a flat object; `latest` is always there."""

    async def render() -> Page:
        async with context.services.db.snapshot() as db:
            ids, tags = await _pointers(db, context, name)
            modified = await _modified(db, context, name)
        return _page(packument.pointers(ids, tags), packument.FULL_TYPE, modified)

    return await responses.document(context, _key(context, name, serials, "dist-tags"), render)


def wants_abbreviated(request: web.BaseRequest) -> bool:
    """The abbreviated form, when the client likes it best.

    `?write=true` asks for what will be sent back, so it is always the full form: npm unpublish asks for it with the
    abbreviated type.
    """
    accept = ",".join(request.headers.getall("Accept", ()))
    return packument.wants_abbreviated(accept) and request.query.get("write") != "true"


def version_row(row: packages.VersionRow) -> VersionRow:
    """A version as stored, as documents show it."""
    publisher = row.facts.get("publisher")
    return VersionRow(
        version=row.version,
        manifest=row.manifest.encode(),
        shasum=row.sha1,
        integrity=packument.subresource_integrity(row.sha512),
        file_count=row.facts.get("file_count", 0),
        unpacked_size=row.facts.get("unpacked_size", 0),
        created_at=row.created_at,
        deprecated=row.status_message if row.status == "deprecated" else None,
        publisher=Person(publisher) if publisher else None,
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """What the database holds for a document; `tags` are versions by tag."""

    rows: list[packages.VersionRow]
    tags: dict[str, str]
    modified: datetime
    readme: str | None


async def _load(context: Context, name: Name, *, abbreviated: bool) -> _Found:
    """Everything about a name that the caller may read here. Of a version in two projects the newer one counts."""
    projects = context.target.projects
    async with context.services.db.snapshot() as db:
        found = await packages.list_versions(db, "npm", name.text, projects, abbreviated=abbreviated)
        rows = {row.version: row for row in found}
        if not rows:
            raise NotFound("404 Packages Not Found")
        tags = await _tags(db, context, name)
        modified = await _modified(db, context, name)
        latest = rows[packument.dist_tags(rows, tags)["latest"]]
        readme = None if abbreviated else await packages.find_readme(db, latest.id)
    return _Found([row for row in found if rows[row.version] is row], tags, modified, readme)


def _packument(context: Context, name: Name, serials: Serials, found: _Found) -> Packument:
    versions = [version_row(row) for row in found.rows]
    people = {row.publisher.name: row.publisher for row in versions if row.publisher is not None}
    return Packument(
        name=name,
        versions=versions,
        tags=found.tags,
        revision=packument.revision(serial for _, serial in serials.pairs),
        modified=found.modified,
        prefix=context.base_url,
        canonical=context.services.settings.npm_tarball_names == "canonical",
        maintainers=tuple(people.values()),
        readme=found.readme,
    )


async def _pointers(db: Db, context: Context, name: Name) -> tuple[dict[str, int], dict[str, str]]:
    """The package ids by version, at least one, and the versions by tag."""
    numbers = await packages.list_numbers(db, "npm", [name.text], context.target.projects)
    if not numbers:
        raise NotFound("404 Package Not Found")
    return {number.version: number.id for number in numbers}, await _tags(db, context, name)


async def _tags(db: Db, context: Context, name: Name) -> dict[str, str]:
    return {tag.name: tag.version for tag in await packages.list_tags(db, "npm", name.text, context.target.projects)}


async def _modified(db: Db, context: Context, name: Name) -> datetime:
    moved_at = await packages.find_moved_at(db, "npm", name.text, context.target.projects)
    if moved_at is None:
        raise NotFound("404 Packages Not Found")
    return moved_at


def _key(context: Context, name: Name, serials: Serials, variant: object) -> tuple[object, ...]:
    return ("npm", variant, context.base_url, name.text, serials.pairs)


def _page(body: bytes, media_type: str, modified: datetime) -> Page:
    """Last-Modified is for the client's information: all that send it back send If-None-Match, which outranks it."""
    return Page(body, media_type, (_VARY, ("Last-Modified", format_datetime(modified.astimezone(UTC), usegmt=True))))
