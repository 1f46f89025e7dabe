"""What a management call answered, as a test compares it."""

from __future__ import annotations

import re
from typing import Any

from aiohttp import ClientResponse

from registry.services import Services
from tests.people import Person

LINK = re.compile(r'<([^>]+)>; rel="(\w+)"')


async def call(person: Person, method: str, path: str, **options: Any) -> tuple[int, Any]:
    """Status and JSON body (None without one) of a call below /api/v4."""
    return await read(await person.ask(method, f"/api/v4{path}", **options))


async def read(response: ClientResponse) -> tuple[int, Any]:
    body = await response.read()
    return response.status, await response.json() if body else None


async def made(person: Person, path: str, /, **values: Any) -> Any:
    """The entity that a POST made."""
    status, body = await call(person, "POST", path, json=values)
    assert 201 == status, body
    return body


def links(response: ClientResponse) -> dict[str, str]:
    return {rel: url for url, rel in LINK.findall(response.headers.get("Link", ""))}


async def events(services: Services) -> list[str]:
    """Names of the audit rows so far, oldest first."""
    return [row["event_name"] for row in await services.db.fetch("SELECT event_name FROM audit_events ORDER BY id")]


MISSING_RIGHTS = (403, {"message": "403 Forbidden"})
NOT_SIGNED_IN = (401, {"message": "401 Unauthorized"})
NO_PROJECT = (404, {"message": "404 Project Not Found"})
NO_GROUP = (404, {"message": "404 Group Not Found"})
ABSENT_STAGE = (404, {"message": "404 Not found"})


def lacks_scope() -> tuple[int, Any]:
    return 403, {
        "error": "insufficient_scope",
        "error_description": "The request requires higher privileges than provided by the access token.",
        "scope": "api read_api",
    }
