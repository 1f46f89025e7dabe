"""Credentials: every form in which a token may come gives exactly the rights of that token, on every route.

The routes are those of the application with their abilities, leading nowhere: see `tests.test_access_matrix`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

import pytest
from aiohttp.test_utils import TestClient, TestServer

from registry import app
from registry.model import Level
from registry.server.routes import Endpoint
from registry.services import Services
from tests.access_table import REACHED
from tests.people import People
from tests.server.wire import Wire, wired
from tests.test_access_matrix import Place, a_place, probing, target, told

Lines = tuple[str, ...]


@dataclass(frozen=True)
class Form:
    """A way to show a token: header lines, and a query."""

    lines: Lines = ()
    query: str = ""


def basic(user: str, password: str) -> str:
    return "Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


# Names that GitLab's documentation and clients put before a password: none of them means anything.
USERS = ("someone", "__token__", "gitlab-ci-token", "gitlab+deploy-token-1", "", "käse@root")
_ANY: Mapping[str, Callable[[str], Form]] = {
    "Bearer": lambda token: Form((f"Authorization: Bearer {token}",)),
    "bearer in other letters": lambda token: Form((f"authorization: bEaReR {token}",)),
    **{f"Basic of {user!r}": lambda token, user=user: Form((basic(user, token),)) for user in USERS},  # type: ignore[misc]
}
OF_USERS: Mapping[str, Callable[[str], Form]] = {
    "PRIVATE-TOKEN": lambda token: Form((f"PRIVATE-TOKEN: {token}",)),
    "private-token": lambda token: Form((f"private-token: {token}",)),
    "?private_token": lambda token: Form(query=f"?private_token={token}"),
    **_ANY,
}
OF_DEPLOYMENT: Mapping[str, Callable[[str], Form]] = {
    "Deploy-Token": lambda token: Form((f"Deploy-Token: {token}",)),
    "deploy-token": lambda token: Form((f"deploy-token: {token}",)),
    **_ANY,
}
# Where no token belongs: it opens nothing, as if it had not come or as a wrong one.
NOWHERE: Mapping[str, Callable[[str], Form]] = {
    "no scheme": lambda token: Form((f"Authorization: {token}",)),
    "another scheme": lambda token: Form((f"Authorization: Token {token}",)),
    "Digest": lambda token: Form((f'Authorization: Digest username="root", response="{token}"',)),
    "Negotiate": lambda token: Form((f"Authorization: Negotiate {token}",)),
    "a scheme without its space": lambda token: Form((f"Authorization: Bearer{token}",)),
    "two schemes": lambda token: Form((f"Authorization: Bearer Basic {token}",)),
    "a token with more behind it": lambda token: Form((f"Authorization: Bearer {token} x",)),
    "Basic without encoding": lambda token: Form((f"Authorization: Basic user:{token}",)),
    "Basic without a colon": lambda token: Form(("Authorization: Basic " + base64.b64encode(token.encode()).decode(),)),
    "Basic with the token for a user": lambda token: Form((basic(token, ""),)),
    "Basic in the alphabet of URLs": lambda token: Form((basic("?>?>", token).replace("/", "_").replace("+", "-"),)),
    "Basic encoded twice": lambda token: Form(
        ("Authorization: Basic " + base64.b64encode(basic("u", token).partition("Basic ")[2].encode()).decode(),)
    ),
    "a digest of the token": lambda token: Form((f"PRIVATE-TOKEN: {token.upper()}",)),
    "an underscore": lambda token: Form((f"PRIVATE_TOKEN: {token}",)),
    "JOB-TOKEN": lambda token: Form((f"JOB-TOKEN: {token}",)),
    "?job_token": lambda token: Form(query=f"?job_token={token}"),
    "?access_token": lambda token: Form(query=f"?access_token={token}"),
    "?deploy_token": lambda token: Form(query=f"?deploy_token={token}"),
    "?token": lambda token: Form(query=f"?token={token}&authorization=Bearer%20{token}"),
    "a cookie": lambda token: Form((f"Cookie: _gitlab_session={token}; private_token={token}",)),
    "Proxy-Authorization": lambda token: Form((f"Proxy-Authorization: Bearer {token}",)),
    "a header of proxies": lambda token: Form((f"X-Forwarded-Authorization: Bearer {token}", "X-Remote-User: root")),
    "sudo": lambda token: Form((f"JOB-TOKEN: {token}", "Sudo: root"), "?sudo=root"),
}
# What a token is mixed with: nothing that comes besides gives it more, and none of it is an error of ours.
STRANGE: Mapping[str, Lines] = {
    "seven thousand characters": ("Authorization: Bearer " + "x" * 7000,),
    "too long for a header": ("Authorization: Bearer " + "x" * 9000,),
    "no ASCII": ("Authorization: Bearer \xfc\xdf\xff",),
    "no ASCII in PRIVATE-TOKEN": ("PRIVATE-TOKEN: glpat-\xe9\xe8\xea\x80",),
    "a null byte": ("PRIVATE-TOKEN: glpat-\x00",),
    "a control character": ("Authorization: Bearer a\x01b",),
    "Basic of no UTF-8": ("Authorization: Basic " + base64.b64encode(b"user:\xff\xfe").decode(),),
    "Basic of a null byte": ("Authorization: Basic " + base64.b64encode(b"user:gl\0pat").decode(),),
    "Basic of a surrogate": ("Authorization: Basic " + base64.b64encode(b"user:\xed\xa0\x80").decode(),),
    "Basic that is cut": ("Authorization: Basic dXNlcjpnbHBhd",),
    "an SQL text": ("PRIVATE-TOKEN: ' OR 1=1 --",),
}


@pytest.fixture
async def probe(services: Services) -> AsyncIterator[TestServer]:
    server = TestServer(app.make_app(services, table=probing()), host="127.0.0.1")
    await server.start_server()
    yield server
    await server.close()


@pytest.fixture
async def everyone(services: Services, probe: TestServer) -> AsyncIterator[People]:
    async with TestClient(probe) as client:
        yield People(services, client)


@pytest.fixture
async def place(everyone: People) -> Place:
    return await a_place(everyone, "private")


def routes(place: Place) -> list[tuple[Endpoint, str]]:
    ids = {Level.GROUP: place.group.id}
    return [
        (endpoint, target(endpoint, ids.get(endpoint.level or Level.PROJECT, place.project.id)))
        for endpoint in app.routes().endpoints
    ]


async def statuses(server: TestServer, place: Place, form: Form) -> list[int]:
    """What every route says to a form."""
    asked = [(endpoint.route.method, f"{path}{form.query}") for endpoint, path in routes(place)]
    halves = await asyncio.gather(*(_statuses(server, asked[start::4], form.lines) for start in range(4)))
    return [halves[number % 4][number // 4] for number in range(len(asked))]


async def _statuses(server: TestServer, asked: list[tuple[str, str]], lines: Lines) -> list[int]:
    found = []
    async with contextlib.AsyncExitStack() as stack:
        wire: Wire = await stack.enter_async_context(wired(server))
        for method, path in asked:
            head = "\r\n".join((f"{method} {path} HTTP/1.1", "Host: registry.test", *lines, "", ""))
            await wire.send(head.encode("latin-1"))
            answer = await wire.answer()
            found.append(answer.status)
            if answer.status == 400:
                # Perhaps the parser's word, which is its last on a connection.
                wire = await stack.enter_async_context(wired(server))
    return found


def differences(place: Place, wanted: list[int], found: list[int]) -> list[str]:
    each = zip(routes(place), wanted, found, strict=True)
    return [f"{told(endpoint)}: {one}, not {other}" for (endpoint, _), other, one in each if one != other]


def tokens(place: Place) -> dict[str, str]:
    """Tokens of owners, of every scope."""
    every = {"api": place.headers["owner"]["PRIVATE-TOKEN"]}
    for scope in ("read_api", "read_user"):
        every[scope] = place.headers[scope]["PRIVATE-TOKEN"]
    return every


async def test_every_form_of_a_users_token_has_its_rights_and_no_others(probe: TestServer, place: Place) -> None:
    wrong = {}
    reached = set()
    for scope, token in tokens(place).items():
        wanted = await statuses(probe, place, OF_USERS["PRIVATE-TOKEN"](token))
        reached.add(wanted.count(REACHED))
        for name, form in OF_USERS.items():
            if found := differences(place, wanted, await statuses(probe, place, form(token))):
                wrong[scope, name] = found
    assert {} == wrong
    assert 3 == len(reached)


async def test_every_form_of_a_deploy_token_has_its_rights_and_no_others(probe: TestServer, place: Place) -> None:
    wrong = {}
    for caller in ("deploy_write", "group_deploy_read", "foreign_deploy_write"):
        token = place.headers[caller]["Deploy-Token"]
        wanted = await statuses(probe, place, OF_DEPLOYMENT["Deploy-Token"](token))
        for name, form in OF_DEPLOYMENT.items():
            if found := differences(place, wanted, await statuses(probe, place, form(token))):
                wrong[caller, name] = found
    assert {} == wrong


async def test_a_token_where_none_belongs_opens_nothing(probe: TestServer, place: Place) -> None:
    """On each route it is refused, or nobody asks: that is as far as nobody gets."""
    owner = place.headers["owner"]["PRIVATE-TOKEN"]
    nobody = await statuses(probe, place, Form())
    wrong = {}
    for name, form in NOWHERE.items():
        found = await statuses(probe, place, form(owner))
        allowed = [each if each in {401, 429} else other for each, other in zip(found, nobody, strict=True)]
        if differences(place, allowed, found):
            wrong[name] = differences(place, allowed, found)
    for name in ("PRIVATE-TOKEN", "?private_token"):
        for caller in ("deploy_write", "group_deploy_write"):
            found = await statuses(probe, place, OF_USERS[name](place.headers[caller]["Deploy-Token"]))
            if REACHED in [each for each, other in zip(found, nobody, strict=True) if other != REACHED]:
                wrong[f"{name} of {caller}"] = ["is let in"]
    found = await statuses(probe, place, OF_DEPLOYMENT["Deploy-Token"](owner))
    assert REACHED not in [each for each, other in zip(found, nobody, strict=True) if other != REACHED]
    assert {} == wrong


async def test_strange_credentials_are_refused_and_never_an_error_of_ours(probe: TestServer, place: Place) -> None:
    nobody = await statuses(probe, place, Form())
    wrong = {}
    for name, lines in STRANGE.items():
        found = await statuses(probe, place, Form(lines))
        allowed = [each if each in {400, 401, 429} else other for each, other in zip(found, nobody, strict=True)]
        if differences(place, allowed, found):
            wrong[name] = differences(place, allowed, found)
    assert {} == wrong


async def test_of_credentials_that_contradict_each_other_one_counts_alone(probe: TestServer, place: Place) -> None:
    """The rights are those of one of the two, on all routes the same one: never of both, never more."""
    owner, reader = place.headers["owner"]["PRIVATE-TOKEN"], place.headers["read_user"]["PRIVATE-TOKEN"]
    deploy, stranger = place.headers["deploy_read"]["Deploy-Token"], "glpat-nobody-has-this-one"
    as_owner = await statuses(probe, place, OF_USERS["PRIVATE-TOKEN"](owner))
    as_reader = await statuses(probe, place, OF_USERS["PRIVATE-TOKEN"](reader))
    as_deploy = await statuses(probe, place, OF_DEPLOYMENT["Deploy-Token"](deploy))
    refused = await statuses(probe, place, OF_USERS["PRIVATE-TOKEN"](stranger))
    bearer = "Authorization: Bearer {}".format
    private = "PRIVATE-TOKEN: {}".format
    cases: Mapping[str, tuple[Form, list[int]]] = {
        "Authorization twice, good first": (Form((bearer(owner), bearer(stranger))), as_owner),
        "Authorization twice, good last": (Form((bearer(stranger), bearer(owner))), refused),
        "Authorization twice, narrow first": (Form((bearer(reader), bearer(owner))), as_reader),
        "two in one line": (Form((f"{bearer(reader)}, Bearer {owner}",)), refused),
        "PRIVATE-TOKEN twice": (Form((private(reader), private(owner))), as_reader),
        "PRIVATE-TOKEN twice, wrong first": (Form((private(stranger), private(owner))), refused),
        "two headers, narrow first": (Form((private(reader), bearer(owner))), as_reader),
        "two headers in the other order": (Form((bearer(owner), private(reader))), as_reader),
        "a deploy token and a user's": (Form((f"Deploy-Token: {deploy}", private(owner))), as_deploy),
        "a header and a query": (Form((private(reader),), f"?private_token={owner}"), as_reader),
        "a query twice": (Form((), f"?private_token={reader}&private_token={owner}"), as_reader),
        "a query in another encoding": (Form((), f"?private%5ftoken={quote(reader)}&private_token={owner}"), as_reader),
        "Basic and Bearer": (Form((basic("user", reader), bearer(owner))), as_reader),
        "a job token besides": (Form((private(reader), f"JOB-TOKEN: {owner}")), as_reader),
        "scopes asked for": (Form((private(reader),), "?scopes[]=api&scope=api"), as_reader),
    }
    wrong = {}
    for name, (form, wanted) in cases.items():
        if found := differences(place, wanted, await statuses(probe, place, form)):
            wrong[name] = found
    assert {} == wrong
