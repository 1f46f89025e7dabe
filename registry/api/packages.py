"""Packages of projects and groups, and their files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aiohttp import web

from registry import catalog
from registry.access import Ability, can
from registry.api import package_entities as entities
from registry.api import schemas
from registry.api.entities import Entity
from registry.api.face import NotDetailed
from registry.api.pagination import PAGE, pages, respond
from registry.api.schemas import IF_UNMODIFIED_SINCE
from registry.conditions import unmodified_since
from registry.db import package_lists
from registry.db.package_lists import DISPLAYED, PackageDetails, PackageFilter
from registry.errors import NotFound
from registry.model import Tag
from registry.server import responses
from registry.server.context import Context
from registry.server.parameters import Parameter, given, number
from registry.server.routes import Route

# GitLab's package types; a list of those that this registry does not hold is empty.
_TYPES = ("maven", "npm", "conan", "nuget", "pypi", "composer", "generic", "golang", "debian", "rubygems", "helm",
          "terraform_module", "rpm", "ml_model", "cargo")  # fmt: skip
_STATUSES = ("default", "hidden", "processing", "error", "pending_destruction", "deprecated")
# Those that have a page of their own (GitLab: detailed info statuses).
_DETAILED = frozenset({"default", "deprecated"})
_ORDERS = ("created_at", "name", "version", "type")
_SORT = Parameter("sort", description="direction", values=("asc", "desc"), default="asc")
_FILTERS = (
    Parameter("package_type", description="only of this type", values=_TYPES),
    Parameter("package_name", description="part of the name; of several words, each"),
    Parameter("package_version", description="exactly this version"),
    Parameter("include_versionless", "boolean", "those without a version, too; all here have one", default=False),
    Parameter("status", description="only of this status; without, what can be installed and what failed",
              values=_STATUSES),
)  # fmt: skip


def _order(*more: str) -> Parameter:
    return Parameter("order_by", description="by what to order", values=(*_ORDERS, *more), default="created_at")


_LIST = (*_FILTERS, _order(), _SORT, *PAGE)
_GROUP_LIST = (
    Parameter("exclude_subgroups", "boolean", "only of projects directly in the group", default=False),
    *_FILTERS,
    _order("project_path"),
    _SORT,
    *PAGE,
)
_FILES = (
    Parameter("order_by", description="by what to order", values=("id", "created_at", "file_name"), default="id"),
    _SORT,
    *PAGE,
)
_PIPELINES = (
    Parameter("per_page", "integer", "rows of a page", default=20, least=1, most=20),
    Parameter("cursor", description="where the page begins, out of a Link"),
)


async def index(context: Context) -> web.Response:
    """List the packages of a project."""
    return await _list(context, await given(context), (context.project.id,), of_group=False)


async def of_group(context: Context) -> web.Response:
    """List the packages of the projects below a group that the caller may read."""
    values, group = await given(context), context.group
    projects = context.target.projects
    if values["exclude_subgroups"]:
        readable = await context.services.lookups.readable(context.actor, group)
        projects = tuple(project.id for project in readable if project.namespace_id == group.id)
    return await _list(context, values, projects, of_group=True)


async def show(context: Context) -> web.Response:
    """Retrieve a package, with the other versions of its name."""
    package, db = await _asked(context), context.services.db
    if package.status not in _DETAILED:
        raise NotDetailed
    siblings = await package_lists.list_siblings(db, package.id)
    tags = _by_package(await package_lists.list_tags(db, [package.id, *(one.id for one in siblings)]))
    versions = [entities.package_version(one, tags.get(one.id, [])) for one in siblings]
    return responses.json({**await _entity(context, package, tags), "versions": versions})


async def delete(context: Context) -> web.Response:
    """Delete a package with its files, at once."""
    package = await _asked(context)
    await catalog.delete_packages(
        context.services.db, context.author, context.project, [package.id], unmodified_since=_condition(context)
    )
    return web.Response(status=204)


async def pipelines(context: Context) -> web.Response:
    """List the pipelines of a package: there are none here."""
    await given(context)
    await _asked(context)
    return responses.json([])


async def files(context: Context) -> web.Response:
    """List the files of a package."""
    values, package, db = await given(context), await _asked(context), context.services.db
    asked = pages(values)
    found = await package_lists.page_files(db, package.id, asked.window)
    shown = await package_lists.list_files(db, found.ids[: asked.per_page])
    return respond(context, asked, found, [entities.package_file(one) for one in shown])


async def delete_file(context: Context) -> web.Response:
    """Delete a file of a package, at once. The package stays, even without files."""
    package = await _asked(context)
    file_id = number(context.params["package_file_id"], "package_file_id")
    await catalog.delete_file(
        context.services.db, context.author, context.project, package.id, file_id, unmodified_since=_condition(context)
    )
    return web.Response(status=204)


async def _list(
    context: Context, values: Mapping[str, Any], projects: tuple[int, ...], *, of_group: bool
) -> web.Response:
    asked, services = pages(values), context.services
    found = await services.package_lists.page(projects, _chosen(values), asked.window)
    shown = await package_lists.list_packages(services.db, found.ids[: asked.per_page])
    tags = _by_package(await package_lists.list_tags(services.db, [one.id for one in shown]) if shown else [])
    items = [await _entity(context, one, tags, of_group=of_group) for one in shown]
    return respond(context, asked, found, items)


def _chosen(values: Mapping[str, Any]) -> PackageFilter:
    return PackageFilter(
        statuses=(values["status"],) if "status" in values else DISPLAYED,
        package_type=values.get("package_type"),
        version=values.get("package_version") or None,
        words=tuple(sorted(set(values.get("package_name", "").lower().split()))),
    )


async def _asked(context: Context) -> PackageDetails:
    """The package of the path. Raises NotFound also for one of another project."""
    package_id = number(context.params["package_id"], "package_id")
    found = await package_lists.list_packages(context.services.db, [package_id])
    if not found or found[0].project_id != context.project.id or found[0].status not in DISPLAYED:
        raise NotFound("404 Not found")
    return found[0]


async def _entity(
    context: Context, package: PackageDetails, tags: Mapping[int, list[Tag]], *, of_group: bool = False
) -> Entity:
    services = context.services
    project = await services.lookups.project(str(package.project_id))
    deletable = project is not None and can(context.actor, Ability.DESTROY_PACKAGE, project)
    return entities.package(
        package, tags.get(package.id, []), services.settings.base_url, deletable=deletable, of_group=of_group
    )


def _condition(context: Context) -> datetime | None:
    return unmodified_since(context.request.headers.get("If-Unmodified-Since"))


def _by_package(tags: list[Tag]) -> dict[int, list[Tag]]:
    found: dict[int, list[Tag]] = {}
    for tag in tags:
        found.setdefault(tag.package_id, []).append(tag)
    return found


_BASE = "/api/v4/projects/{id}/packages"
# Names of package types are no ids: below them are the formats' own routes.
_ONE = f"{_BASE}/{{package_id:number}}"
_READ, _DESTROY = Ability.READ_PACKAGE, Ability.DESTROY_PACKAGE

ROUTES = (
    Route("GET", "/api/v4/groups/{id}/packages", of_group, _READ, parameters=_GROUP_LIST,
          answers={200: schemas.GROUP_PACKAGES}),
    Route("GET", _BASE, index, _READ, parameters=_LIST, answers={200: schemas.PACKAGES}),
    Route("GET", _ONE, show, _READ, answers={200: schemas.PACKAGE}),
    Route("DELETE", _ONE, delete, _DESTROY, headers=(IF_UNMODIFIED_SINCE,), answers={412: None}),
    Route("GET", f"{_ONE}/pipelines", pipelines, _READ, parameters=_PIPELINES, answers={200: schemas.PIPELINES}),
    Route("GET", f"{_ONE}/package_files", files, _READ, parameters=_FILES, answers={200: schemas.PACKAGE_FILES}),
    Route("DELETE", f"{_ONE}/package_files/{{package_file_id}}", delete_file, _DESTROY, headers=(IF_UNMODIFIED_SINCE,),
          answers={412: None}),
)  # fmt: skip
