"""Credentials: every form that GitLab's clients send, and what becomes of the wrong ones (contract, 2.1 to 2.3)."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp.test_utils import TestServer
from multidict import CIMultiDict

from registry import accounts
from registry.access import AccessLevel
from registry.db import changes
from registry.db.accounts import find_user
from registry.db.changes import Change
from registry.model import Project
from registry.server.auth import client_address
from tests.people import OPERATOR, People
from tests.server.wire import Answer, Wire, wired

CHALLENGE = 'Basic realm="GitLab Packages Registry"'

# Headers, with the names of tokens where tokens go; `?` begins a query. Then the status of reading a PyPI index of a
# public and of a private project that all the good ones may read, and of its npm tags.
FORMS = """
nothing                                                 | 200 | 401
Authorization: Basic user:pat                           | 200 | 200
Authorization: Basic __token__:pat                      | 200 | 200
Authorization: Basic gitlab-ci-token:pat                | 200 | 200
Authorization: Basic :pat                               | 200 | 200
Authorization: Basic a@b.example:pat                    | 200 | 200
Authorization: Basic anything:deploy                    | 200 | 200
Authorization: Basic gitlab-ci-token:deploy             | 200 | 200
Authorization: basic user:pat                           | 200 | 200
Authorization: Basic user:wrong                         | 200 | 401
Authorization: Basic gitlab-ci-token:wrong              | 401 | 401
Authorization: Basic other:job                          | 200 | 401
Authorization: Basic user:                              | 200 | 401
Authorization: Basic pat                                | 200 | 401
Authorization: Basic pat:                               | 200 | 401
Authorization: Basic user:pat:more                      | 200 | 401
Authorization: Bearer pat                               | 200 | 200
Authorization: Bearer deploy                            | 200 | 200
Authorization: BEARER pat                               | 200 | 200
Authorization: Bearer wrong                             | 401 | 401
Authorization: Bearer                                   | 401 | 401
Authorization: Digest pat                               | 401 | 401
Authorization: pat                                      | 401 | 401
PRIVATE-TOKEN: pat                                      | 200 | 200
private-token: pat                                      | 200 | 200
PRIVATE-TOKEN: wrong                                    | 401 | 401
PRIVATE-TOKEN: deploy                                   | 401 | 401
PRIVATE-TOKEN:                                          | 200 | 401
?private_token=pat                                      | 200 | 200
?private_token=wrong                                    | 401 | 401
?private_token=                                         | 200 | 401
?access_token=pat                                       | 200 | 401
Deploy-Token: deploy                                    | 200 | 200
Deploy-Token: wrong                                     | 401 | 401
Deploy-Token: pat                                       | 401 | 401
Deploy-Token:                                           | 200 | 401
JOB-TOKEN: job                                          | 401 | 401
JOB-TOKEN: pat                                          | 401 | 401
?job_token=job                                          | 401 | 401
Authorization: Basic user:expired                       | 401 | 401
Authorization: Bearer expired                           | 401 | 401
PRIVATE-TOKEN: expired                                  | 401 | 401
Authorization: Basic user:revoked                       | 401 | 401
PRIVATE-TOKEN: revoked                                  | 401 | 401
Authorization: Basic user:expired_deploy                | 401 | 401
Deploy-Token: revoked_deploy                            | 401 | 401
Authorization: Basic user:blocked                       | 403 | 403
PRIVATE-TOKEN: blocked                                  | 403 | 403
Authorization: Basic user:read_user                     | 403 | 403
Authorization: Basic user:read_api                      | 200 | 200
PRIVATE-TOKEN: read_api                                 | 200 | 200
Authorization: Basic user:outsider                      | 200 | 404
PRIVATE-TOKEN: outsider                                 | 200 | 404
Authorization: Basic user:elsewhere                     | 200 | 404
"""
OAUTH = {
    "expired": "Token is expired. You can either do re-authorization or token refresh.",
    "revoked": "Token was revoked. You have to re-authorize from the user.",
}


@pytest.fixture
async def wire(server: TestServer) -> AsyncIterator[Wire]:
    async with wired(server) as wire:
        yield wire


@pytest.fixture
async def projects(people: People) -> tuple[Project, Project]:
    group = await people.group(visibility="public")
    return await people.project(group, visibility="public"), await people.project(group, visibility="private")


@pytest.fixture
async def tokens(people: People, projects: tuple[Project, Project]) -> Mapping[str, str]:
    public, private = projects
    db = people.services.db
    member = await people.member(private, AccessLevel.DEVELOPER)
    blocked = await people.member(private, AccessLevel.OWNER)
    outsider = await people.user()
    assert member.user_id is not None
    assert blocked.user_id is not None
    user = await find_user(db, member.user_id)
    assert user is not None

    async def pat(**options: Any) -> str:
        options.setdefault("scopes", ["api"])
        return (await accounts.create_personal_access_token(db, OPERATOR, user, name="test", **options))[1]

    async def deploy(home: Project, **options: Any) -> str:
        scopes = ["read_package_registry"]
        return (await accounts.create_deploy_token(db, OPERATOR, home, name="test", scopes=scopes, **options))[1]

    today = datetime.now(UTC).date()
    revoked_row, revoked_deploy = await accounts.create_deploy_token(
        db, OPERATOR, private, name="test", scopes=["read_package_registry"]
    )
    await accounts.revoke_deploy_token(db, OPERATOR, private, revoked_row.id)
    revoked = await pat()
    async with db.transaction() as tx:
        digest = accounts.digest(revoked)
        await tx.execute("UPDATE personal_access_tokens SET revoked = true WHERE sha256 = $1", digest)
        await changes.record(tx, [Change("token", digest.hex())])
    await accounts.set_user_state(db, OPERATOR, blocked.user_id, "blocked")
    return {
        "pat": member.token or "",
        "read_api": await pat(scopes=["read_api"]),
        "read_user": await pat(scopes=["read_user"]),
        "expired": await pat(expires_at=today),
        "revoked": revoked,
        "deploy": await deploy(private),
        "expired_deploy": await deploy(private, expires_at=datetime.now(UTC) - timedelta(seconds=1)),
        "revoked_deploy": revoked_deploy,
        "elsewhere": await deploy(public),
        "blocked": blocked.token or "",
        "outsider": outsider.token or "",
        "wrong": "glpat-0123456789",
        "job": "glcbt-64_0123456789",
    }


def filled(form: str, tokens: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Headers and query of a line of the table."""
    if form == "nothing":
        return {}, ""
    if form.startswith("?"):
        name, _, value = form.partition("=")
        return {}, f"{name}={tokens.get(value, value)}"
    name, _, value = form.partition(":")
    scheme, _, credentials = value.strip().partition(" ")
    if scheme.lower() == "basic":
        user, separator, password = credentials.partition(":")
        text = f"{tokens.get(user, user)}{separator}{tokens.get(password, password)}"
        if password == "pat:more":
            text = f"{user}:{tokens['pat']}:more"
        return {name: f"{scheme} {base64.b64encode(text.encode()).decode()}"}, ""
    if credentials:
        return {name: f"{scheme} {tokens.get(credentials, credentials)}"}, ""
    return {name: tokens.get(scheme, scheme)}, ""


