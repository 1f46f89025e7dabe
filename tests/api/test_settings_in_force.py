"""Settings made through the management API, as the package routes of both formats obey them."""

from __future__ import annotations

from typing import Any

import pytest

from registry.model import Group, Project
from tests.api.asking import call
from tests.formats.npm.transcripts import a_publication, send
from tests.formats.npm.transcripts import path as npm_path
from tests.formats.pypi.distributions import an_sdist
from tests.formats.pypi.pages import base as pypi_base
from tests.formats.pypi.pages import sha256
from tests.people import People, Person

LOCKED = (400, "cannot be changed because it is locked by an ancestor")


@pytest.fixture
async def group(people: People) -> Group:
    return await people.group("acme", visibility="public")


@pytest.fixture
async def project(people: People, group: Group) -> Project:
    return await people.project(group, "tool", visibility="public")


async def forwarded(person: Person, place: Project | Group) -> dict[str, bool]:
    """Whether an unknown name is forwarded, by format."""
    answers = {
        "pypi": await person.get(f"{pypi_base(place)}/simple/unknown-name/"),
        "npm": await person.get(npm_path(place, "unknown-name")),
    }
    assert {answer.status for answer in answers.values()} <= {302, 404}
    return {kind: answer.status == 302 for kind, answer in answers.items()}


@pytest.mark.parametrize("kind", ["pypi", "npm"])
async def test_forwarding_is_decided_by_the_nearest_layer_unless_one_above_locks_it(
    people: People, group: Group, project: Project, kind: str
) -> None:
    other = "npm" if kind == "pypi" else "pypi"
    name = f"{kind}_package_requests_forwarding"

    async def change(path: str, **values: Any) -> Any:
        status, body = await call(people.root, "PUT", path, json=values)
        return status if status == 200 else (status, *body["message"][next(iter(values))])

    async def seen() -> tuple[bool, bool]:
        """In the group and in the project; the other format never notices."""
        found = [await forwarded(people.anonymous, place) for place in (group, project)]
        assert [True, True] == [one[other] for one in found]
        return found[0][kind], found[1][kind]

    instance, of_group, of_project = "/application/settings", f"/groups/{group.id}", f"/projects/{project.id}"
    assert (True, True) == await seen()
    assert 200 == await change(instance, **{name: False})
    assert (False, False) == await seen()
    assert 200 == await change(of_group, **{name: True})
    assert (True, True) == await seen()
    assert 200 == await change(of_project, **{name: False})
    assert (True, False) == await seen()
    assert 200 == await change(of_project, **{name: None})
    assert 200 == await change(of_group, **{name: False, f"lock_{name}": True})
    assert (False, False) == await seen()
    assert LOCKED == await change(of_project, **{name: True})
    assert 200 == await change(of_group, **{f"lock_{name}": None})
    assert 200 == await change(of_project, **{name: True})
    assert (False, True) == await seen()
    assert 200 == await change(instance, **{name: False, f"lock_{name}": True})
    assert (False, False) == await seen()
    assert LOCKED == await change(of_group, **{name: True})
    assert 200 == await change(instance, **{name: None, f"lock_{name}": None})
    assert (False, True) == await seen()


async def test_the_file_size_limits_bound_what_is_published(people: People, project: Project) -> None:
    document = a_publication("widget", "1.0.0")
    size = document["_attachments"]["widget-1.0.0.tgz"]["length"]
    sdist = an_sdist()

    async def publish() -> list[int]:
        npm = await send(people.root, project, document)
        pypi = await people.root.upload(project, "demo-1.0.tar.gz", sdist, name="demo", version="1.0")
        return [npm.status, pypi.status]

    async def limit(npm: int | None, pypi: int | None) -> None:
        values = {"plan_name": "default", "npm_max_file_size": npm, "pypi_max_file_size": pypi}
        assert 200 == (await call(people.root, "PUT", "/application/plan_limits", json=values))[0]

    await limit(size - 1, len(sdist) - 1)
    refused = await publish()
    assert all(400 <= status < 500 for status in refused), refused
    assert (200, []) == await call(people.root, "GET", f"/projects/{project.id}/packages")
    await limit(size, len(sdist))
    assert [200, 201] == await publish()


async def test_each_project_decides_how_strictly_uploads_are_checked(people: People, group: Group) -> None:
    strict, basic = await people.project(group), await people.project(group)
    assert 200 == (await call(people.root, "PUT", f"/groups/{group.id}", json={"pypi_validation": "strict"}))[0]
    assert 200 == (await call(people.root, "PUT", f"/projects/{basic.id}", json={"pypi_validation": "basic"}))[0]

    async def upload(project: Project, content: bytes) -> int:
        fields = {"filetype": "sdist", "metadata_version": "2.1", "sha256_digest": sha256(content)}
        return (
            await people.root.upload(project, "demo-1.0.tar.gz", content, name="demo", version="1.0", **fields)
        ).status

    assert [400, 201] == [await upload(project, b"no archive at all") for project in (strict, basic)]
    assert 201 == await upload(strict, an_sdist())


@pytest.mark.parametrize("name", ["package_stages_required", "package_stages_four_eyes"])
async def test_a_release_gate_that_is_on_above_is_on_below(
    people: People, group: Group, project: Project, name: str
) -> None:
    places = ("/application/settings", f"/groups/{group.id}", f"/projects/{project.id}")

    async def seen(*values: bool | None) -> list[bool]:
        """In force at each place, when these are set."""
        for path, value in zip(places, values, strict=True):
            await call(people.root, "PUT", path, json={name: value})
        return [(await call(people.root, "GET", path))[1][name] for path in places]

    assert [False, False, True] == await seen(None, False, True)
    assert [False, True, True] == await seen(None, True, False)
    assert [True, True, True] == await seen(True, False, None)
    assert [False, False, False] == await seen(False, None, False)
