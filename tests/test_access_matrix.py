"""The access matrix: every route, every kind of caller, every visibility, against `access_table`.

The routes are those of the application with their paths, abilities, levels and faces; what they lead to is replaced by
an answer that says no more than that it was reached. So a route is covered the moment it is written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from registry import accounts, app, mounts, tree
from registry.access import Ability, AccessLevel
from registry.db import changes
from registry.db.changes import Change
from registry.db.connection import Database
from registry.formats.npm import login
from registry.model import Group, Level, Project
from registry.server.context import Context
from registry.server.routes import BASES, Endpoint, Table
from registry.services import Services
from tests.access_table import ABSENT, CALLERS, REACHED, VISIBILITIES, expected, expected_absent
from tests.people import OPERATOR, People
from tests.server.wire import Wire, wired


@dataclass(frozen=True)
class Place:
    """A group and a project inside it, of one visibility, and what callers present there."""

    group: Group
    project: Project
    headers: Mapping[str, Mapping[str, str]]


async def reached(_context: Context) -> web.StreamResponse:
    return web.Response(status=REACHED)


def probing() -> Table:
    """The routes of the application, leading nowhere. `denied` is left out: what it answers is the format's matter."""
    table = Table()
    for endpoint in app.routes().endpoints:
        table._add(replace(endpoint, route=replace(endpoint.route, handler=reached, denied=None)))
    return table


@pytest.fixture
async def probe(services: Services) -> AsyncIterator[TestServer]:
    server = TestServer(app.make_app(services, table=probing()), host="127.0.0.1")
    await server.start_server()
    yield server
    await server.close()


@pytest.fixture
async def wire(probe: TestServer) -> AsyncIterator[Wire]:
    async with wired(probe) as wire:
        yield wire


@pytest.fixture
async def everyone(services: Services, probe: TestServer) -> AsyncIterator[People]:
    async with TestClient(probe) as client:
        yield People(services, client)


async def a_place(people: People, visibility: str) -> Place:
    group = await people.group(visibility=visibility)
    project = await people.project(group, visibility=visibility)
    foreign = await people.group(visibility="private")
    db = people.services.db
    tokens = {"outsider": (await people.user()).token, "admin": (await people.user(admin=True)).token}
    for role in ("guest", "reporter", "developer", "maintainer", "owner"):
        tokens[role] = (await people.member(group, AccessLevel[role.upper()])).token
    for scope in ("read_api", "read_user"):
        tokens[scope] = (await people.member(group, AccessLevel.OWNER, scopes=(scope,))).token
    for end in ("expired", "revoked"):
        owner = await people.member(group, AccessLevel.OWNER)
        tokens[end] = owner.token
        await _end(db, owner.token or "", end)
    headers: dict[str, Mapping[str, str]] = {"anonymous": {}}
    headers |= {caller: {"PRIVATE-TOKEN": token or ""} for caller, token in tokens.items()}
    for name, home in (("deploy", project), ("group_deploy", group), ("foreign_deploy", foreign)):
        for kind in ("read", "write"):
            headers[f"{name}_{kind}"] = (await people.deploy_token(home, f"{kind}_package_registry")).headers
    return Place(group, project, headers)


async def _end(db: Database, token: str, how: str) -> None:
    """Let a token end, as the API or its last day would."""
    digest = accounts.digest(token)
    today = datetime.now(UTC).date() if how == "expired" else None
    async with db.transaction() as tx:
        await tx.execute(
            "UPDATE personal_access_tokens SET revoked = $2, expires_at = $3 WHERE sha256 = $1",
            digest,
            how == "revoked",
            today,
        )
        await changes.record(tx, [Change("token", digest.hex())])


def target(endpoint: Endpoint, place_id: int | str) -> str:
    """A path to the endpoint: sensible values, of things that do not exist."""
    values = {"id": str(place_id), "name": "demo", "sha256": "0" * 64}
    parts = endpoint.template.split("/")
    return "/".join(values.get(p[1:-1].partition(":")[0], "1") if p.startswith("{") else p for p in parts)


def told(endpoint: Endpoint) -> str:
    return f"{endpoint.route.method} {endpoint.template}"


def test_every_route_has_a_place_in_the_table() -> None:
    missing = []
    for endpoint in app.routes().endpoints:
        try:
            expected(endpoint, "anonymous", "public")
        except KeyError as error:
            missing.append(f"{told(endpoint)}: no column for {error}")
    assert [] == missing


@pytest.mark.parametrize("visibility", VISIBILITIES)
async def test_every_caller_gets_as_far_as_the_table_says(wire: Wire, everyone: People, visibility: str) -> None:
    place = await a_place(everyone, visibility)
    assert set(CALLERS) <= set(place.headers)
    wrong: dict[str, list[str]] = defaultdict(list)
    for endpoint in app.routes().endpoints:
        # Without a place visibility does not matter: once is enough.
        if endpoint.level not in {Level.PROJECT, Level.GROUP} and visibility != "public":
            continue
        path = target(endpoint, place.group.id if endpoint.level is Level.GROUP else place.project.id)
        for caller in CALLERS:
            answer = await wire.ask(endpoint.route.method, path, place.headers[caller])
            wanted = expected(endpoint, caller, visibility)
            if wanted != answer.status:
                wrong[told(endpoint)].append(f"{caller}: {answer.status}, not {wanted}")
    assert {} == wrong


