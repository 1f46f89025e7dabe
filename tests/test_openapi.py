"""The OpenAPI document: complete, and kept by every answer that schemathesis can provoke."""

from __future__ import annotations

import asyncio
import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import openapi_spec_validator
import pytest
import requests
import schemathesis
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.specs.openapi.schemas import OpenApiSchema
from yarl import URL

from registry import app, tree
from registry.access import AccessLevel
from registry.api import openapi
from tests.formats.npm.transcripts import a_publication
from tests.formats.pypi.distributions import a_wheel
from tests.people import OPERATOR, People, Person

BASE = "https://registry.test"
# Of an operation as one person. The whole takes about a minute.
EXAMPLES = 4


@pytest.fixture(scope="module")
def document() -> Any:
    return openapi.document(app.routes().endpoints, BASE)


def operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


# --- completeness ---------------------------------------------------------------------------------------------------


def test_every_route_is_described_and_nothing_else(document: Any) -> None:
    mounted = {
        (endpoint.route.method, re.sub(r":\w+\}", "}", endpoint.template)) for endpoint in app.routes().endpoints
    }
    assert mounted == {(method, path) for method, path, _ in operations(document)}


def test_every_operation_says_what_it_does_to_people(document: Any) -> None:
    wrong = [
        f"{method} {path}"
        for method, path, operation in operations(document)
        if not re.fullmatch(r"[A-Z].{2,119}[^.]", operation["summary"])
    ]
    assert [] == wrong
    identifiers = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(identifiers) == len(set(identifiers))


def test_every_parameter_says_what_it_is(document: Any) -> None:
    wrong = []
    for method, path, operation in operations(document):
        parameters = operation.get("parameters", [])
        in_path = [one["name"] for one in parameters if one["in"] == "path" and one["required"]]
        if re.findall(r"\{(\w+)\}", path) != in_path:
            wrong.append(f"{method} {path} has {in_path}")
        wrong += [f"{method} {path}: {one['name']}" for one in parameters if not one["description"]]
        for media in operation.get("requestBody", {}).get("content", {}).values():
            for name, schema in media["schema"].get("properties", {}).items():
                if not schema.get("description"):
                    wrong.append(f"{method} {path}: {name}")
    assert [] == wrong


def test_every_operation_says_how_it_succeeds_and_how_it_fails(document: Any) -> None:
    """The one that does nothing but refuse says with what."""
    wrong = []
    for endpoint in app.routes().endpoints:
        path = re.sub(r":\w+\}", "}", endpoint.template)
        responses = document["paths"][path][endpoint.route.method.lower()]["responses"]
        statuses = {int(status) for status in responses}
        if not any(status < 300 for status in statuses) and not {403, 404} & set(endpoint.route.answers):
            wrong.append(f"{endpoint.route.method} {path} never succeeds")
        for status in statuses & {200, 201, 202, 206}:
            if "content" not in responses[str(status)]:
                wrong.append(f"{endpoint.route.method} {path}: {status} says nothing")
        if "{id}" in path and not {400, 401, 403, 404, 429, 503} <= statuses:
            wrong.append(f"{endpoint.route.method} {path} never fails")
    assert [] == wrong


def test_the_document_is_valid_and_nothing_refers_to_what_is_not_there(document: Any) -> None:
    components = document["components"]
    references = set(re.findall(r"'#/components/(\w+)/([\w-]+)'", str(document)))
    assert {(kind, name) for kind, name in references if name not in components[kind]} == set()
    assert {name for kind, name in references if kind == "schemas"} == set(components["schemas"])
    openapi_spec_validator.validate(document)


@pytest.mark.parametrize(
    ("operation", "needs", "anonymous"),
    [
        ("get_projects_id", "For everybody where the project is public, else for members: Guest and above.", True),
        ("put_projects_id", "For Maintainer of the project and above.", False),
        ("delete_groups_id", "For Owner of the group and above.", False),
        ("put_application_settings", "For administrators.", False),
        ("get_user", "For users.", False),
        ("get_projects", "For everybody; what is shown is what the caller may see.", True),
        ("post_projects_id_packages_pypi", "For Developer of the project and above.", False),
        ("delete_projects_id_packages_package_id", "For Maintainer of the project and above.", False),
        (
            "put_packages_npm_package_name_dist_tags_tag",
            "For Developer and above in the project that has the package.",
            False,
        ),
        (
            "get_projects_id_members",
            "For everybody with credentials where the project is public, else for members: Guest and above.",
            False,
        ),
    ],
)
def test_who_may_is_what_the_rule_says(document: Any, operation: str, needs: str, anonymous: bool) -> None:  # noqa: FBT001
    (found,) = [one for _, _, one in operations(document) if one["operationId"] == operation]
    assert needs in found["description"]
    assert anonymous is ({} in found["security"])
    deploy_tokens = "/packages/pypi" in str(operation) or "packages_npm" in operation or "pypi" in operation
    assert deploy_tokens is ({"DeployToken": []} in found["security"])


