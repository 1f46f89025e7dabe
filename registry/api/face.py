"""How the management API says no: GitLab's `{"message": ...}` and `{"error": ...}` bodies."""

from __future__ import annotations

from aiohttp import web

from registry.api.pagination import PaginationUnavailable
from registry.errors import Conflict, Forbidden, InvalidField, NotFound, RegistryError, Taken, Unauthenticated
from registry.server import responses
from registry.server.content import Content
from registry.server.parameters import BadParameters
from registry.server.routes import Face


class NotDetailed(NotFound):
    """Package not found"""


def render(_request: web.Request, error: RegistryError) -> web.Response:
    """GitLab's shape: `error` where its router or its parameters speak, messages by field where its models do."""
    if type(error) is NotFound and error.text == NotFound.__doc__:
        return responses.failed({"error": "404 Not Found"}, error)
    if isinstance(error, BadParameters | PaginationUnavailable):
        return responses.failed({"error": error.text}, error)
    if isinstance(error, Taken):
        error = InvalidField(error.field, "has already been taken")
    if isinstance(error, InvalidField):
        return responses.failed({"message": {error.field: [error.problem]}}, error)
    if isinstance(error, Conflict | NotDetailed):
        return responses.failed({"message": error.text}, error)
    return responses.failed(responses.message(error), error)


ERRORS = Content(
    {
        "type": "object",
        "properties": {
            "message": {"description": "what is wrong: a text, or texts by field", "type": ["string", "object"]},
            "error": {"description": "what is wrong with the parameters or the path", "type": "string"},
            "error_description": {"description": "what is wrong with the token", "type": "string"},
            "scope": {"description": "the scopes that would do", "type": "string"},
        },
        "anyOf": [{"required": ["message"]}, {"required": ["error"]}],
    },
    "ApiError",
)
API_FACE = Face(render=render, unknown=NotFound, hidden=NotFound, lacking=Forbidden, errors=ERRORS, deploy_tokens=False)

# Of routes that nobody may use without credentials: these come first, so that nothing is said of what exists.
MEMBERS_FACE = Face(
    render=render,
    unknown=Unauthenticated,
    hidden=Unauthenticated,
    lacking=Unauthenticated,
    errors=ERRORS,
    deploy_tokens=False,
)
