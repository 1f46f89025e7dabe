"""What tests of the npm routes do and look at: publishes, documents, refusals."""

from __future__ import annotations

import base64
import json
from typing import Any

from aiohttp import ClientResponse
from yarl import URL

from registry import accounts, tree
from registry.model import Group, Project
from tests.formats.npm.documents import a_document, a_tarball
from tests.people import OPERATOR, People, Person

ABBREVIATED = "application/vnd.npm.install-v1+json"


def base(place: Project | Group | None) -> str:
    """The prefix at project, group and (None) instance level."""
    if isinstance(place, Project):
        return f"/api/v4/projects/{place.id}/packages/npm"
    return f"/api/v4/groups/{place.id}/-/packages/npm" if place else "/api/v4/packages/npm"


def path(place: Project | Group | None, rest: str) -> URL:
    """A path below the prefix, sent as it stands here."""
    return URL(f"{base(place)}/{rest}", encoded=True)


def encoded(name: str) -> str:
    """A name as npm writes it into a path."""
    return name.replace("/", "%2f")


def a_publication(name: str, version: str, *, tag: str = "latest", **package: Any) -> dict[str, Any]:
    """What a client sends for a package.json with these fields; manifest and tarball agree."""
    tarball = a_tarball({"name": name, "version": version, **package})
    return a_document(tarball, name=name, version=version, **package) | {"dist-tags": {tag: version}}


def tarball_of(document: dict[str, Any]) -> bytes:
    ((_, attachment),) = document["_attachments"].items()
    return base64.b64decode(attachment["data"])


async def send(
    person: Person, place: Project | Group | None, document: dict[str, Any], **headers: str
) -> ClientResponse:
    """`PUT` a document to the name it carries."""
    return await person.ask("PUT", path(place, encoded(document["name"])), json=document, headers=headers)


async def publish(person: Person, project: Project, name: str, version: str, **package: Any) -> bytes:
    """Publish; answers the tarball."""
    document = a_publication(name, version, **package)
    response = await send(person, project, document)
    assert 200 == response.status, await response.text()
    return tarball_of(document)


async def packument(person: Person, place: Project | Group | None, name: str, **headers: str) -> dict[str, Any]:
    response = await person.get(path(place, encoded(name)), headers=headers)
    assert 200 == response.status, await response.text()
    found: dict[str, Any] = json.loads(await response.read())
    return found


async def refused(response: ClientResponse) -> tuple[int, str]:
    """The status and what npm prints; every refusal is JSON with both keys."""
    body = json.loads(await response.read())
    assert "application/json" == response.headers["Content-Type"]
    assert {"error", "message"} <= set(body), body
    assert all(isinstance(body[key], str) and body[key] for key in ("error", "message")), body
    return response.status, body["error"]


async def username(person: Person) -> str:
    response = await person.get(path(None, "-/whoami"))
    name: str = (await response.json())["username"]
    return name


async def set_settings(people: People, place: Project | Group | None, **settings: Any) -> None:
    """Of a project, a group, or (None) the instance."""
    if place is None:
        await accounts.update_settings(people.services.db, OPERATOR, settings)
        return
    change = tree.update_group if isinstance(place, Group) else tree.update_project
    await change(people.services.db, OPERATOR, place, {}, settings)  # type: ignore[arg-type]


def below(response_url: str) -> str:
    """A URL out of a document without scheme and host, which the test client adds itself."""
    return str(URL(response_url).relative())
