"""What tests of the PyPI routes do and look at: uploads, pages, deletions."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from aiohttp import ClientResponse

from registry import catalog, tree
from registry.model import Group, Project
from tests.people import OPERATOR, People, Person

V1_JSON = "application/vnd.pypi.simple.v1+json"
V1_HTML = "application/vnd.pypi.simple.v1+html"


def base(place: Project | Group) -> str:
    if isinstance(place, Group):
        return f"/api/v4/groups/{place.id}/-/packages/pypi"
    return f"/api/v4/projects/{place.id}/packages/pypi"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def put(
    person: Person, project: Project, name: str, version: str, file_name: str = "", content: bytes = b"", **fields: str
) -> str:
    """Upload something; answers its sha256."""
    file_name = file_name or f"{name}-{version}.tar.gz"
    content = content or f"{file_name} of project {project.id}".encode()
    response = await person.upload(project, file_name, content, name=name, version=version, **fields)
    assert 201 == response.status, await response.text()
    return sha256(content)


async def links(response: ClientResponse) -> list[str]:
    """The texts of the anchors of an HTML page."""
    text = await response.text()
    assert 200 == response.status, text
    return re.findall(r">([^<]*)</a><br>", text)


async def page(person: Person, place: Project | Group, name: str) -> list[str] | int:
    """What is listed under a name, or the status when nothing is."""
    response = await person.get(f"{base(place)}/simple/{name}/")
    return await links(response) if response.status == 200 else response.status


async def set_settings(people: People, place: Project | Group, **settings: Any) -> None:
    change = tree.update_group if isinstance(place, Group) else tree.update_project
    await change(people.services.db, OPERATOR, place, {}, settings)  # type: ignore[arg-type]


async def delete(people: People, project: Project, name: str, version: str | None = None) -> None:
    """What the package API will do, for one version of a name or all."""
    rows = await people.services.db.fetch(
        "SELECT id FROM packages WHERE project_id = $1 AND name = $2 AND version = coalesce($3, version)",
        project.id,
        name,
        version,
    )
    await catalog.delete_packages(people.services.db, OPERATOR, project, [row["id"] for row in rows])
