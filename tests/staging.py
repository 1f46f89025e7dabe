"""What tests of stages do: open, promote, drop, look."""

from __future__ import annotations

import json
from typing import Any

from yarl import URL

from registry.model import Project
from tests.formats.npm.transcripts import a_publication, encoded
from tests.people import Person


def stages_of(project: Project, rest: str = "") -> str:
    return f"/api/v4/projects/{project.id}/packages/stages{rest}"


async def open_stage(person: Person, project: Project, package_type: str = "pypi", **values: Any) -> dict[str, Any]:
    answer = await person.ask("POST", stages_of(project), json={"package_type": package_type, **values})
    assert 201 == answer.status, await answer.text()
    made: dict[str, Any] = await answer.json()
    return made


async def ask(person: Person, method: str, project: Project, rest: str = "") -> tuple[int, Any]:
    """The status of a request about stages, and what its JSON says."""
    answer = await person.ask(method, stages_of(project, rest))
    body = await answer.read()
    return answer.status, json.loads(body) if body else None


async def stage_file(
    person: Person, project: Project, stage: dict[str, Any], version: str, *, name: str = "demo", content: bytes = b""
) -> tuple[int, str]:
    """What twine does with the stage's upload URL; the status and what it is told."""
    from aiohttp import FormData

    form = FormData(quote_fields=False)
    for key, value in {":action": "file_upload", "name": name, "version": version}.items():
        form.add_field(key, value)
    file_name = f"{name}-{version}.tar.gz"
    form.add_field("content", content or file_name.encode(), filename=file_name)
    answer = await person.ask("POST", URL(stage["upload_url"]).relative(), data=form)
    return answer.status, await answer.text()


async def stage_version(
    person: Person, project: Project, name: str, version: str, *, tag: str = "latest", **package: Any
) -> tuple[int, dict[str, Any]]:
    """What `npm stage publish` does."""
    url = URL(f"/api/v4/projects/{project.id}/packages/npm/-/stage/package/{encoded(name)}", encoded=True)
    answer = await person.ask("POST", url, json=a_publication(name, version, tag=tag, **package))
    return answer.status, await answer.json()