def lines() -> list[tuple[str, int, int]]:
    cells = [[cell.strip() for cell in line.split("|")] for line in FORMS.strip().splitlines()]
    return [(form, int(public), int(private)) for form, public, private in cells]


async def test_every_form_of_credentials_on_the_pypi_routes(
    wire: Wire, projects: tuple[Project, Project], tokens: Mapping[str, str]
) -> None:
    wrong = []
    for form, *expected in lines():
        headers, query = filled(form, tokens)
        for project, status in zip(projects, expected, strict=True):
            answer = await wire.ask("GET", f"/api/v4/projects/{project.id}/packages/pypi/simple{query}", headers)
            if status != answer.status:
                wrong.append(f"{form}: {project.visibility} answers {answer.status}, not {status}")
            # Who may log in is asked to on every 401 and on nothing else, and no token is ever repeated.
            if answer.header("WWW-Authenticate") != (CHALLENGE if status == 401 else None):
                wrong.append(f"{form}: {answer.headers}")
            text = f"{answer.reason} {answer.headers} {answer.body!r}"
            wrong += [f"{form}: shows {name}" for name, token in tokens.items() if token in text]
    assert [] == wrong


async def test_an_upload_needs_credentials_that_are_good_for_it(
    wire: Wire, projects: tuple[Project, Project], tokens: Mapping[str, str]
) -> None:
    """Where an upload is allowed the empty form is what is wrong with it."""
    public, private = projects
    expected = {"pat": (403, 400), "deploy": (403, 403), "elsewhere": (403, 403), "outsider": (403, 404),
                "wrong": (401, 401), "read_api": (403, 403), "expired": (401, 401), "blocked": (403, 403)}  # fmt: skip
    for name, statuses in expected.items():
        headers, _ = filled(f"Authorization: Basic user:{name}", tokens)
        found = [
            (await wire.ask("POST", f"/api/v4/projects/{project.id}/packages/pypi", headers, b"")).status
            for project in (public, private)
        ]
        assert [*statuses] == found, name


async def test_what_is_said_of_a_token_that_was_good_once(
    wire: Wire, projects: tuple[Project, Project], tokens: Mapping[str, str]
) -> None:
    for name, text in OAUTH.items():
        for base in ("packages/pypi/simple", "packages/npm/-/package/demo/dist-tags", ""):
            target = f"/api/v4/projects/{projects[0].id}/{base}"
            answer = await wire.ask("GET", target, {"Authorization": f"Bearer {tokens[name]}"})
            assert 401 == answer.status
            assert f'"error":"invalid_token","error_description":"{text}"'.encode() in answer.body
            bearer = f'Bearer realm="Protected by OAuth 2.0", error="invalid_token", error_description="{text}"'
            assert (CHALLENGE if "pypi" in base else bearer) == answer.header("WWW-Authenticate")


