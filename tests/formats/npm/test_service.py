from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

from registry import advisories, metrics, osv
from registry.access import AccessLevel
from registry.model import Group, Project
from registry.upstream import PUBLIC
from tests.formats.npm.transcripts import base, path, publish, refused, set_settings, username
from tests.people import OPERATOR, People, Person

AUDITS = ("advisories/bulk", "audits/quick", "audits")


async def search(person: Person, place: Project | Group | None, query: str) -> dict[str, Any]:
    response = await person.get(path(place, f"-/v1/search?{query}"))
    assert 200 == response.status, await response.text()
    found: dict[str, Any] = json.loads(await response.read())
    return found


async def hits(person: Person, place: Project | Group | None, query: str) -> tuple[list[str], int]:
    found = await search(person, place, query)
    return [one["package"]["name"] for one in found["objects"]], found["total"]


async def test_ping_answers_everybody_and_says_nothing_of_what_exists(people: People, group: Group) -> None:
    hidden = await people.project(group, visibility="private")
    unknown = base(hidden).replace(str(hidden.id), "999999")

    for prefix in (base(hidden), base(group), base(None), unknown):
        for rest in ("/-/ping", "/-/ping?write=true"):
            response = await people.anonymous.get(f"{prefix}{rest}")
            assert (200, {}) == (response.status, await response.json())
    bad = await people.anonymous.get(f"{base(hidden)}/-/ping", headers={"Authorization": "Bearer wrong"})
    assert (401, "401 Unauthorized") == await refused(bad)


async def test_whoami_names_the_user_or_the_deploy_token(people: People, group: Group, project: Project) -> None:
    member = await people.member(project, AccessLevel.GUEST)
    token = await people.deploy_token(project)

    for place in (project, group, None):
        response = await member.get(path(place, "-/whoami"))
        assert (200, {"username": await username(member)}) == (response.status, await response.json())
        assert (401, "401 Unauthorized") == await refused(await people.anonymous.get(path(place, "-/whoami")))
    assert "gitlab+deploy-token-" in await username(token)


async def test_search_finds_names_descriptions_and_keywords(people: People, project: Project) -> None:
    await publish(people.root, project, "@acme/widget", "1.0.0", description="Turns Gears", keywords=["mill"])
    await publish(people.root, project, "@acme/gadget", "1.0.0", description="A widget too", license="mill")
    await publish(people.root, project, "widget", "1.0.0")
    await publish(people.root, project, "other", "1.0.0", dependencies={"widget": "^1"})
    names = ["@acme/gadget", "@acme/widget", "other", "widget"]

    for query, expected in (
        ("text=widget", ["widget", "@acme/gadget", "@acme/widget"]),
        ("text=WIDGET%20a", ["@acme/gadget", "@acme/widget"]),
        ("text=gears", ["@acme/widget"]),
        ("text=mill", ["@acme/widget"]),
        ("text=keywords:mill", ["@acme/widget"]),
        ("text=scope:acme", ["@acme/gadget", "@acme/widget"]),
        ("text=scope:%40acme%20gears", ["@acme/widget"]),
        ("text=scope:other", []),
        ("text=@acme/wid", ["@acme/widget"]),
        ("text=author:ada%20other", ["other"]),
        ("text=%25", []),
        ("text=nothing-like-it", []),
        ("text=", names),
        ("", names),
    ):
        assert (expected, len(expected)) == await hits(people.anonymous, project, query), query


async def test_a_hit_describes_the_latest_version(people: People, developer: Person, project: Project) -> None:
    await publish(
        developer, project, "widget", "1.0.0", description="stable", keywords=["k"], homepage="https://w.test/"
    )
    await publish(developer, project, "widget", "2.0.0-rc.1", tag="next", description="soon")
    await publish(developer, project, "untagged", "10.0.0-rc.1", tag="next", description="ten")
    await publish(developer, project, "untagged", "9.0.0", tag="old", description="nine")

    found = await search(people.anonymous, project, "text=widget")

    ((hit,), person) = found["objects"], {"username": await username(developer), "email": ""}
    assert {
        "name": "widget",
        "scope": "unscoped",
        "version": "1.0.0",
        "description": "stable",
        "keywords": ["k"],
        "links": {"homepage": "https://w.test/"},
        "maintainers": [person],
        "publisher": person,
        "date": hit["package"]["date"],
    } == hit["package"]
    untagged = (await search(people.anonymous, project, "text=untagged"))["objects"][0]["package"]
    assert ("10.0.0-rc.1", "ten") == (untagged["version"], untagged["description"])