# --- how it is served -----------------------------------------------------------------------------------------------

POLICY = re.compile(
    r"default-src 'none'; style-src 'sha256-[A-Za-z0-9+/]{43}='; "
    r"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


async def test_the_document_is_served_and_kept(client: TestClient) -> None:
    answer = await client.get("/api/openapi.json")
    assert (200, "application/json") == (answer.status, answer.headers["Content-Type"])
    served = await answer.json()
    base_url = str(client.make_url("/")).rstrip("/")
    assert [{"url": base_url}] == served["servers"]
    assert served == openapi.document(app.routes().endpoints, base_url)
    again = await client.get("/api/openapi.json", headers={"If-None-Match": answer.headers["ETag"]})
    assert (304, b"") == (again.status, await again.read())


@pytest.mark.parametrize("path", ["/", "/-/docs"])
async def test_the_pages_load_nothing_and_run_nothing(client: TestClient, path: str) -> None:
    answer = await client.get(path)
    assert (200, "text/html; charset=utf-8") == (answer.status, answer.headers["Content-Type"])
    assert POLICY.fullmatch(answer.headers["Content-Security-Policy"])
    assert ("no-referrer", "nosniff") == (
        answer.headers["Referrer-Policy"],
        answer.headers["X-Content-Type-Options"],
    )
    text = await answer.text()
    assert not re.search(r"<script|<link|<img|<iframe|javascript:|\son\w+=|\sstyle=|@import|url\(", text)
    assert 1 == text.count("<style>")


async def test_the_page_shows_every_operation_and_every_schema(client: TestClient, document: Any) -> None:
    text = await (await client.get("/-/docs")).text()
    anchors = re.findall(r'\sid="([^"]+)"', text)
    assert len(anchors) == len(set(anchors))
    assert {one["operationId"] for _, _, one in operations(document)} <= set(anchors)
    assert {f"schema-{name}" for name in document["components"]["schemas"]} <= set(anchors)
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(anchors)
    assert [] == [word for word in ("Undefined", "{'", "$ref", "`") if word in text]


async def test_the_root_leads_to_the_description(client: TestClient) -> None:
    text = await (await client.get("/")).text()
    assert "Package registry" in text
    found = re.findall(r'href="([^"]+)"', text)
    assert [str(client.make_url(path)) for path in ("/-/docs", "/api/openapi.json")] == found


async def test_the_pages_are_there_while_postgres_is_away(client: TestClient, people: People) -> None:
    await people.services.db.close()
    for path in ("/", "/-/docs", "/api/openapi.json") * 2:
        assert 200 == (await client.get(path)).status


# --- schemathesis ---------------------------------------------------------------------------------------------------

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@dataclass
class World:
    """Things that exist, by the name of the path parameter that addresses them; below a group and in a project."""

    project: Mapping[str, Sequence[Any]]
    group: Mapping[str, Sequence[Any]]
    wrong: list[str] = field(default_factory=list)

    def existing(self, path: str, name: str) -> Sequence[Any]:
        return (self.group if path.startswith("/api/v4/groups/") else self.project).get(name, ())


@pytest.fixture
async def world(people: People) -> World:
    """A public group with a project that has packages of both formats, rules, tokens and members."""
    group = await people.group("acme", visibility="public")
    project = await people.project(group, "shop", visibility="public")
    wheel = a_wheel()
    uploaded = await people.root.upload(project, "demo-1.0-py3-none-any.whl", wheel, name="demo", version="1.0")
    assert 201 == uploaded.status
    base = f"/api/v4/projects/{project.id}"
    published = await people.root.ask(
        "PUT", URL(f"{base}/packages/npm/@acme%2fwidget", encoded=True), json=a_publication("@acme/widget", "1.0.0")
    )
    assert 200 == published.status, await published.text()
    victim = await people.member(project, AccessLevel.REPORTER)
    assert victim.user_id is not None
    await tree.add_member(people.services.db, OPERATOR, group, user_id=victim.user_id, access_level=AccessLevel.GUEST)
    made: dict[str, list[Any]] = {}
    for home, key in ((base, "project"), (f"/api/v4/groups/{group.id}", "group")):
        for path, values in (
            ("access_tokens", {"name": "bot", "scopes": ["api"], "access_level": 30}),
            ("deploy_tokens", {"name": "deploy", "scopes": ["read_package_registry"]}),
        ):
            answer = await people.root.ask("POST", f"{home}/{path}", json=values)
            assert 201 == answer.status
            made.setdefault(f"{key}.token_id", []).append((await answer.json())["id"])
        values = {"url": "https://hook.example.test", "name": "ci"}
        answer = await people.root.ask("POST", f"{home}/hooks", json=values)
        made[f"{key}.hook_id"] = [(await answer.json())["id"]]
        answer = await people.root.ask("POST", f"{home}/hooks/{made[f'{key}.hook_id'][0]}/test/tag")
        made[f"{key}.hook_event_id"] = [(await answer.json())["id"]]
    rule = {"package_name_pattern": "x*", "package_type": "npm", "minimum_access_level_for_push": "maintainer"}
    answer = await people.root.ask("POST", f"{base}/packages/protection/rules", json=rule)
    packages = await (await people.root.get(f"{base}/packages")).json()
    files = await (await people.root.get(f"{base}/packages/{packages[0]['id']}/package_files")).json()
    page = await (await people.root.get(f"{base}/packages/pypi/simple/demo")).text()
    (sha256,) = re.findall(r"#sha256=([0-9a-f]{64})", page)
    common = {
        "user_id": [victim.user_id],
        "name": ["@acme/widget", "demo"],
        "version": ["1.0.0", "latest"],
        "tag": ["latest", "next"],
        "file": ["widget-1.0.0.tgz", "@acme/widget-1.0.0.tgz"],
        "sha256": [sha256],
        "file_name": ["demo-1.0-py3-none-any.whl"],
        "audit_event_id": [1, 2],
        "trigger": ["publish", "yank"],
    }
    return World(
        project={
            **common,
            "id": [project.id, "acme%2Fshop"],
            **{name: made[f"project.{name}"] for name in ("token_id", "hook_id", "hook_event_id")},
            "package_id": [one["id"] for one in packages],
            "package_file_id": [one["id"] for one in files],
            "package_protection_rule_id": [(await answer.json())["id"]],
        },
        group={
            **common,
            "id": [group.id, "acme"],
            **{name: made[f"group.{name}"] for name in ("token_id", "hook_id", "hook_event_id")},
        },
    )


def strict(document: Any) -> Any:
    """The document, with no field in any answer that it does not name."""
    strict = copy.deepcopy(document)
    for name, schema in strict["components"]["schemas"].items():
        if "properties" in schema and "additionalProperties" not in schema and name != "PypiUpload":
            schema["additionalProperties"] = False
    return strict


def late(operation: Any) -> tuple[int, str]:
    """What takes something away from later requests comes last."""
    label = operation.label
    harmful = "/self" in label or "application/" in label or "/block" in label or label.startswith("DELETE")
    return (2 if "/self" in label else 1 if harmful else 0), label


def attack(schema: OpenApiSchema, base_url: str, person: Person, world: World) -> None:
    """Ask every operation some things as one person; what is not as the document says is written down."""
    found = sorted((result.ok() for result in schema.get_all_operations()), key=late)
    headers = {**person.headers, **({"PRIVATE-TOKEN": person.token} if person.token else {})}
    with requests.Session() as session:
        session.trust_env = False
        for operation in found:
            _attack(operation, base_url, headers, session, world)


def _attack(operation: Any, base_url: str, headers: dict[str, str], session: requests.Session, world: World) -> None:
    @seed(20)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    @given(case=operation.as_strategy(), data=st.data())
    def ask(case: Any, data: st.DataObject) -> None:
        for name in case.path_parameters or {}:
            existing = world.existing(operation.path, name)
            if existing and data.draw(st.integers(0, 3)):
                case.path_parameters[name] = data.draw(st.sampled_from(existing))
        response = case.call(base_url=base_url, headers=headers, session=session, allow_redirects=False, timeout=20)
        try:
            case.validate_response(response, checks=CHECKS, headers=headers)
        except* Failure as failures:
            world.wrong.append(f"{operation.label}: {response.status_code} {[str(one) for one in failures.exceptions]}")

    ask()


@pytest.mark.parametrize("who", ["administrator", "developer", "anonymous"])
async def test_every_answer_is_as_the_document_says(
    people: People, server: TestServer, world: World, document: Any, who: str
) -> None:
    project = await people.services.lookups.project(str(world.project["id"][0]))
    assert project is not None
    person = {
        "administrator": people.root,
        "developer": await people.member(project, AccessLevel.DEVELOPER),
        "anonymous": people.anonymous,
    }[who]
    base_url = f"http://127.0.0.1:{server.port}"
    await asyncio.to_thread(attack, schemathesis.openapi.from_dict(strict(document)), base_url, person, world)
    assert [] == world.wrong
