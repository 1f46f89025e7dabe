"""Hooks as maintainers of projects and owners of groups make them."""

from __future__ import annotations

from typing import Any

import pytest

from registry.access import AccessLevel
from registry.model import Group, Project
from registry.services import Services
from registry.triggers import NAMES
from tests.api.asking import NOT_SIGNED_IN, call, events, made
from tests.api.published import publish
from tests.people import People

URL = "https://hook.example.test/of?a=secret"


@pytest.fixture(params=["projects", "groups"])
async def home(request: pytest.FixtureRequest, people: People) -> tuple[Project | Group, str]:
    place = await (people.project() if request.param == "projects" else people.group())
    return place, f"/{request.param}/{place.id}/hooks"


async def test_a_hook_is_made_changed_listed_and_deleted(
    people: People, services: Services, home: tuple[Project | Group, str]
) -> None:
    place, base = home
    hook = await made(people.root, base, url=URL, name="ci", events=["tag", "publish"], token="of-gitlab")
    key = hook.pop("signing_token")
    assert key.startswith("whsec_")
    of_project = isinstance(place, Project)
    shown = {
        "id": hook["id"],
        "project_id": place.id if of_project else None,
        "group_id": None if of_project else place.id,
        "url": URL,
        "name": "ci",
        "description": "",
        "events": ["publish", "tag"],
        "enable_ssl_verification": True,
        "token_present": True,
        "alert_status": "executable",
        "disabled_until": None,
    }
    assert shown == {name: value for name, value in hook.items() if name != "created_at"}
    one = f"{base}/{hook['id']}"
    assert (200, [hook]) == await call(people.root, "GET", base)
    assert (200, hook) == await call(people.root, "GET", one)

    await services.db.execute("UPDATE hooks SET disabled = true, failures = 20")
    assert "disabled" == (await call(people.root, "GET", one))[1]["alert_status"]
    changed = {**hook, "name": "cd", "events": ["delete"], "token_present": False, "enable_ssl_verification": False}
    values = {"name": "cd", "events": "delete", "token": "", "enable_ssl_verification": False}
    assert (200, changed) == await call(people.root, "PUT", one, json=values)
    assert key == await services.db.fetchval("SELECT signing_token FROM hooks")

    # Who may change where it goes is not told the token by that.
    await call(people.root, "PUT", one, json={"token": "again"})
    assert (await call(people.root, "PUT", one, json={"url": URL}))[1]["token_present"]
    assert not (await call(people.root, "PUT", one, json={"url": f"{URL}/other"}))[1]["token_present"]

    assert (204, None) == await call(people.root, "DELETE", one)
    assert (404, {"message": "404 Hook Not Found"}) == await call(people.root, "GET", one)
    assert (200, []) == await call(people.root, "GET", base)
    assert ["hook_created", *["hook_updated"] * 4, "hook_deleted"] == (await events(services))[-6:]
    told = [str(row["details"]) for row in await services.db.fetch("SELECT details FROM audit_events")]
    assert not any("secret" in text or "of-gitlab" in text or key in text for text in told)


async def test_what_was_told_is_listed_and_sent_again(people: People, services: Services) -> None:
    project = await people.project()
    base = f"/projects/{project.id}/hooks"
    hook = await made(people.root, base, url=URL)
    assert list(NAMES) == hook["events"]
    await publish(services, project, "demo", "1.0")
    test = await made(people.root, f"{base}/{hook['id']}/test/yank")
    listed = (await call(people.root, "GET", f"{base}/{hook['id']}/events"))[1]
    assert [test["id"], "yank", "publish"] == [listed[0]["id"], *(one["trigger"] for one in listed)]
    first = listed[1]
    assert (URL, "pending", 0, None, "", "", 0.0, None) == tuple(
        first[name]
        for name in ("url", "state", "attempts", "response_status", "response_body", "error", "execution_duration",
                     "attempted_at")
    )  # fmt: skip
    assert "demo" == first["request_data"]["package"]["name"]

    await services.db.execute("UPDATE hook_events SET state = 'failed'")
    await services.db.execute("UPDATE hooks SET disabled = true")
    again = f"{base}/{hook['id']}/events/{first['id']}/resend"
    assert (201, first) == await call(people.root, "POST", again)
    assert "executable" == (await call(people.root, "GET", f"{base}/{hook['id']}"))[1]["alert_status"]
    pending = (await call(people.root, "GET", f"{base}/{hook['id']}/events?state=pending"))[1]
    assert [first["id"]] == [one["id"] for one in pending]
    missing = await call(people.root, "POST", f"{base}/{hook['id']}/events/{test['id'] + 9}/resend")
    assert (404, {"message": "404 Hook Event Not Found"}) == missing
    assert 404 == (await call(people.root, "POST", f"{base}/{hook['id']}/test/push"))[0]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"url": "http://169.254.169.254/latest"}, "url"),
        ({"url": "http://localhost:1@example.test"}, "url"),
        ({"url": "gopher://example.test"}, "url"),
        ({"url": "http://xn--/"}, "url"),
        ({"url": URL, "token": "a\r\nHost: b"}, "token"),
        ({"url": URL, "signing_token": "whsec_short"}, "signing_token"),
        ({"url": URL, "signing_token": "secret"}, "signing_token"),
        ({"url": URL, "name": "x" * 256}, "name"),
    ],
)
async def test_what_is_no_hook_is_refused(people: People, values: dict[str, Any], field: str) -> None:
    project = await people.project()
    status, body = await call(people.root, "POST", f"/projects/{project.id}/hooks", json=values)
    assert (400, [field]) == (status, list(body["message"]))
    assert (200, []) == await call(people.root, "GET", f"/projects/{project.id}/hooks")


async def test_there_is_an_end_to_hooks(people: People, services: Services) -> None:
    project = await people.project()
    await services.db.execute(
        "INSERT INTO hooks (project_id, url, events, signing_token) "
        "SELECT $1, '', '{}', '' FROM generate_series(1, 100)",
        project.id,
    )
    status, body = await call(people.root, "POST", f"/projects/{project.id}/hooks", json={"url": URL})
    assert (400, {"message": {"base": ["Maximum number of hooks (100) exceeded"]}}) == (status, body)


async def test_developers_and_maintainers_of_a_group_have_no_hooks(people: People) -> None:
    group = await people.group()
    project = await people.project(group)
    developer = await people.member(group, AccessLevel.DEVELOPER)
    maintainer = await people.member(group, AccessLevel.MAINTAINER)
    for person, path, status in (
        (developer, f"/projects/{project.id}/hooks", 403),
        (maintainer, f"/projects/{project.id}/hooks", 200),
        (maintainer, f"/groups/{group.id}/hooks", 403),
    ):
        assert status == (await call(person, "GET", path))[0]
    assert NOT_SIGNED_IN == await call(people.anonymous, "GET", f"/projects/{project.id}/hooks")
