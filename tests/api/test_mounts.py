"""Mounts as administrators make them."""

from __future__ import annotations

from typing import Any

import pytest

from registry.services import Services
from tests.api.asking import MISSING_RIGHTS, NO_GROUP, NO_PROJECT, call, events, made
from tests.people import People


async def test_a_mount_is_made_listed_and_ended(people: People, services: Services) -> None:
    project = await people.project(visibility="public")
    group = await services.lookups.group(str(project.namespace_id))
    assert group is not None
    python = await made(people.root, "/mounts", url="https://PYPI.example.test/", project_id=project.id,
                        package_type="pypi")  # fmt: skip
    everything = await made(people.root, "/mounts", url="/acme", group_id=group.full_path)
    assert {
        "id": python["id"],
        "url": "https://pypi.example.test",
        "package_type": "pypi",
        "project_id": project.id,
        "group_id": None,
        "full_path": project.full_path,
    } == {name: value for name, value in python.items() if name != "created_at"}
    assert (None, None, group.id) == tuple(everything[key] for key in ("package_type", "project_id", "group_id"))
    assert (200, [everything, python]) == await call(people.root, "GET", "/mounts")

    assert (204, None) == await call(people.root, "DELETE", f"/mounts/{python['id']}")
    assert (404, {"message": "404 Mount Not Found"}) == await call(people.root, "DELETE", f"/mounts/{python['id']}")
    assert (200, [everything]) == await call(people.root, "GET", "/mounts")
    assert ["mount_created", "mount_created", "mount_deleted"] == (await events(services))[-3:]


@pytest.mark.parametrize(
    ("values", "answer"),
    [
        ({"url": "/x"}, (400, {"error": "project_id, group_id are missing, exactly one parameter must be provided"})),
        ({"project_id": 1}, (400, {"error": "url is missing"})),
        ({"url": "/x", "project_id": 999}, NO_PROJECT),
        ({"url": "/x", "group_id": "nobody"}, NO_GROUP),
        ({"url": "/x", "group_id": "1", "package_type": "gem"},
         (400, {"error": "package_type does not have a valid value"})),
    ],
)  # fmt: skip
async def test_what_cannot_be_mounted_is_refused(
    people: People, values: dict[str, Any], answer: tuple[int, Any]
) -> None:
    assert answer == await call(people.root, "POST", "/mounts", json=values)
    assert (200, []) == await call(people.root, "GET", "/mounts")


async def test_an_address_is_mounted_once(people: People) -> None:
    project = await people.project()
    await made(people.root, "/mounts", url="http://h.example.test/x", project_id=project.id)
    taken = {"url": "https://H.example.test:443/x/", "project_id": project.id}
    assert (400, {"message": {"url": ["has already been taken"]}}) == await call(
        people.root, "POST", "/mounts", json=taken
    )
    refused = await call(people.root, "POST", "/mounts", json={"url": "/api/x", "project_id": project.id})
    assert 400 == refused[0]
    assert ["url"] == list(refused[1]["message"])


async def test_only_administrators_look_at_mounts(people: People) -> None:
    user = await people.user()
    for method, path in (("GET", "/mounts"), ("POST", "/mounts"), ("DELETE", "/mounts/1")):
        assert MISSING_RIGHTS == await call(user, method, path)
