"""Ids in paths: one of another place is as good as none, and a hidden place is as good as none.

The routes are the application's, so that one is covered the moment it is written; a parameter that this module does not
know fails the tests until it is told what a foreign one would be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest
from yarl import URL

from registry import app, tree
from registry.access import AccessLevel
from registry.model import Group, Level, Project
from registry.server.parameters import Parameter
from registry.server.routes import Endpoint
from registry.services import Services
from tests.api.asking import call, made
from tests.api.published import publish
from tests.people import OPERATOR, People, Person
from tests.staging import open_stage, stage_file

PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")
# Whoever may look at users at all may look at each of them.
OPEN = {("GET", "/api/v4/users/{user_id}")}
# Ids of rows, as opposed to names, which anybody may give to something of their own.
IDS = frozenset(
    {
        "token_id",
        "user_id",
        "package_id",
        "package_file_id",
        "package_protection_rule_id",
        "audit_event_id",
        "stage_id",
        "staged_file_id",
        "hook_id",
        "hook_event_id",
        "mount_id",
        "grant_id",
    }
)
NAMES: Mapping[str, tuple[str, str]] = {
    "name": ("theirs-name", "no-name"),
    "sha256": ("", "f" * 64),
    "file_name": ("theirs-name-1.0.0.tar.gz", "no-name-1.0.0.tar.gz"),
    "file": ("theirs-name-1.0.0.tgz", "no-name-1.0.0.tgz"),
    "version": ("1.0.0", "1.0.0"),
    "tag": ("theirs-tag", "no-tag"),
    "rev": ("1", "1"),
    "trigger": ("publish", "publish"),
    "spec": ("theirs-name@1.0.0", "no-name@1.0.0"),
    "username": ("theirs-user", "no-user"),
    "scope": ("theirs-scope", "no-scope"),
    "team": ("theirs-team", "no-team"),
}


@dataclass
class Place:
    """A private group with a project, and the ids of what is in it, by level and parameter."""

    group: Group
    project: Project
    ids: dict[tuple[Level | None, str], str] = field(default_factory=dict)

    def id_at(self, level: Level) -> str:
        return str(self.project.id if level is Level.PROJECT else self.group.id)


async def a_place(people: People, services: Services, whose: str) -> Place:
    """With one of everything."""
    group = await people.group(whose)
    place = Place(group, await people.project(group, "tool"))
    package_id = await publish(services, place.project, f"{whose}-name", "1.0.0")
    npm: dict[str, Any] = {"package_type": "npm", "file_name": f"{whose}-name-1.0.0.tgz", "tags": [f"{whose}-tag"]}
    await publish(services, place.project, f"{whose}-name", "1.0.0", **npm)
    user = await people.user()
    token = (await call(user, "GET", "/personal_access_tokens/self"))[1]
    ids = place.ids
    ids[None, "token_id"], ids[None, "user_id"] = token["id"], str(user.user_id)
    rule = {"package_name_pattern": "none", "package_type": "npm", "minimum_access_level_for_push": "owner"}
    project = f"/projects/{place.project.id}"
    ids[Level.PROJECT, "package_protection_rule_id"] = (
        await made(people.root, f"{project}/packages/protection/rules", **rule)
    )["id"]
    ids[Level.PROJECT, "package_id"] = str(package_id)
    (file,) = (await call(people.root, "GET", f"{project}/packages/{package_id}/package_files"))[1]
    ids[Level.PROJECT, "package_file_id"] = file["id"]
    stage = await open_stage(people.root, place.project)
    await stage_file(people.root, place.project, stage, "1.0", name=f"{whose}-staged")
    (staged,) = (await call(people.root, "GET", f"{project}/packages/stages/{stage['id']}"))[1]["files"]
    ids[Level.PROJECT, "stage_id"], ids[Level.PROJECT, "staged_file_id"] = stage["id"], str(staged["id"])
    grant = await made(people.root, "/package_grants", prefix=f"reserved-{whose}", group_id=group.id)
    ids[None, "grant_id"] = grant["id"]
    mount = await made(people.root, "/mounts", url=f"/of/{whose}", project_id=place.project.id)
    ids[None, "mount_id"] = mount["id"]
    for level, base in ((Level.PROJECT, project), (Level.GROUP, f"/groups/{group.id}")):
        await made(people.root, f"{base}/members", user_id=user.user_id, access_level=20)
        ids[level, "user_id"] = str(user.user_id)
        hook = await made(people.root, f"{base}/hooks", url="https://hook.example.test", name=f"{whose}-hook")
        test = await made(people.root, f"{base}/hooks/{hook['id']}/test/publish")
        ids[level, "hook_id"], ids[level, "hook_event_id"] = str(hook["id"]), str(test["id"])
        (event, *_) = (await call(people.root, "GET", f"{base}/audit_events"))[1]
        ids[level, "audit_event_id"] = ids[None, "audit_event_id"] = event["id"]
    return place


async def tokens(people: People, place: Place, level: Level, endpoint: Endpoint) -> str:
    """The id of a fresh token of the kind that a route is about."""
    base = f"/{level.value}s/{place.id_at(level)}/{endpoint.template.split('/')[5]}"
    scopes = ["read_package_registry"] if "deploy" in base else ["read_api"]
    return str((await made(people.root, base, name="their-token", scopes=scopes))["id"])


def a_body(parameters: tuple[Parameter, ...]) -> dict[str, Any]:
    """The least that a route takes."""
    samples = {"string": "x", "integer": 1, "boolean": True, "strings": ["x"], "integers": [1], "date": "2099-01-01"}
    return {
        one.name: (list(one.values[:1]) if one.kind.endswith("s") else one.values[0])
        if one.values
        else samples[one.kind]
        for one in parameters
        if one.required
    }


def path_of(endpoint: Endpoint, values: Mapping[str, str]) -> URL:
    text = PARAMETER.sub(lambda match: quote(str(values[match[1]]), safe=""), endpoint.template)
    return URL(text, encoded=True)


def routes() -> Iterator[Endpoint]:
    for endpoint in app.routes().endpoints:
        if PARAMETER.search(endpoint.template):
            yield endpoint


async def answer(person: Person, endpoint: Endpoint, values: Mapping[str, str]) -> tuple[int, Any]:
    """Status, and every visible word with the given values taken out."""
    body = {} if endpoint.route.method == "GET" else {"json": a_body(endpoint.route.parameters)}
    response = await person.ask(endpoint.route.method, path_of(endpoint, values), **body)
    text = await response.text()
    shown = [text, *(f"{name}: {response.headers.get(name)}" for name in ("Location", "WWW-Authenticate", "Allow"))]
    for value in sorted((str(value) for value in values.values()), key=len, reverse=True):
        shown = [re.sub(rf"\b{re.escape(value)}\b", "*", line) for line in shown]
    return response.status, shown


async def rows(services: Services) -> list[str]:
    """Everything that the routes could change, but for the log of it."""
    tables = ("packages", "package_files", "tags", "members", "deploy_tokens", "package_protection_rules", "users",
              "projects", "namespaces", "blobs", "stages", "staged_files", "hooks", "hook_events",
              "mounts")  # fmt: skip
    found = [f"{table}: {row}" for table in tables for row in await services.db.fetch(f"TABLE {table}")]
    query = "SELECT id, user_id, revoked, expires_at FROM personal_access_tokens ORDER BY id"
    return sorted(found + [str(row) for row in await services.db.fetch(query)])


@pytest.fixture
async def theirs(people: People, services: Services) -> Place:
    return await a_place(people, services, "theirs")


async def test_an_id_of_another_place_is_as_good_as_none(people: People, services: Services, theirs: Place) -> None:
    """Even to an owner of both places, and nothing there is touched."""
    mine = await a_place(people, services, "mine")
    owner = await people.member(mine.group, AccessLevel.OWNER)
    await tree.add_member(
        services.db, OPERATOR, theirs.group, user_id=owner.user_id or 0, access_level=AccessLevel.OWNER
    )
    sha256 = await services.db.fetchval("SELECT b.sha256 FROM blobs AS b JOIN package_files AS f ON f.blob_id = b.id")
    asked = 0
    for endpoint in routes():
        names = [name for name in PARAMETER.findall(endpoint.template) if name not in {"id", "again"}]
        level = endpoint.level if endpoint.level is not Level.INSTANCE else None
        if (
            not names
            or names == ["secret"]
            or endpoint.route.placeless
            or (endpoint.route.method, endpoint.template) in OPEN
        ):
            continue
        foreign: dict[str, str] = {}
        absent: dict[str, str] = {}
        for name in names:
            if name == "token_id" and level is not None:
                foreign[name], absent[name] = await tokens(people, theirs, level, endpoint), "4711"
            elif name in IDS:
                foreign[name], absent[name] = theirs.ids[level, name], "4711"
            else:
                foreign[name], absent[name] = NAMES[name]
        if "sha256" in foreign:
            foreign["sha256"] = sha256
        if level is not None:
            foreign["id"] = absent["id"] = foreign["again"] = absent["again"] = mine.id_at(level)
        before = await rows(services)
        seen = await answer(owner, endpoint, foreign)
        assert before == await rows(services), endpoint.template
        assert await answer(owner, endpoint, absent) == seen, (endpoint.route.method, endpoint.template)
        if endpoint.format is None and level is not None:
            assert 404 == seen[0], (endpoint.route.method, endpoint.template, seen)
            if endpoint.route.method == "GET":
                assert 200 == (await answer(owner, endpoint, {**foreign, "id": theirs.id_at(level)}))[0]
        asked += 1
        # The last of several ids is foreign below one of one's own.
        if len(names) > 1 and set(names) <= IDS:
            mixed = {**foreign, names[0]: mine.ids[level, names[0]]}
            assert 404 == (await answer(owner, endpoint, mixed))[0]
            assert before == await rows(services), endpoint.template
    assert asked > 40


async def test_a_hidden_place_is_as_good_as_none(people: People, theirs: Place, services: Services) -> None:
    """By its id and by its path. Anonymous callers of PyPI are told to sign in: pip needs that (contract 2.3)."""
    outsider = await people.user()
    deploy = await people.deploy_token(await people.project(), "write_package_registry")
    before = await rows(services)
    asked = 0
    for endpoint in routes():
        level = endpoint.level
        if level not in {Level.PROJECT, Level.GROUP}:
            continue
        values = {name: NAMES[name][1] if name in NAMES else "4711" for name in PARAMETER.findall(endpoint.template)}
        hidden = theirs.project if level is Level.PROJECT else theirs.group
        people_told_alike = [outsider, deploy]
        if endpoint.face.unknown is endpoint.face.hidden:
            people_told_alike.append(people.anonymous)
        for person in people_told_alike:
            for known, unknown in ((str(hidden.id), "999999"), (hidden.full_path, "no/such")):
                seen = await answer(person, endpoint, {**values, "id": known})
                told = (endpoint.route.method, endpoint.template, person.headers)
                assert await answer(person, endpoint, {**values, "id": unknown}) == seen, told
                assert not 200 <= seen[0] < 300 or endpoint.route.ability.value == "public", (told, seen)
        asked += 1
    assert asked > 60
    assert before == await rows(services)
