"""Simple pages: the index and the page of a project, in HTML and JSON (contract 3.4, 3.5; PEP 503, 691, 700, 792)."""

from __future__ import annotations

import re
from collections.abc import Sequence

import aiohttp_jinja2
from aiohttp import web

from registry import grants
from registry.blocks import Block
from registry.db import package_files, package_names, stages
from registry.db.connection import Db
from registry.db.stages import Stage, StagedFile
from registry.documents import Page
from registry.errors import NotFound, RegistryError
from registry.formats.pypi import namespaces, simple
from registry.formats.pypi.names import normalize
from registry.formats.pypi.negotiation import Representation, negotiate
from registry.formats.pypi.publication import BadParameters
from registry.formats.pypi.simple import SimpleFile, SimpleProject
from registry.formats.pypi.status import QUARANTINED, of_project, offering, shown
from registry.lookups import Serials
from registry.sections import Mark, Sections
from registry.server import responses
from registry.server.context import Context
from registry.server.stages import asked_stage, until
from registry.upstream import PUBLIC, forwards

# What may be put into a Location: a valid name (PEP 508); the public index has no others.
_FORWARDABLE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9])?", re.ASCII)


class NotAcceptable(RegistryError):
    """406 Not Acceptable"""

    status = 406


async def index(context: Context) -> web.StreamResponse:
    """List the names of packages: the simple index."""
    representation = _representation(context)
    serials = await context.services.lookups.serials("pypi", "", context.target.projects)
    version = namespaces.version(True if await namespaces.are_on(context) else None)

    async def render() -> Page:
        rows = await package_names.list_names(context.services.db, "pypi", context.target.projects)
        projects = [SimpleProject(row.name, row.normalized_name) for row in rows]
        if representation is Representation.JSON:
            return _page(simple.index_json(projects, api_version=version), representation)
        anchors = simple.project_anchors(context.base_url, projects)
        return _html(context, simple.page_context(_title(context), anchors, api_version=version), representation)

    key = ("pypi", "index", representation, context.base_url, _title(context), version, serials.pairs)
    return await responses.document(context, key, render)


async def project(context: Context) -> web.StreamResponse:
    """List the files of a name: its simple page. An unknown name is forwarded, where that is on."""
    representation = _representation(context)
    name, serials = await _asked(context)
    if not serials.exists:
        return await _forward(context, context.params["name"], name)
    return await _project(context, representation, name, serials)


async def own(context: Context) -> web.StreamResponse:
    """List the files of a name that is here: its simple page, where hatch looks for what is uploaded already.

    Nothing is forwarded: hatch would take a file of the public index for one of ours and not upload it.
    """
    representation = _representation(context)
    name, serials = await _asked(context)
    if not serials.exists:
        raise NotFound("404 Package Not Found")
    return await _project(context, representation, name, serials)


async def _asked(context: Context) -> tuple[str, Serials]:
    """The normalised name asked for, and where it is."""
    asked = context.params["name"]
    if "/" in asked or "\\" in asked:
        raise BadParameters("package_name should be a valid file path")
    name = normalize(asked)
    return name, await context.services.lookups.serials("pypi", name, context.target.projects)


async def _project(context: Context, representation: Representation, name: str, serials: Serials) -> web.StreamResponse:
    status = shown(serials)
    covered = await namespaces.of_project(context, name, serials)
    version = namespaces.version(covered)

    async def render() -> Page:
        files = await _files(context, name, serials)
        entries = files.entries
        if representation is Representation.JSON:
            versions = (entry.version for entry in entries)
            more = namespaces.shown(covered)
            body = simple.project_json(name, files, versions, status=status, api_version=version, more=more)
            return _page(body, representation)
        title = entries[0].name if entries else name
        anchors = simple.file_anchors(entry.file for entry in entries)
        return _html(context, simple.page_context(title, anchors, status=status, api_version=version), representation)

    key = ("pypi", "project", representation, context.base_url, name, version, covered, serials.pairs)
    return await responses.document(context, key, render)


async def preview_index(context: Context) -> web.StreamResponse:
    """List the names of a preview: those of the project and those of the stage."""
    representation, stage = _representation(context), await asked_stage(context, "pypi")
    services, place = context.services, context.project
    async with services.db.snapshot() as db:
        released = await package_names.list_names(db, "pypi", [place.id])
        staged = await stages.list_files(db, [stage.id])
    names = {file.normalized_name: file.name for file in staged} | {row.normalized_name: row.name for row in released}
    projects = [SimpleProject(names[key], key) for key in sorted(names)]

    async def render() -> Page:
        if representation is Representation.JSON:
            return _page(simple.index_json(projects), representation)
        anchors = simple.project_anchors(_preview_base(context, stage), projects)
        return _html(context, simple.page_context(_title(context), anchors), representation)

    key = ("pypi", "preview", representation, context.base_url, stage.id, _title(context), tuple(names.items()))
    return until(stage, await responses.document(context, key, render))


