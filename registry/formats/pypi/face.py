"""How the PyPI routes say no: what twine, uv, poetry, hatch and flit each show their user (pypi.md, B.4)."""

from __future__ import annotations

from aiohttp import web

from registry.errors import Conflict, NotFound, RegistryError, Unauthenticated
from registry.formats.pypi.publication import BadParameters
from registry.formats.pypi.reason import reason_phrase
from registry.server import responses

CHALLENGE = 'Basic realm="GitLab Packages Registry"'


def render(request: web.Request, error: RegistryError) -> web.Response:
    """The reason phrase for twine, `code` for uv, `message` as on GitLab; plain text for who takes no JSON."""
    text = error.text
    if isinstance(error, Conflict):
        # GitLab answers a duplicate with 400; twine --skip-existing looks for these words there.
        error = _as_bad_request(error)
    body = responses.message(error)
    shown = body.get("message") or text
    body.setdefault("code", shown)
    if isinstance(error, BadParameters):
        body["error"] = text
    reason = None if isinstance(error, NotFound) or error.status >= 500 else reason_phrase(_without_status(text))
    if _takes_json(request.headers.get("Accept")):
        response = responses.failed(body, error, reason=reason)
    else:
        response = responses.failed({}, error, reason=reason)
        response.body = f"{shown}\n".encode()
        response.headers["Content-Type"] = "text/plain; charset=utf-8"
    if isinstance(error, Unauthenticated):
        response.headers["WWW-Authenticate"] = CHALLENGE
    return response


def _as_bad_request(error: Conflict) -> RegistryError:
    changed = RegistryError(f"Validation failed: File name has already been taken. {error.text}")
    changed.status = 400
    return changed


def _without_status(text: str) -> str:
    head, _, rest = text.partition(" ")
    return rest if head.isdigit() and rest else text


def _takes_json(accept: str | None) -> bool:
    return not accept or any(part in accept for part in ("json", "*/*", "application/*"))
