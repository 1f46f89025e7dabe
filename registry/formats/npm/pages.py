"""Pages: packuments and single manifests, rendered from stored texts and cached (contract 4.4; npm.md A.2, A.3)."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from aiohttp import web

from registry.blocks import Block
from registry.db import packages
from registry.db.connection import Db, Torn
from registry.db.packages import Outline
from registry.documents import Page
from registry.errors import NotFound
from registry.formats.npm import finding, owners, packument
from registry.formats.npm.names import Name
from registry.formats.npm.packument import Attested, Packument, Person, Tarballs, VersionRow
from registry.lookups import Serials
from registry.sections import Sections
from registry.server import responses
from registry.server.context import Context
from registry.server.finished import Finished

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
    people, until = (None, None) if abbreviated else await owners.shown(context, serials)

    async def render() -> Page:
        found = await _load(context, name, serials, abbreviated=abbreviated)
        if abbreviated:
            return _page(packument.abbreviated(found), packument.ABBREVIATED_TYPE, found.modified)
        body = packument.full(dataclasses.replace(found, owners=people))
        return _page(body, packument.FULL_TYPE, found.modified)

    response = await responses.document(context, (_key(context, name, serials, abbreviated), people), render)
    if isinstance(response, Finished):
        response.valid_until = until
    return response


async def manifest(context: Context) -> web.StreamResponse:
    """Retrieve one version, by number or tag: what pnpm's `add` and Corepack ask for. Forwarded like the packument."""
    name, wanted = finding.asked_name(context), context.params["version"]
    try:
        serials = await finding.find(context, name)
    except NotFound as refusal:
        return await finding.forward(context, name, refusal)

    async def read(db: Db) -> tuple[packages.VersionRow, datetime]:
        outline = await _outline(db, name, _holding(serials))
        version = packument.find(outline.ids, outline.tags, wanted)
        if version is None:
            raise NotFound("404 Package Not Found")
        rows = await packages.list_manifests(db, [outline.ids[version]])
        if not rows or (rows[0].id, rows[0].revision) not in outline.marks:
            raise Torn
        return rows[0], outline.moved_at

    async def render() -> Page:
        row, modified = await context.services.db.consistent(read)
        return _page(packument.manifest(_tarballs(context, name), version_row(row)), packument.FULL_TYPE, modified)

    return await responses.document(context, (_key(context, name, serials, "manifest"), wanted), render)


async def dist_tags(context: Context, name: Name, serials: Serials) -> web.StreamResponse:
    """The tags as a flat object; `latest` is always there."""

    async def render() -> Page:
        outline = await _outline(context.services.db, name, _holding(serials))
        return _page(packument.pointers(outline.ids, outline.tags), packument.FULL_TYPE, outline.moved_at)

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
    publisher, attestations = row.facts.get("publisher"), row.facts.get("attestations")
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
        attested=_attested(attestations[0]) if attestations else None,
        signatures=row.facts.get("signatures", ()),
    )


def _attested(attestation: Mapping[str, Any]) -> Attested:
    return Attested(attestation["predicate_type"], attestation["verified"])


async def _load(context: Context, name: Name, serials: Serials, *, abbreviated: bool) -> Packument:
    """Everything about a name that the caller may read here."""

    async def read(db: Db) -> Packument:
        projects = _holding(serials)
        outline = await _outline(db, name, projects)
        found = Packument(
            name=name,
            versions=await _versions(db, context, name, projects, outline, abbreviated=abbreviated),
            tags=outline.tags,
            revision=packument.revision(serial for _, serial in serials.pairs),
            modified=outline.moved_at,
        )
        if abbreviated:
            return found
        latest = outline.ids[packument.dist_tags(outline.ids, outline.tags)["latest"]]
        front = await packages.find_front(db, latest)
        return dataclasses.replace(found, latest=front.manifest.encode(), readme=front.readme)

    return await context.services.db.consistent(read)


def _holding(serials: Serials) -> list[int]:
    """The projects that have the name."""
    return [project for project, _ in serials.pairs]


async def _outline(db: Db, name: Name, projects: list[int]) -> Outline:
    """What there is of a name, at least one version."""
    outline = await packages.find_outline(db, "npm", name.text, projects)
    if outline is None:
        raise NotFound("404 Packages Not Found")
    return outline


async def _versions(
    db: Db, context: Context, name: Name, projects: list[int], outline: Outline, *, abbreviated: bool
) -> Sections[packument.Entry]:
    """The versions, those rendered anew that were not here at their revision when this was asked last."""
    services = context.services
    key = ("npm", abbreviated, context.base_url, name.text, context.target.projects, services.changes.history)
    old: Sections[packument.Entry] = services.sections.find(key) or Sections()

    async def list_rows(ids: Sequence[int] | None) -> list[packages.VersionRow]:
        return await packages.list_versions(db, "npm", name.text, projects, ids, abbreviated=abbreviated)

    rows = await old.changed(outline.marks, list_rows)
    tarballs = _tarballs(context, name)

    def renew() -> Sections[packument.Entry]:
        fresh = {row.id: packument.entry(tarballs, row.id, version_row(row), abbreviated=abbreviated) for row in rows}
        return old.renewed(outline.marks, fresh)

    sections = await asyncio.to_thread(renew) if len(rows) > _WORTH_A_THREAD else renew()
    services.sections.keep(key, sections)
    return sections


def _tarballs(context: Context, name: Name) -> Tarballs:
    canonical = context.services.settings.npm_tarball_names == "canonical"
    return Tarballs(name, context.base_url, canonical=canonical)


def _key(context: Context, name: Name, serials: Serials, variant: object) -> tuple[object, ...]:
    return ("npm", variant, context.base_url, name.text, serials.pairs)


def _page(body: bytes | tuple[Block, ...], media_type: str, modified: datetime) -> Page:
    """Last-Modified is for the client's information: all that send it back send If-None-Match, which outranks it."""
    return Page(body, media_type, (_VARY, ("Last-Modified", format_datetime(modified.astimezone(UTC), usegmt=True))))