async def test_what_does_not_exist_looks_like_what_is_hidden(wire: Wire, everyone: People) -> None:
    place = await a_place(everyone, "private")
    wrong: dict[str, list[str]] = defaultdict(list)
    for endpoint in app.routes().endpoints:
        if endpoint.level not in {Level.PROJECT, Level.GROUP}:
            continue
        for caller in ABSENT:
            for reference in ("999999", "no%2Fsuch"):
                answer = await wire.ask(endpoint.route.method, target(endpoint, reference), place.headers[caller])
                wanted = expected_absent(endpoint, caller)
                if wanted != answer.status:
                    wrong[told(endpoint)].append(f"{caller}: {answer.status}, not {wanted}")
    assert {} == wrong


async def test_a_project_elsewhere_opens_nothing_here(wire: Wire, everyone: People) -> None:
    """An owner of one group is an outsider of another, whatever the ids are."""
    here, elsewhere = await a_place(everyone, "private"), await a_place(everyone, "private")
    wrong = []
    for endpoint in app.routes().endpoints:
        if endpoint.level not in {Level.PROJECT, Level.GROUP} or endpoint.route.ability is Ability.PUBLIC:
            continue
        path = target(endpoint, elsewhere.group.id if endpoint.level is Level.GROUP else elsewhere.project.id)
        answer = await wire.ask(endpoint.route.method, path, here.headers["owner"])
        if answer.status != 404:
            wrong.append((told(endpoint), answer.status))
    assert [] == wrong


async def test_a_mount_opens_no_more_than_the_routes_that_it_stands_for(
    wire: Wire, everyone: People, services: Services
) -> None:
    place = await a_place(everyone, "private")
    for level, home in ((Level.PROJECT, place.project), (Level.GROUP, place.group)):
        for package_type in ("pypi", "npm"):
            url = f"/{level.value}/{package_type}"
            await mounts.create_mount(services.db, OPERATOR, home, url=url, package_type=package_type)
    wrong: dict[str, list[str]] = defaultdict(list)
    for endpoint in app.routes().endpoints:
        if endpoint.format is None or endpoint.level not in {Level.PROJECT, Level.GROUP}:
            continue
        base = BASES[endpoint.level].format(type=endpoint.format.package_type).replace("{id}", "1")
        path = f"/{endpoint.level.value}/{endpoint.format.package_type}{target(endpoint, 1).removeprefix(base)}"
        for caller in CALLERS:
            answer = await wire.ask(endpoint.route.method, path, place.headers[caller])
            wanted = expected(endpoint, caller, "private")
            if wanted != answer.status:
                wrong[told(endpoint)].append(f"{caller}: {answer.status}, not {wanted}")
    assert {} == wrong


async def test_roles_are_given_up_the_moment_they_end(wire: Wire, everyone: People, services: Services) -> None:
    """For each route that a maintainer reaches in private, the very next request after the removal is refused."""
    place = await a_place(everyone, "private")
    member = await everyone.member(place.group, AccessLevel.OWNER)
    assert member.user_id is not None
    headers = {"PRIVATE-TOKEN": member.token or ""}
    endpoints = [e for e in app.routes().endpoints if e.level in {Level.PROJECT, Level.GROUP}]
    paths = [(e, target(e, place.group.id if e.level is Level.GROUP else place.project.id)) for e in endpoints]
    assert {REACHED} == {(await wire.ask(e.route.method, path, headers)).status for e, path in paths}
    await tree.remove_member(services.db, OPERATOR, place.group, member.user_id)
    for endpoint, path in paths:
        wanted = REACHED if endpoint.route.ability is Ability.PUBLIC else 404
        assert wanted == (await wire.ask(endpoint.route.method, path, headers)).status, told(endpoint)


async def test_the_real_handlers_let_nobody_without_credentials_change_anything(
    server: TestServer, people: People, services: Services
) -> None:
    """The whole way through, `denied` and what handlers check by themselves included."""
    project = await people.project(visibility="public")
    before = await services.db.fetchval("SELECT number FROM change_head")
    wrong = []
    async with wired(server) as wire:
        for endpoint in app.routes().endpoints:
            if endpoint.route.method == "GET":
                continue
            place_id = project.namespace_id if endpoint.level is Level.GROUP else project.id
            answer = await wire.ask(endpoint.route.method, target(endpoint, place_id), {}, b"")
            # The audit routes of npm are passed on to the public registry, which needs no rights here. Who signs in has
            # none yet: to begin that changes nothing, and the form asks for a token.
            signing_in = endpoint.route.handler in {login.begin, login.confirm}
            if answer.status not in ({200, 400} if signing_in else {401, 403, 404, 307}):
                wrong.append((told(endpoint), answer.status))
    assert ([], before) == (wrong, await services.db.fetchval("SELECT number FROM change_head"))