async def preview(context: Context) -> web.StreamResponse:
    """List the files of a name in a preview: those of the project and those of the stage. Others are the project's."""
    representation, stage = _representation(context), await asked_stage(context, "pypi")
    services, name = context.services, normalize(context.params["name"])
    async with services.db.snapshot() as db:
        staged = await stages.list_files(db, [stage.id], name)
        released = await package_files.list_files(db, "pypi", name, [context.project.id]) if staged else []
        status = await of_project(db, context.project, name)
    if not staged:
        return await project(context)
    title = staged[0].name
    if status.status == QUARANTINED:
        staged, released = [], []
    base = _preview_base(context, stage)
    entries = {
        row.id: simple.entry(_simple_file(context.base_url, name, row), row.name, row.version) for row in released
    }
    # Ids of the two kinds of rows may be equal.
    entries |= {-file.id: simple.entry(_staged_file(base, file), file.name, file.version) for file in staged}
    marks = [*((row.id, row.revision) for row in released), *((-file.id, 0) for file in staged)]

    async def render() -> Page:
        empty: Sections[simple.Entry] = Sections()
        files = empty.renewed(marks, entries)
        if representation is Representation.JSON:
            versions = (one.version for one in files.entries)
            return _page(simple.project_json(name, files, versions, status=status), representation)
        anchors = simple.file_anchors(one.file for one in files.entries)
        return _html(context, simple.page_context(title, anchors, status=status), representation)

    key = ("pypi", "preview", representation, base, name, status, tuple(marks))
    return until(stage, await responses.document(context, key, render))


def _preview_base(context: Context, stage: Stage) -> str:
    return f"{context.base_url}/stages/{stage.id}"


def _staged_file(base: str, file: StagedFile) -> SimpleFile:
    return SimpleFile(
        filename=file.file_name,
        url=simple.file_url(base, file.sha256, file.file_name),
        sha256=file.sha256,
        size=file.size,
        upload_time=file.created_at,
        requires_python=file.requires_python,
    )


async def _files(context: Context, name: str, serials: Serials) -> Sections[simple.Entry]:
    """The files of a name, those rendered anew that were not here at their revision when this was asked last."""
    services = context.services
    projects = offering(serials)
    key = ("pypi", context.base_url, name, context.target.projects, services.changes.history)
    old: Sections[simple.Entry] | None = services.sections.find(key)

    async def read(db: Db) -> tuple[list[Mark], list[package_files.PageFile]]:
        async def list_rows(ids: Sequence[int] | None) -> list[package_files.PageFile]:
            return await package_files.list_files(db, "pypi", name, projects, ids)

        if old is None:
            rows = await list_rows(None)
            return [(row.id, row.revision) for row in rows], rows
        marks = await package_files.list_file_marks(db, "pypi", name, projects)
        return marks, await old.changed(marks, list_rows)

    marks, rows = await services.db.consistent(read)
    fresh = {row.id: simple.entry(_simple_file(context.base_url, name, row), row.name, row.version) for row in rows}
    sections = (old or Sections()).renewed(marks, fresh)
    services.sections.keep(key, sections)
    return sections


async def _forward(context: Context, asked: str, name: str) -> web.StreamResponse:
    """Send the client to the public index for a name that never was here, whoever may see it here."""
    services, target = context.services, context.target
    everywhere = target.projects
    if target.group is not None:
        everywhere = tuple(project.id for project in await services.lookups.below(target.group))
    place = target.project or target.group
    known = (await services.lookups.serials("pypi", name, everywhere)).known
    known = known or await services.lookups.is_retired("pypi", name, place.root_path if place is not None else None)
    known = known or bool(grants.covering(await services.lookups.grants("pypi"), name))
    if known or not _FORWARDABLE.fullmatch(asked) or not forwards("pypi", place, {}):
        raise NotFound("404 Package Not Found")
    return web.Response(
        status=302, headers={"Location": f"{PUBLIC['pypi']}/simple/{asked}/", "Cache-Control": "no-store"}
    )


def _representation(context: Context) -> Representation:
    request = context.request
    accept = ",".join(request.headers.getall("Accept", [])) or None
    representation = negotiate(accept, request.query.get("format"))
    if representation is None:
        offered = ", ".join(one.value for one in Representation)
        raise NotAcceptable(f"406 Not Acceptable - this page comes as {offered}")
    return representation


def _title(context: Context) -> str:
    place = context.target.project or context.target.group
    return place.name if place is not None else ""


def _simple_file(base: str, name: str, row: package_files.PageFile) -> SimpleFile:
    provenance = simple.provenance_url(base, name, row.version, row.file_name, row.sha256) if row.attested else None
    return SimpleFile(
        filename=row.file_name,
        url=simple.file_url(base, row.sha256, row.file_name),
        sha256=row.sha256,
        size=row.size,
        upload_time=row.created_at,
        requires_python=row.requires_python,
        yanked=row.yanked,
        yanked_reason=row.yanked_reason,
        provenance_url=provenance,
        core_metadata_sha256=row.core_metadata_sha256,
    )


def _html(context: Context, values: dict[str, object], representation: Representation) -> Page:
    text = aiohttp_jinja2.render_string(simple.TEMPLATE, context.request, values)
    return _page(text.encode(), representation, responses.html_headers())


def _page(
    body: bytes | tuple[Block, ...], representation: Representation, more: tuple[tuple[str, str], ...] = ()
) -> Page:
    vary = ("Vary", "Accept, Accept-Encoding, Authorization")
    return Page(body, representation.content_type, (vary, *more))