async def test_the_total_is_the_same_on_every_page(people: People, project: Project) -> None:
    names = [f"widget-{number}" for number in range(5)]
    for name in names:
        await publish(people.root, project, name, "1.0.0")

    pages = [await hits(people.anonymous, project, f"text=widget&size=2&from={start}") for start in (0, 2, 4, 6, 99999)]

    assert [(names[:2], 5), (names[2:4], 5), (names[4:], 5), ([], 5), ([], 5)] == pages
    assert (names, 5) == await hits(people.anonymous, project, "text=widget&size=100000")
    assert ([], 5) == await hits(people.anonymous, project, "text=widget&size=0")
    for query in ("size=many", "from=-1"):
        assert 400 == (await refused(await people.anonymous.get(path(project, f"-/v1/search?{query}"))))[0]


async def test_search_shows_only_what_the_caller_may_read(people: People, group: Group, project: Project) -> None:
    hidden = await people.project(group, visibility="private")
    elsewhere = await people.project(visibility="public")
    guest = await people.member(hidden, AccessLevel.GUEST)
    await publish(people.root, project, "@acme/widget", "1.0.0")
    await publish(people.root, hidden, "@acme/widget", "2.0.0")
    await publish(people.root, hidden, "secret-widget", "1.0.0")
    await publish(people.root, elsewhere, "stray-widget", "1.0.0")

    async def versions(person: Person, place: Project | Group | None) -> list[tuple[str, str]]:
        found = await search(person, place, "text=widget")
        assert found["total"] == len(found["objects"])
        return [(one["package"]["name"], one["package"]["version"]) for one in found["objects"]]

    outside, inside = ("@acme/widget", "1.0.0"), ("@acme/widget", "2.0.0")
    secret, stray = ("secret-widget", "1.0.0"), ("stray-widget", "1.0.0")
    assert [outside] == await versions(people.anonymous, group)
    assert [inside, secret] == await versions(guest, group)
    assert [outside, stray] == await versions(people.anonymous, None)
    assert [inside, secret, stray] == await versions(guest, None)
    assert (401, "401 Unauthorized") == await refused(await people.anonymous.get(path(hidden, "-/v1/search")))


async def test_a_deleted_name_is_not_found(people: People, maintainer: Person, project: Project) -> None:
    await publish(people.root, project, "widget", "1.0.0")
    rev = (await (await maintainer.get(path(project, "widget"))).json())["_rev"]
    await maintainer.ask("DELETE", path(project, f"widget/-rev/{rev}"))

    assert ([], 0) == await hits(people.anonymous, project, "text=widget")


async def test_an_audit_is_forwarded_as_on_gitlab(people: People, group: Group, project: Project) -> None:
    hidden = await people.project(visibility="private")
    outsider = await people.user()
    unknown = base(project).replace(str(project.id), "999999")

    for prefix in (base(project), base(group), base(None), base(hidden), unknown):
        for audit in AUDITS:
            url = f"{prefix}/-/npm/v1/security/{audit}"
            response = await outsider.ask("POST", url, json={"widget": ["1.0.0"]})
            location = response.headers.get("Location")
            assert (307, f"{PUBLIC['npm']}/-/npm/v1/security/{audit}") == (response.status, location)
            assert (401, "401 Unauthorized") == await refused(await people.anonymous.ask("POST", url, json={}))


