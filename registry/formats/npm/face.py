"""How the npm routes say no: JSON always, `error` for npm up to 11 and yarn, `message` for GitLab's scripts."""

from __future__ import annotations

from aiohttp import web

from registry.errors import Invalid, NotFound, RegistryError
from registry.server import responses
from registry.server.routes import BadPath

# GitLab's router checks every package name for traversal and control characters (contract 1.0).
BAD_NAME = "package_name should be a valid file path"


def render(_request: web.Request, error: RegistryError) -> web.Response:
    """Both keys in every body."""
    if isinstance(error, BadPath):
        error = Invalid(BAD_NAME)
    body = responses.message(error)
    if "error" in body:
        body.setdefault("message", body["error_description"])
    elif isinstance(error, NotFound):
        body["error"] = _spoken(error.text)
    elif error.status == 401:
        body["error"] = body["message"]
    else:
        text = error.text
        body = {"message": text, "error": text.partition(" Bad request - ")[2] or text}
    return responses.failed(body, error)


def _spoken(text: str) -> str:
    """`404 Package Tag Not Found` -> `Package tag not found`, as GitLab says it to npm."""
    words = text.removeprefix("404 ")
    return words[:1] + words[1:].lower()
