"""Pagination of the management API."""

from __future__ import annotations

import pytest
from yarl import URL

from registry.services import Services
from tests.api.asking import call, links
from tests.people import People


@pytest.fixture
async def seven(people: People, services: Services) -> list[str]:
    """Paths of seven public groups, in the order of their ids."""
    names = [f"g{number}" for number in range(7)]
    for name in names:
        await people.group(name, visibility="public")
    return names


async def test_pages_lead_to_each_other(people: People, seven: list[str], services: Services) -> None:
    response = await people.root.get("/api/v4/groups?per_page=3&page=2&search=g&private_token=&sort=asc")
    base = f"{services.settings.base_url}/api/v4/groups?search=g&sort=asc"

    assert ["g3", "g4", "g5"] == [one["path"] for one in await response.json()]
    assert {
        "prev": f"{base}&page=1&per_page=3",
        "next": f"{base}&page=3&per_page=3",
        "first": f"{base}&page=1&per_page=3",
        "last": f"{base}&page=3&per_page=3",
    } == links(response)
    assert ["2", "3", "3", "1", "7", "3"] == [
        response.headers[name]
        for name in ("X-Page", "X-Per-Page", "X-Next-Page", "X-Prev-Page", "X-Total", "X-Total-Pages")
    ]


async def test_the_ends_have_empty_neighbours(people: People, seven: list[str]) -> None:
    first = await people.anonymous.get("/api/v4/groups?per_page=7")
    assert ("", "", "1") == tuple(first.headers[n] for n in ("X-Prev-Page", "X-Next-Page", "X-Total-Pages"))
    assert {"first", "last"} == set(links(first))
    beyond = await people.anonymous.get("/api/v4/groups?per_page=5&page=9")
    assert ([], "", "8", "7") == (
        await beyond.json(),
        *(beyond.headers[n] for n in ("X-Next-Page", "X-Prev-Page", "X-Total")),
    )


async def test_numbers_are_clamped(people: People, seven: list[str]) -> None:
    for query, page, per_page in (
        ("page=0&per_page=0", "1", "1"),
        ("page=-5&per_page=1000", "1", "100"),
        ("", "1", "20"),
        ("per_page=", "1", "20"),
    ):
        response = await people.anonymous.get(f"/api/v4/groups?{query}")
        assert (200, page, per_page) == (response.status, response.headers["X-Page"], response.headers["X-Per-Page"])
    for name in ("page", "per_page"):
        for value in ("x", "1.5", "9" * 30):
            bad = (400, {"error": f"{name} is invalid"})
            assert bad == await call(people.anonymous, "GET", f"/groups?{name}={value}")


async def test_keyset_pages_walk_by_id(people: People, seven: list[str], services: Services) -> None:
    seen, url = [], "/api/v4/groups?pagination=keyset&per_page=3&order_by=id"
    while url:
        response = await people.root.get(url)
        assert "X-Total" not in response.headers
        assert "X-Page" not in response.headers
        seen.append([one["path"] for one in await response.json()])
        url = str(URL(links(response)["next"]).relative()) if "next" in links(response) else ""
    assert [["g0", "g1", "g2"], ["g3", "g4", "g5"], ["g6"]] == seen

    down = await people.root.get("/api/v4/groups?pagination=keyset&per_page=5&sort=desc")
    (url,) = links(down).values()
    assert url.startswith(services.settings.base_url)
    status, rest = await call(people.root, "GET", str(URL(url).relative()).removeprefix("/api/v4"))
    assert (200, ["g1", "g0"]) == (status, [one["path"] for one in rest])
    refusal = (405, {"error": "Keyset pagination is not yet available for this type of request"})
    assert refusal == await call(people.root, "GET", "/groups?pagination=keyset&order_by=path")


async def test_an_offset_that_is_too_deep_is_refused(people: People) -> None:
    status, body = await call(people.root, "GET", "/projects?per_page=100&page=502")
    assert 405 == status
    assert body["error"].startswith("Offset pagination has a maximum allowed offset of 50000")
    assert 200 == (await call(people.root, "GET", "/projects?per_page=100&page=501"))[0]


async def test_totals_above_ten_thousand_are_left_out(people: People, services: Services) -> None:
    await services.db.execute(
        "INSERT INTO users (username, name, email) SELECT 'u' || n, 'U', '' FROM generate_series(1, 10001) AS n"
    )
    response = await people.root.get("/api/v4/users?per_page=100&page=2")
    assert {"prev", "next", "first"} == set(links(response))
    assert "X-Total" not in response.headers
    assert "X-Total-Pages" not in response.headers
    assert "3" == response.headers["X-Next-Page"]
    exact = await people.root.get("/api/v4/users?per_page=100&search=u1000")
    assert "3" == exact.headers["X-Total"]


async def test_every_list_is_paginated(people: People) -> None:
    project = await people.project(await people.group("acme"))
    for path in (
        "/users",
        "/projects",
        "/groups",
        "/groups/acme/projects",
        "/groups/acme/subgroups",
        "/groups/acme/descendant_groups",
        "/groups/acme/members",
        "/groups/acme/members/all",
        "/groups/acme/deploy_tokens",
        "/groups/acme/access_tokens",
        f"/projects/{project.id}/members",
        f"/projects/{project.id}/members/all",
        f"/projects/{project.id}/deploy_tokens",
        f"/projects/{project.id}/access_tokens",
        f"/projects/{project.id}/packages",
        f"/projects/{project.id}/audit_events",
        "/groups/acme/packages",
        "/groups/acme/audit_events",
        "/deploy_tokens",
        "/personal_access_tokens",
        "/audit_events",
    ):
        response = await people.root.get(f"/api/v4{path}?per_page=1")
        assert (200, "1") == (response.status, response.headers.get("X-Per-Page")), path


async def test_a_link_repeats_no_token(people: People) -> None:
    assert people.root.token is not None
    response = await people.anonymous.get(f"/api/v4/user?private_token={people.root.token}")
    assert 200 == response.status
    response = await people.anonymous.get(f"/api/v4/users?private_token={people.root.token}&per_page=1")
    assert 200 == response.status
    assert people.root.token not in response.headers["Link"]
