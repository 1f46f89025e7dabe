"""Previews: a registry that has the versions of a stage beside those of its project."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web

from registry import staging
from registry.catalog import Publication
from registry.db import packages, stages
from registry.db.packages import VersionRow
from registry.db.stages import Stage, StagedFile
from registry.documents import Page
from registry.formats.npm import downloads, finding, packument, pages
from registry.formats.npm.names import Name
from registry.formats.npm.packument import Entry, Packument, Person, Tarballs
from registry.sections import Sections
from registry.server import files, responses
from registry.server.context import Context
from registry.server.stages import asked_stage, staged_row, until

_VARY = ("Vary", "Accept, Accept-Encoding, Authorization")


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a preview shows of a name: released versions, staged ones, tags of both, and what stands at the front."""

    released: Sequence[VersionRow]
    staged: Sequence[tuple[StagedFile, Publication]]
    tags: Mapping[str, str]
    modified: datetime
    latest: bytes
    readme: str | None


async def document(context: Context) -> web.StreamResponse:
    """Retrieve the packument of a preview. A name that neither has is the project's matter."""
    name, stage = finding.asked_name(context), await asked_stage(context, "npm")
    abbreviated = pages.wants_abbreviated(context.request)
    shown = await _load(context, stage, name, abbreviated=abbreviated)
    if shown is None:
        return await pages.document(context)
    prefix = f"{context.base_url}/-/stages/{stage.id}"
    tarballs = Tarballs(name, prefix, canonical=context.services.settings.npm_tarball_names == "canonical")
    marks = [*((row.id, row.revision) for row in shown.released), *((-file.id, 0) for file, _ in shown.staged)]

    async def render() -> Page:
        entries = _entries(tarballs, shown, abbreviated=abbreviated)
        empty: Sections[Entry] = Sections()
        found = Packument(
            name=name,
            versions=empty.renewed(marks, entries),
            tags=shown.tags,
            revision=str(stage.id),
            modified=shown.modified,
            latest=shown.latest,
            readme=shown.readme,
        )
        if abbreviated:
            return Page(packument.abbreviated(found), packument.ABBREVIATED_TYPE, (_VARY,))
        return Page(packument.full(found), packument.FULL_TYPE, (_VARY,))

    key = ("npm", "preview", abbreviated, prefix, name.text, tuple(marks), tuple(shown.tags.items()), shown.modified)
    return until(stage, await responses.document(context, key, render))


async def download(context: Context) -> web.StreamResponse:
    """Download a tarball of a preview: of the stage, or else of the project."""
    name, stage = finding.asked_name(context), await asked_stage(context, "npm")
    version = name.version_of(context.params["file"])
    for file in await stages.list_files(context.services.db, [stage.id], name.text):
        if file.version == version:
            return until(stage, await files.send(context, staged_row(context, file)))
    return await downloads.download(context)


async def _load(context: Context, stage: Stage, name: Name, *, abbreviated: bool) -> _Shown | None:
    projects = [context.project.id]
    async with context.services.db.snapshot() as db:
        files_ = await stages.list_files(db, [stage.id], name.text)
        released = await packages.list_versions(db, "npm", name.text, projects, abbreviated=abbreviated)
        if not files_ and not released:
            return None
        staged = [(file, await staging.publication_of(db, file)) for file in files_]
        outline = await packages.find_outline(db, "npm", name.text, projects)
        tags = dict(outline.tags) if outline else {}
        tags |= {tag: one.version for _, one in staged for tag in one.tags}
        ids = {row.version: row.id for row in released}
        latest = packument.dist_tags({*ids, *(file.version for file in files_)}, tags)["latest"]
        front = next((one for _, one in staged if one.version == latest), None)
        if front is not None:
            manifest, readme = front.manifest or "{}", front.readme
        else:
            stored = await packages.find_front(db, ids[latest])
            manifest, readme = stored.manifest, stored.readme
    moments = [file.created_at for file in files_]
    modified = max([*moments, outline.moved_at] if outline else moments, default=stage.created_at)
    return _Shown(released, staged, tags, modified.astimezone(UTC), manifest.encode(), readme)


def _entries(tarballs: Tarballs, shown: _Shown, *, abbreviated: bool) -> dict[int, Entry]:
    """Entries by the id of the row; those of staged files are negative, for ids of the two kinds may be equal.

    Attestations, which are served by the registry of the project alone, are not told of.
    """
    entries = {}
    for released in shown.released:
        bare = dataclasses.replace(pages.version_row(released), attested=None)
        entries[released.id] = packument.entry(tarballs, released.id, bare, abbreviated=abbreviated)
    for file, publication in shown.staged:
        row = _version_row(file, publication, abbreviated=abbreviated)
        entries[-file.id] = packument.entry(tarballs, -file.id, row, abbreviated=abbreviated)
    return entries


def _version_row(file: StagedFile, publication: Publication, *, abbreviated: bool) -> packument.VersionRow:
    text = publication.abbreviated if abbreviated else publication.manifest
    publisher = publication.facts.get("publisher")
    return packument.VersionRow(
        version=file.version,
        manifest=(text or "{}").encode(),
        shasum=file.sha1 or "",
        integrity=packument.subresource_integrity(file.sha512 or ""),
        file_count=publication.facts.get("file_count", 0),
        unpacked_size=publication.facts.get("unpacked_size", 0),
        created_at=file.created_at,
        deprecated=publication.deprecated,
        publisher=Person(publisher) if publisher else None,
    )