async def test_a_token_out_of_scope_learns_nothing_of_what_exists(
    wire: Wire, projects: tuple[Project, Project], tokens: Mapping[str, str]
) -> None:
    answers = []
    for project_id in (projects[0].id, projects[1].id, 999_999):
        target = f"/api/v4/projects/{project_id}/packages/pypi/simple"
        answer = await wire.ask("GET", target, {"PRIVATE-TOKEN": tokens["read_user"]})
        answers.append((answer.status, answer.reason, answer.body))
    assert 1 == len(set(answers))
    assert b'"error":"insufficient_scope"' in answers[0][2]
    assert 403 == answers[0][0]


async def test_what_is_hidden_looks_like_what_does_not_exist(
    wire: Wire, projects: tuple[Project, Project], tokens: Mapping[str, str]
) -> None:
    headers = {"PRIVATE-TOKEN": tokens["outsider"]}
    for path in ("", "/packages/pypi/simple", "/packages/pypi/simple/demo", "/packages/npm/demo", "/members"):
        hidden = await wire.ask("GET", f"/api/v4/projects/{projects[1].id}{path}", headers)
        absent = await wire.ask("GET", f"/api/v4/projects/999999{path}", headers)
        assert _shown(absent) == _shown(hidden), path
        # Names that nobody here ever used are looked for elsewhere.
        assert (302 if "npm" in path else 404) == hidden.status


def _shown(answer: Answer) -> tuple[int, str, dict[str, list[str]], bytes]:
    headers = {name: values for name, values in answer.headers.items() if name != "date"}
    return answer.status, answer.reason, headers, answer.body


async def test_the_first_form_that_is_there_decides(
    wire: Wire, projects: tuple[Project, Project], tokens: Mapping[str, str]
) -> None:
    target = f"/api/v4/projects/{projects[1].id}/packages/pypi/simple"
    good, bad = tokens["pat"], tokens["wrong"]
    for headers, query, status in (
        ({"Deploy-Token": tokens["deploy"], "PRIVATE-TOKEN": bad}, "", 200),
        ({"Deploy-Token": bad, "PRIVATE-TOKEN": good}, "", 401),
        ({"PRIVATE-TOKEN": good, "Authorization": f"Bearer {bad}"}, "", 200),
        ({"PRIVATE-TOKEN": bad, "Authorization": f"Bearer {good}"}, "", 401),
        ({"PRIVATE-TOKEN": good}, f"?private_token={bad}", 200),
        ({"PRIVATE-TOKEN": "", "Authorization": f"Bearer {good}"}, "", 200),
        ({"Authorization": f"Bearer {good}", "JOB-TOKEN": bad}, "", 200),
    ):
        assert status == (await wire.ask("GET", target + query, headers)).status, (headers, query)


async def test_basic_that_cannot_be_read_is_nobody(wire: Wire, projects: tuple[Project, Project]) -> None:
    for value in ("", " ", " %%%", " \xff\xfe", " =", " dXNlcg", " /v8="):
        for project, status in zip(projects, (200, 401), strict=True):
            target = f"/api/v4/projects/{project.id}/packages/pypi/simple"
            assert status == (await wire.ask("GET", target, {"Authorization": f"Basic{value}"})).status, value


async def test_tokens_of_any_shape_are_unknown(wire: Wire, projects: tuple[Project, Project]) -> None:
    target = f"/api/v4/projects/{projects[0].id}/packages/pypi/simple"
    for value in ("\xff", "x" * 7000, "a b", "\t"):
        assert 401 == (await wire.ask("GET", target, {"Authorization": f"Bearer {value}"})).status, value


# --- the address that is written down -------------------------------------------------------------------------------

PROXIES = tuple(ipaddress.ip_network(network) for network in ("10.0.0.0/8", "2001:db8::/32"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.1"], "192.0.2.1"),  # anybody may say so
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["203.0.113.9, 198.51.100.1"], "198.51.100.1"),  # the rest is hearsay
        ("10.0.0.1", ["203.0.113.9", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, 10.1.1.1"], "198.51.100.1"),
        ("10.0.0.1", ["10.1.1.1, 10.2.2.2"], "10.0.0.1"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, oops"], "10.0.0.1"),
        ("10.0.0.1", [" , ,198.51.100.1, "], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1:1234"], "10.0.0.1"),
        ("2001:db8::1", ["2001:dead::1"], "2001:dead::1"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),  # a socket for both families
        ("::ffff:192.0.2.1", ["198.51.100.1"], "192.0.2.1"),
        ("10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        (None, ["198.51.100.1"], None),
    ],
)
def test_only_a_trusted_proxy_is_believed(peer: str | None, forwarded: list[str], expected: str | None) -> None:
    headers = CIMultiDict([("X-Forwarded-For", value) for value in forwarded])
    request: Any = SimpleNamespace(remote=peer, headers=headers)
    assert expected == client_address(request, PROXIES)


def test_without_proxies_nobody_is_believed() -> None:
    request: Any = SimpleNamespace(remote="10.0.0.1", headers=CIMultiDict({"X-Forwarded-For": "198.51.100.1"}))
    assert "10.0.0.1" == client_address(request, ())
