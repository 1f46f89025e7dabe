"""Poisoned requests: no header of a client changes what anybody is answered, and no shared cache mixes up callers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from registry.access import AccessLevel
from registry.model import Project
from registry.settings import Settings
from tests.formats.npm.transcripts import publish
from tests.formats.pypi.distributions import a_wheel
from tests.people import ROOT_TOKEN, People
from tests.security.balancer import SHARED_CACHE, balanced
from tests.server.wire import Answer, Wire, wired

EVIL = "evil.example"
POISON: Mapping[str, tuple[str, ...]] = {
    "Host": (f"Host: {EVIL}",),
    "a host with a port": (f"Host: {EVIL}:1234",),
    "a host with a path": (f"Host: registry.test/{EVIL}",),
    "a host with credentials": (f"Host: registry.test@{EVIL}",),
    "X-Forwarded-Host": (f"X-Forwarded-Host: {EVIL}",),
    "X-Forwarded-Host of several": (f"X-Forwarded-Host: registry.test, {EVIL}",),
    "X-Forwarded-Proto": ("X-Forwarded-Proto: gopher", "X-Forwarded-Scheme: gopher", "X-Forwarded-Ssl: on"),
    "X-Forwarded-Port": ("X-Forwarded-Port: 1234",),
    "X-Forwarded-Prefix": (f"X-Forwarded-Prefix: /{EVIL}", f"X-Script-Name: /{EVIL}", f"X-Forwarded-Path: /{EVIL}"),
    "X-Forwarded-Server": (f"X-Forwarded-Server: {EVIL}", f"X-Host: {EVIL}", f"X-HTTP-Host-Override: {EVIL}"),
    "Forwarded": (f"Forwarded: for=192.0.2.1;host={EVIL};proto=gopher",),
    "X-Original-URL": ("X-Original-URL: /-/health", "X-Rewrite-URL: /-/health", "X-Accel-Redirect: /etc/passwd"),
    "X-HTTP-Method-Override": ("X-HTTP-Method-Override: DELETE", "X-Method-Override: DELETE", "X-HTTP-Method: DELETE"),
    "X-Forwarded-For": ("X-Forwarded-For: 127.0.0.1", "X-Real-IP: 127.0.0.1", "True-Client-IP: 127.0.0.1"),
    "Origin": (f"Origin: https://{EVIL}", f"Referer: https://{EVIL}/", "Sec-Fetch-Site: cross-site"),
    "a tenant": ("X-Gitlab-Tenant: evil.example", f"Via: 1.1 {EVIL}", f"X-Wap-Profile: http://{EVIL}/"),
}
ROOT = f"PRIVATE-TOKEN: {ROOT_TOKEN}"


@pytest.fixture(params=["", "127.0.0.0/8"], ids=["no proxy", "a trusted proxy"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Of a server that the tests reach directly, or as a proxy that it trusts."""
    return Settings(data_dir=tmp_path, stale_seconds=5, trusted_proxies=request.param)


@pytest.fixture
async def wire(server: TestServer) -> AsyncIterator[Wire]:
    async with wired(server) as wire:
        yield wire


async def a_project(people: People, visibility: str) -> Project:
    group = await people.group("acme", visibility=visibility)
    project = await people.project(group, "shop", visibility=visibility)
    answer = await people.root.upload(project, "demo-1.0-py3-none-any.whl", a_wheel(), name="demo", version="1.0")
    assert 201 == answer.status
    for version in ("1.0.0", "1.0.1"):
        await publish(people.root, project, "@acme/widget", version)
    return project


async def ask(wire: Wire, target: str, *lines: str, host: str = "Host: registry.test") -> Answer:
    head = "\r\n".join(
        (f"GET {target} HTTP/1.1", *(() if any(x.startswith("Host:") for x in lines) else (host,)), *lines)
    )
    await wire.send(f"{head}\r\n\r\n".encode())
    return await wire.answer()


