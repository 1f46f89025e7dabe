"""Responses: JSON, documents, and the bytes of blobs."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable, Hashable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from registry import documents
from registry.documents import Document, Page
from registry.errors import RegistryError
from registry.server.finished import Finished, can_finish
from registry.server.parameters import Parameter

if TYPE_CHECKING:
    from registry.server.context import Context

# Headers that the OpenAPI document names where an answer may be 304.
CONDITIONS = (Parameter("If-None-Match", description="ETag of what the client has"),)


def html_headers(style: str = "", *, form: bool = False) -> tuple[tuple[str, str], ...]:
    """Headers of HTML that loads nothing and runs nothing. `style` is the text of its style element, if it has one.

    A `form` may be sent to this server.
    """
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    allowed = f"style-src 'sha256-{digest}'; " if style else ""
    action = "'self'" if form else "'none'"
    policy = f"default-src 'none'; {allowed}base-uri 'none'; form-action {action}; frame-ancestors 'none'"
    return (("Content-Security-Policy", policy), ("Referrer-Policy", "no-referrer"))


def json(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON answer with the bare media type: uv takes `; charset=utf-8` for something else (pypi.md, B.4)."""
    body = orjson.dumps(value, option=orjson.OPT_UTC_Z)
    return web.Response(body=body, status=status, headers={"Content-Type": "application/json", **(headers or {})})


def failed(body: Any, error: RegistryError, *, reason: str | None = None) -> web.Response:
    """The answer to an error, with the headers that belong to its kind."""
    headers: dict[str, str] = dict(getattr(error, "headers", ()))
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    allowed = getattr(error, "allowed", None)
    if allowed is not None:
        headers["Allow"] = ", ".join(sorted(allowed))
    if getattr(error, "code", None) == "invalid_token":
        headers["WWW-Authenticate"] = (
            f'Bearer realm="Protected by OAuth 2.0", error="invalid_token", error_description="{error.text}"'
        )
    response = json(body, status=error.status, headers=headers)
    if reason is not None:
        response.set_status(error.status, reason)
    return response


def message(error: RegistryError) -> dict[str, str]:
    """GitLab's body for an error: `message`, or the OAuth pair where a token was understood and refused."""
    code = getattr(error, "code", None)
    if code == "invalid_token":
        return {"error": code, "error_description": error.text}
    if code == "insufficient_scope":
        return {"error": code, "error_description": error.text, "scope": "api read_api"}
    phrase = HTTPStatus(error.status).phrase
    text = error.text
    if not text.startswith(str(error.status)):
        text = (
            f"400 Bad request - {text}"
            if error.status == HTTPStatus.BAD_REQUEST
            else f"{error.status} {phrase} - {text}"
        )
    return {"message": text}


async def document(
    context: Context, key: Hashable, render: Callable[[], Awaitable[Page]], *, cache_control: str | None = None
) -> web.StreamResponse:
    """A rendered page from the cache, in the coding the client takes, or 304.

    `cache_control` is the header of a page that never changes; without one it is to be revalidated.
    """
    headers = context.request.headers
    encoding = documents.negotiate(headers.get("Accept-Encoding"))
    control = cache_control or context.cache_control
    # Serials tell content from content within one history of the database only.
    entry = (key, control, context.services.changes.history)
    found = await context.services.documents.get(entry, encoding, render, control)
    return finished(context.request, found)


def finished(request: web.Request, found: Document) -> web.StreamResponse:
    """A document, or 304 when the client has it."""
    if_none_match = request.headers.get("If-None-Match")
    not_modified = bool(found.etag) and if_none_match is not None and documents.matches(if_none_match, found.etag)
    if can_finish(request):
        return Finished(found, status=304 if not_modified else found.status)
    if not_modified:
        return web.Response(status=304, headers=found.not_modified)
    return web.Response(body=found.body, headers=found.headers)
