"""Docs: the OpenAPI document, a readable page of it, and the page at the root that leads there."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import aiohttp_jinja2
import orjson
from aiohttp import web
from markupsafe import Markup, escape

from registry import __version__, resource
from registry.access import Ability
from registry.api import openapi
from registry.documents import Page
from registry.server import responses
from registry.server.content import JSON, Content, text
from registry.server.context import Context
from registry.server.routes import Route, Table

_HTML = text("text/html")
_DOCUMENT = Content({"type": "object", "required": ["openapi", "info", "paths"]})
_METHODS = ("get", "post", "put", "patch", "delete")
_REFERENCE = "#/components/schemas/"


def routes(table: Table) -> tuple[Route, ...]:
    """Routes that describe what is in a table, once everything is in it, themselves included."""

    @functools.lru_cache(maxsize=1)
    def described(base_url: str) -> openapi.Json:
        return openapi.document(table.endpoints, base_url)

    async def document(context: Context) -> web.StreamResponse:
        """Describe the API, as OpenAPI 3.1."""
        return await _answer(context, "openapi", lambda base_url: _json(described(base_url)))

    async def page(context: Context) -> web.StreamResponse:
        """Describe the API, for people."""

        def render(base_url: str) -> Page:
            return _html(context, "ui/docs.html", {"sections": list(_sections(described(base_url))),
                                                   "document": described(base_url)})  # fmt: skip

        return await _answer(context, "docs", render)

    async def root(context: Context) -> web.StreamResponse:
        """Say what this server is, and where it is described."""
        return await _answer(context, "root", lambda base_url: _html(context, "ui/root.html", {"base_url": base_url}))

    return (
        Route("GET", "/", root, Ability.PUBLIC, answers={200: _HTML, 304: None}),
        Route("GET", "/-/docs", page, Ability.PUBLIC, answers={200: _HTML, 304: None}),
        Route("GET", "/api/openapi.json", document, Ability.PUBLIC, answers={200: _DOCUMENT, 304: None}),
    )


async def _answer(context: Context, name: str, render: Callable[[str], Page]) -> web.StreamResponse:
    base_url = context.services.settings.base_url

    async def rendered() -> Page:
        return render(base_url)

    return await responses.document(context, ("api", name, base_url), rendered)


def _json(document: openapi.Json) -> Page:
    return Page(orjson.dumps(document), JSON)


def _html(context: Context, template: str, values: Mapping[str, object]) -> Page:
    """A page whose one style element is all it needs: it loads nothing and runs nothing."""
    style = _style()
    shown = {"style": Markup(style), "version": __version__, "prose": _prose, "typed": _typed, **values}  # noqa: S704
    text = aiohttp_jinja2.render_string(template, context.request, shown)
    return Page(text.encode(), "text/html; charset=utf-8", responses.html_headers(style))


@functools.cache
def _style() -> str:
    return (resource("templates") / "ui" / "style.css").read_text(encoding="utf-8")


def _sections(document: openapi.Json) -> Iterator[dict[str, Any]]:
    """The operations as the page shows them: groups of tags of operations."""
    whole: Any = document
    filed: dict[str, list[dict[str, Any]]] = {}
    for path, item in whole["paths"].items():
        for method in _METHODS:
            if method in item:
                operation = {**item[method], "method": method.upper(), "path": path}
                operation["responses"] = {
                    status: _resolved(whole, response) for status, response in operation["responses"].items()
                }
                filed.setdefault(operation["tags"][0], []).append(operation)
    abouts = {tag["name"]: tag["description"] for tag in whole["tags"]}
    for group in whole["x-tagGroups"]:
        tags = [
            {"name": name, "anchor": f"{group['name']}-{name}".lower().replace(" ", "-"), "about": abouts[name],
             "operations": filed[name]}
            for name in group["tags"]
        ]  # fmt: skip
        yield {"name": group["name"], "tags": tags}


def _resolved(document: Any, response: Any) -> Any:
    if "$ref" in response:
        return document["components"]["responses"][response["$ref"].rpartition("/")[2]]
    return response


def _prose(text: str) -> Markup:
    """Text with paragraphs, and code between backticks."""
    paragraphs = str(escape(text)).split("\n\n")
    marked = [re.sub(r"`([^`]+)`", r"<code>\1</code>", paragraph) for paragraph in paragraphs]
    return Markup("".join(f"<p>{paragraph}</p>" for paragraph in marked if paragraph))  # noqa: S704  escaped above


def _typed(schema: Any) -> Markup:
    """A schema in a few words; one that has a name leads to where it is described."""
    reference = schema.get("$ref", "")
    if reference:
        return Markup('<a href="#schema-{0}">{0}</a>').format(reference.removeprefix(_REFERENCE))
    if "anyOf" in schema and all("required" not in one for one in schema["anyOf"]):
        return Markup(" or ").join(_typed(one) for one in schema["anyOf"])
    if "enum" in schema:
        return Markup(" | ").join(
            Markup("<code>{}</code>").format(orjson.dumps(one).decode()) for one in schema["enum"]
        )
    if "const" in schema:
        return Markup("<code>{}</code>").format(orjson.dumps(schema["const"]).decode())
    kinds = schema.get("type", "anything")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    return Markup(" or ").join(_kind(kind, schema) for kind in kinds)


def _kind(kind: str, schema: Any) -> Markup:
    if kind == "array":
        return Markup("list of ") + _typed(schema.get("items", {}))
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict) and "properties" not in schema:
        return Markup("map to ") + _typed(schema["additionalProperties"])
    return escape(schema.get("format", kind) if kind == "string" else kind)
