"""Refusals: what must be refused is sent, the answer is read as clients do, and everything is looked at."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import ClientResponse

from registry.model import Project
from tests import inventory
from tests.formats.pypi.forms import CONTENT_TYPE
from tests.formats.pypi.pages import base
from tests.people import People, Person

# What uv sends when it publishes: the answer must then be of exactly this type.
ACCEPT = {"Accept": "application/json;q=0.9, text/plain;q=0.8, text/html;q=0.7"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A body, and what the answer must say."""

    title: str
    body: bytes
    says: str
    status: int = 400
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": CONTENT_TYPE})


async def check(people: People, person: Person, project: Project, refusal: Refusal) -> None:
    """Send what must be refused, and look at everything."""
    response = await post(person, project, refusal.body, refusal.headers)
    await check_answer(response, refusal.status, refusal.says)
    assert inventory.EMPTY == await inventory.take(people.services)
    index = await people.anonymous.get(f"{base(project)}/simple/")
    assert (200, False) == (index.status, "<a " in await index.text())


async def check_answer(response: ClientResponse, status: int, says: str) -> None:
    """A sentence in `code` for uv, in `message` as on GitLab, and in the reason phrase for twine."""
    document = await response.json()
    assert (status, "application/json") == (response.status, response.headers["Content-Type"]), document
    assert says in document["message"]
    assert document["message"] == document["code"]
    assert document["message"].startswith(str(status))
    assert response.reason
    assert response.reason.isprintable()
    assert response.reason.isascii()
    assert says[:60] in response.reason or "�" in says


async def post(
    person: Person, project: Project, body: bytes, headers: Mapping[str, str] | None = None
) -> ClientResponse:
    return await person.ask(
        "POST", base(project), data=io.BytesIO(body), headers={**ACCEPT, **(headers or {"Content-Type": CONTENT_TYPE})}
    )
