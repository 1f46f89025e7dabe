"""Enumeration: who may not see a thing is told just what is told of a thing that is not there, and for as much work.

The whole answer is compared, headers included, and the statements that Postgres ran for it, which is what takes time.
Where GitLab's clients need to be told more, `TOLD_APART` says so, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from registry import app
from registry.access import AccessLevel
from registry.model import Group, Level, Project
from registry.server.routes import Endpoint
from registry.services import Services
from tests.api.published import publish
from tests.people import People
from tests.server.wire import Answer, Wire, wired
from tests.test_access_matrix import told

# pip and twine ask for a password on 401 only, so a hidden project has to answer that; what does not exist is 404 in
# GitLab's PyPI API (contract 2.3). Nobody with a token can tell the two apart, and an id says nothing but that it is
# taken. Below a group the same holds for names (contract 4.5, 7): a hidden one is refused, because whoever was sent to
# the public index for it would install a stranger's package of that name.
TOLD_APART = "/packages/pypi"


@pytest.fixture
async def wire(server: TestServer) -> AsyncIterator[Wire]:
    async with wired(server) as wire:
        yield wire


def path_of(endpoint: Endpoint, values: Mapping[str, Any]) -> str:
    parts = endpoint.template.split("/")
    names = [part[1:-1].partition(":")[0] if part.startswith("{") else "" for part in parts]
    return "/".join(str(values.get(name, "4711")) if name else part for name, part in zip(names, parts, strict=True))


def shown(answer: Answer, *own: object) -> tuple[object, ...]:
    """All of an answer but its date, with the words of the question taken out."""
    text = repr((
        answer.status,
        answer.reason,
        sorted((name, value) for name, value in answer.headers.items() if name != "date"),
        answer.body,
    ))  # fmt: skip
    for word in sorted(map(str, own), key=len, reverse=True):
        text = re.sub(rf"(?<![\w-]){re.escape(word)}(?![\w-])", "*", text)
    # The length of what was just replaced.
    return (re.sub(r"'content-length', \['\d+'\]", "", text) if own else text,)


@contextmanager
def statements(services: Services) -> Iterator[list[str]]:
    """What Postgres is asked in the block, but for the poll of the change log, which is not for one request."""
    seen: list[str] = []

    def note(record: Any) -> None:
        if "change" not in record.query:
            seen.append(record.query)

    connections = [holder._con for holder in services.db._pool._holders if holder._con is not None]
    for connection in connections:
        connection.add_query_logger(note)
    try:
        yield seen
    finally:
        for connection in connections:
            connection.remove_query_logger(note)


async def callers(people: People, elsewhere: Project) -> dict[str, dict[str, str]]:
    """Nobody, and people with rights of every kind, but elsewhere."""
    owner = await people.member(elsewhere, AccessLevel.OWNER)
    deploy = await people.deploy_token(elsewhere, "read_package_registry", "write_package_registry")
    return {
        "anonymous": {},
        "outsider": {"PRIVATE-TOKEN": owner.token or ""},
        "deploy": dict(deploy.headers),
        "stale": {"Authorization": "Basic dXNlcjpnbHBhdC1ub2JvZHktaGFzLXRoaXM="},
    }


async def test_a_hidden_place_is_told_like_an_absent_one(wire: Wire, people: People, services: Services) -> None:
    group = await people.group("hidden", visibility="private")
    project = await people.project(group, "tool", visibility="private")
    package_id = await publish(services, project, "demo", "1.0")
    everybody = await callers(people, await people.project(visibility="private"))
    existing = {"name": "demo", "package_id": package_id, "version": "1.0", "file_name": "demo-1.0.tar.gz"}
    wrong = []
    asked = 0
    for endpoint in app.routes().endpoints:
        if endpoint.level not in {Level.PROJECT, Level.GROUP}:
            continue
        place: Project | Group = project if endpoint.level is Level.PROJECT else group
        for who, headers in everybody.items():
            if TOLD_APART in endpoint.template and who in {"anonymous", "stale"}:
                continue
            # All that is there is asked for, by numbers and by paths.
            for known, unknown in ((str(place.id), "999999"), (place.full_path.replace("/", "%2F"), "no%2Fsuch")):
                body = None if endpoint.route.method == "GET" else b""
                hidden = await wire.ask(
                    endpoint.route.method, path_of(endpoint, {**existing, "id": known}), headers, body
                )
                absent = await wire.ask(
                    endpoint.route.method, path_of(endpoint, {**existing, "id": unknown}), headers, body
                )
                asked += 1
                if shown(hidden) != shown(absent):
                    wrong.append((told(endpoint), who, shown(hidden), shown(absent)))
    assert ([], True) == (wrong, asked > 500)


async def test_a_hidden_name_is_told_like_an_absent_one(wire: Wire, people: People, services: Services) -> None:
    """In a project that may not be read, of all that has a name or a number there; by its owners' words and others."""
    group = await people.group("hidden", visibility="private")
    project = await people.project(group, "tool", visibility="private")
    package_id = await publish(services, project, "demo", "1.0.0")
    await publish(services, project, "demo", "1.0.0", package_type="npm", file_name="demo-1.0.0.tgz", tags=["latest"])
    sha256 = await services.db.fetchval("SELECT min(sha256) FROM blobs")
    file_id = await services.db.fetchval("SELECT min(id) FROM package_files")
    existing = {"name": "demo", "version": "1.0.0", "file": "demo-1.0.0.tgz", "file_name": "demo-1.0.0.tar.gz",
                "tag": "latest", "sha256": sha256, "package_id": package_id, "package_file_id": file_id}  # fmt: skip
    absent = {"name": "none", "version": "9.9.9", "file": "none-9.9.9.tgz", "file_name": "none-9.9.9.tar.gz",
              "tag": "none", "sha256": "f" * 64, "package_id": 999_999, "package_file_id": 999_999}  # fmt: skip
    everybody = await callers(people, await people.project(visibility="private"))
    wrong = []
    for endpoint in app.routes().endpoints:
        if endpoint.level is not Level.PROJECT or "{" not in endpoint.template.partition("{id}")[2]:
            continue
        for who, headers in everybody.items():
            body = None if endpoint.route.method == "GET" else b""
            seen = []
            for values in (existing, absent):
                path = path_of(endpoint, {**values, "id": project.id})
                answer = await wire.ask(endpoint.route.method, path, headers, body)
                seen.append(shown(answer, *values.values()))
            # An unknown name is forwarded from npm routes even where nothing may be read, a hidden one never is.
            if seen[0] != seen[1] and not ("npm" in endpoint.template and "302" in str(seen[1])):
                wrong.append((told(endpoint), who, *seen))
    assert [] == wrong


async def test_asked_again_a_hidden_place_takes_as_many_questions_as_an_absent_one(
    wire: Wire, people: People, services: Services
) -> None:
    """The first time after a change a project that exists takes one statement more, which is lost in the noise."""
    group = await people.group("hidden", visibility="private")
    project = await people.project(group, "tool", visibility="private")
    await publish(services, project, "demo", "1.0")
    everybody = await callers(people, await people.project(visibility="private"))
    wrong = []
    for endpoint in app.routes().endpoints:
        if endpoint.level not in {Level.PROJECT, Level.GROUP} or endpoint.route.method != "GET":
            continue
        place = project.id if endpoint.level is Level.PROJECT else group.id
        for who in ("anonymous", "outsider"):
            counts: list[int] = []
            for reference in (place, 999_999):
                path = path_of(endpoint, {"id": reference, "name": "demo", "version": "1.0"})
                await wire.ask("GET", path, everybody[who])
                with statements(services) as seen:
                    await wire.ask("GET", path, everybody[who])
                counts.append(len(seen))
            if counts[0] != counts[1]:
                wrong.append((told(endpoint), who, counts))
    assert [] == wrong