async def test_without_forwarding_an_audit_finds_nothing(people: People, group: Group, project: Project) -> None:
    await set_settings(people, None, npm_package_requests_forwarding=False)
    hidden = await people.project(visibility="private")
    member = await people.member(project, AccessLevel.GUEST)
    versions = json.dumps({"widget": ["1.0.0"]}).encode()
    tree = json.dumps({"name": "app", "dependencies": {"widget": {"version": "1.0.0"}}}).encode()
    none = {"info": 0, "low": 0, "moderate": 0, "high": 0, "critical": 0}

    for place in (project, group, None):
        for pack, coding in ((bytes, {}), (gzip.compress, {"Content-Encoding": "gzip"}), (_nothing, {})):
            answers = [
                await member.ask("POST", path(place, f"-/npm/v1/security/{audit}"), data=pack(body), headers=coding)
                for audit, body in zip(AUDITS, (versions, tree, tree), strict=True)
            ]
            bulk, quick, full = [await answer.json() for answer in answers]
            assert ({}, quick) == (bulk, full)
            assert ([], {}, [], none) == (
                quick["actions"],
                quick["advisories"],
                quick["muted"],
                quick["metadata"]["vulnerabilities"],
            )
    answer = await member.ask("POST", path(hidden, "-/npm/v1/security/audits"), json={})
    assert (404, "Project not found") == await refused(answer)


def _nothing(_body: bytes) -> bytes:
    return b""


async def test_an_audit_body_is_read_within_limits(people: People, project: Project) -> None:
    url = path(project, "-/npm/v1/security/advisories/bulk")
    bomb = gzip.compress(b'{"a":"' + b"0" * (17 * 1024 * 1024) + b'"}')
    assert 64 * 1024 > len(bomb)

    for body, coding, status in (
        (bomb, "gzip", 413),
        (gzip.compress(b"{}")[:-4], "gzip", 400),
        (b"not gzip", "gzip", 400),
        (b"{}", "br", 415),
        (b"{", "identity", 400),
        (b"[]", "identity", 400),
        (b"\xff", "identity", 400),
    ):
        response = await people.root.ask("POST", url, data=body, headers={"Content-Encoding": coding})
        assert status == (await refused(response))[0], (body[:20], coding)


async def test_an_audit_tells_the_beginning_of_long_details(people: People, project: Project) -> None:
    affected = [{"package": {"ecosystem": "npm", "name": "gadget"}, "versions": ["1.0.0"]}]
    details = "at length " * 1_000
    one = osv.parse({"id": "A", "modified": "2026-01-01T00:00:00Z", "details": details, "affected": affected})
    await advisories.load(people.services.db, OPERATOR, [one], replace=False)
    asked = {"gadget": ["1.0.0"]}, *[{"dependencies": {"gadget": {"version": "1.0.0"}}}] * 2

    bulk, *others = [
        await (await people.root.ask("POST", path(project, f"-/npm/v1/security/{audit}"), json=document)).json()
        for audit, document in zip(AUDITS, asked, strict=True)
    ]

    assert [("gadget", "=1.0.0")] == [(name, found["vulnerable_versions"]) for name, (found,) in bulk.items()]
    assert [details[:2_000]] * 2 == [found["overview"] for other in others for found in other["advisories"].values()]


async def test_only_some_audits_wait_for_their_turn(people: People, project: Project) -> None:
    url, over = path(project, "-/npm/v1/security/advisories/bulk"), asyncio.Event()

    async def hold() -> None:
        async with people.services.audits.share(1):
            await over.wait()

    holders = [asyncio.create_task(hold()) for _ in range(102)]
    await asyncio.sleep(0)
    refusal = await people.root.ask("POST", url, json={})
    over.set()
    await asyncio.gather(*holders)

    assert (429, "Too many audits are under way") == await refused(refusal)
    assert 0 == people.services.audits.taken


async def test_the_update_checks_of_npm_and_pnpm_cost_no_query(people: People, project: Project) -> None:
    await set_settings(people, None, npm_package_requests_forwarding=False)
    asked = [path(place, name) for place in (project, None) for name in ("npm", "pnpm")]
    for url in asked:
        await people.root.get(url)
    before = _misses()

    answers = [await refused(await people.root.get(url)) for url in asked * 5]

    assert ({(404, "Packages not found")}, before) == (set(answers), _misses())


def _misses() -> float:
    samples = metrics.lookups.collect()[0].samples
    return sum(s.value for s in samples if s.labels.get("result") == "miss" and s.name.endswith("_total"))