async def targets(wire: Wire, project: Project) -> list[tuple[str, tuple[str, ...]]]:
    """Everything that holds an address or is kept: paths and headers."""
    pypi, npm = (f"/api/v4/projects/{project.id}/packages/{kind}" for kind in ("pypi", "npm"))
    page = (await ask(wire, f"{pypi}/simple/demo/", ROOT)).body.decode()
    file = "/api/" + page.partition('href="')[2].partition("#")[0].partition("/api/")[2]
    json, short = "Accept: application/vnd.pypi.simple.v1+json", "Accept: application/vnd.npm.install-v1+json"
    group = f"/api/v4/groups/{project.namespace_id}"
    return [
        *((f"{pypi}/simple{rest}", accept) for rest in ("/", "/demo/") for accept in ((), (json,))),
        *((f"{group}/-/packages/pypi/simple{rest}", ()) for rest in ("/", "/demo/")),
        (file, ()),
        *((f"{npm}/@acme%2fwidget", accept) for accept in ((), (short,))),
        *((f"{npm}/@acme/widget/{rest}", ()) for rest in ("latest", "-/widget-1.0.0.tgz")),
        ("/api/v4/packages/npm/@acme%2fwidget", ()),
        (f"{npm}/-/package/@acme%2fwidget/dist-tags", ()),
        (f"{npm}/-/v1/search?text=widget", ()),
        (f"{npm}/unknown-name", ()),
        (f"{pypi}/simple/unknown-name/", ()),
        (f"/api/v4/projects/{project.id}/packages?per_page=1", ()),
        *((path, ()) for path in ("/api/v4/projects", "/api/v4/groups", f"{group}", "/api/v4/user", "/api/v4/none")),
        *((path, ()) for path in ("/", "/-/docs", "/api/openapi.json", "/none")),
    ]


def shown(answer: Answer) -> tuple[int, dict[str, list[str]], bytes]:
    # When something was answered or used is its own.
    headers = {name: values for name, values in answer.headers.items() if name != "date"}
    return answer.status, headers, re.sub(rb'"(last_\w+_at|time)":"[^"]*"', b"", answer.body)


async def test_no_header_of_a_client_gets_into_what_anybody_is_answered(
    wire: Wire, server: TestServer, people: People
) -> None:
    """What is asked first fills the caches, so the first to ask is the one with poison."""
    project = await a_project(people, "public")
    statuses = set()
    wrong = []
    for number, (target, headers) in enumerate(await targets(wire, project)):
        every = [line for lines in list(POISON.values())[4:] for line in lines]
        first = shown(await ask(wire, target, ROOT, *headers, *every, f"Host: {EVIL}"))
        clean = shown(await ask(wire, target, ROOT, *headers))
        statuses.add(clean[0])
        if first != clean or EVIL in str(first) or "gopher" in str(first):
            wrong.append((target, "all", first))
        for name, lines in POISON.items() if number % 3 == 0 else ():
            if shown(await ask(wire, target, ROOT, *headers, *lines)) != clean:
                wrong.append((target, name))
        if shown(await ask(wire, f"http://{EVIL}:1{target}", ROOT, *headers)) != clean:
            wrong.append((target, "the absolute form"))
    assert [] == wrong
    assert {200, 302, 404} <= statuses


@asynccontextmanager
async def behind_a_cache(server: TestServer) -> AsyncIterator[list[Wire]]:
    """Two connections to nginx that keeps every answer for a minute unless it is told not to."""
    async with AsyncExitStack() as stack:
        socket = await stack.enter_async_context(balanced(server.port or 0, more=SHARED_CACHE))
        connections = [await asyncio.open_unix_connection(socket, limit=2**20) for _ in range(2)]
        for _, writer in connections:
            stack.callback(writer.close)
        yield [Wire(*connection) for connection in connections]


@pytest.mark.parametrize("settings", [""], indirect=True)
async def test_a_cache_in_between_shows_nobody_what_another_was_shown(
    wire: Wire, server: TestServer, people: People
) -> None:
    project = await a_project(people, "private")
    member = await people.member(project, AccessLevel.DEVELOPER)
    outsider = await people.user()
    paths = await targets(wire, project)
    forms = (f"PRIVATE-TOKEN: {member.token}", f"Authorization: Bearer {member.token}")
    wrong = []
    async with behind_a_cache(server) as (mine, theirs):
        for target, headers in paths:
            for form in forms:
                seen = [await ask(mine, target, form, *headers) for _ in range(2)]
                for line in ("X-Nobody: 1", f"PRIVATE-TOKEN: {outsider.token}"):
                    through = shown(await ask(theirs, target, line, *headers))
                    direct = shown(await ask(wire, target, line, *headers))
                    if (through[0], through[2]) != (direct[0], direct[2]):
                        wrong.append((target, line[:8], through[0], direct[0]))
                # And what they are told is not what the member is told then.
                again = await ask(mine, target, form, *headers)
                hits = [each.header("X-Cache") for each in (*seen, again)]
                if shown(again)[::2] != shown(seen[0])[::2] or "HIT" in hits:
                    wrong.append((target, "again", again.status, seen[0].status))
    assert [] == wrong
