"""Secrets: after a run that uses every form of credentials, no token is in logs, metrics, answers or the database."""

from __future__ import annotations

import base64
import io
import logging
import re
import urllib.parse
from collections.abc import Iterator

import pytest
from aiohttp.test_utils import TestServer
from yarl import URL

from registry import accounts, app, logs, metrics
from registry.access import Ability, AccessLevel
from registry.api import API_FACE
from registry.server.context import Context
from registry.server.routes import Route
from registry.services import Services
from tests.api.asking import made
from tests.conftest import ProductionServer
from tests.formats.npm.pages import confirm_sign_in
from tests.people import OPERATOR, ROOT_TOKEN, People, Person
from tests.security.test_credentials import NOWHERE, OF_DEPLOYMENT, OF_USERS, Form
from tests.server.wire import wired


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Everything this process logs, as `registry serve` would write it when asked for all."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure("debug", stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def spellings(secret: str) -> set[str]:
    """In which clothes a secret may appear: plain, encoded for URLs, in hexadecimal, and in base64 at any offset."""
    raw = secret.encode()
    found = {secret, urllib.parse.quote(secret, safe=""), raw.hex(), secret[::-1]}
    for offset in range(3):
        # What lies across the ends of the secret depends on its neighbours.
        encoded = base64.b64encode(b"\0" * offset + raw).decode()
        found.add(encoded[4 if offset else 0 : -4])
    return found | {each.replace("+", "-").replace("/", "_") for each in found}


async def breaks(context: Context) -> None:
    """A mistake of ours that tells all it knows."""
    raise RuntimeError(f"{context.request.rel_url} {dict(context.request.headers)}")


async def everything_stored(services: Services) -> str:
    tables = await services.db.fetch("SELECT quote_ident(table_name) AS name FROM information_schema.tables"
                                     " WHERE table_schema = current_schema()")  # fmt: skip
    assert len(tables) > 15
    rows = [await services.db.fetch(f"SELECT t::text AS row FROM {table['name']} AS t") for table in tables]
    return "\n".join(row["row"] for found in rows for row in found)


async def test_no_form_of_credentials_leaves_a_token_anywhere(
    written: io.StringIO, services: Services, people: People, server: TestServer
) -> None:
    project = await people.project()
    place = f"/projects/{project.id}"
    member = await people.member(project, AccessLevel.DEVELOPER)
    today = {"access_level": 30, "scopes": ["api"], "name": "bot"}
    # Made here and by the API, good and over, and those that nobody has.
    of_users = [member.token or "", ROOT_TOKEN, (await made(people.root, f"{place}/access_tokens", **today))["token"]]
    deploy = await made(people.root, f"{place}/deploy_tokens", name="deploy", scopes=["read_package_registry"])
    of_deployment = [(await people.deploy_token(project)).headers["Deploy-Token"], deploy["token"]]
    _, gone = await accounts.create_deploy_token(
        services.db, OPERATOR, project, name="gone", scopes=["read_package_registry"]
    )
    of_deployment.append(gone)
    rotated = await made(people.root, f"{place}/access_tokens", **today)
    again = await people.root.ask("POST", f"/api/v4{place}/access_tokens/{rotated['id']}/rotate")
    of_users += [rotated["token"], (await again.json())["token"], "glpat-nobody-has-this-token", "hunter2-of-somebody"]
    secrets = [*of_users, *of_deployment]

    table = app.routes()
    table.add((Route("GET", "/breaks", breaks, Ability.PUBLIC),), API_FACE)  # type: ignore[arg-type]
    base = f"/api/v4{place}/packages"
    paths = ("GET /breaks", f"GET {base}/pypi/simple/demo", f"GET {base}/npm/unknown", f"PUT {base}/npm/demo",
             f"GET {base}?per_page=1", f"POST {base}/pypi", f"DELETE {base}/4711", "GET /nowhere", "GET /%ff",
             f"PUT /api/v4{place}", "GET /api/v4/user")  # fmt: skip
    answers = []
    # Every form with one token of each kind, and every token in the forms that most clients use.
    forms: list[Form] = [make(token) for token in of_users[::5] for make in OF_USERS.values()]
    forms += [make(of_deployment[0]) for make in OF_DEPLOYMENT.values()]
    forms += [make(member.token or "") for make in NOWHERE.values()]
    for name in ("Bearer", "Basic of 'someone'"):
        forms += [OF_USERS[name](token) for token in secrets]
    broken = ProductionServer(app.make_app(services, table=table), host="127.0.0.1")
    await broken.start_server()
    try:
        async with wired(broken) as wire:
            for form in forms:
                for path in paths:
                    query = form.query.replace("?", "&") if "?" in path else form.query
                    head = "\r\n".join((f"{path}{query} HTTP/1.1", "Host: a", "Content-Length: 0", *form.lines, "", ""))
                    await wire.send(head.encode("latin-1"))
                    answers.append(await wire.answer())
    finally:
        await broken.close()
    # What somebody pastes where a name belongs.
    await member.ask("GET", f"{base}/pypi/simple/{member.token}")

    heaps = {
        "logs": written.getvalue(),
        "metrics": metrics.exposition().decode(),
        "answers": "\n".join(f"{each.reason} {each.headers} {each.body!r}" for each in answers),
        "tables": await everything_stored(services),
    }
    found = [
        (heap, secrets.index(secret), re.search(rf".{{0,60}}{re.escape(each)}", text))
        for secret in secrets
        for each in spellings(secret)
        for heap, text in heaps.items()
        if each in text
    ]
    assert [] == found
    assert {200, 401, 403, 404, 500} <= {each.status for each in answers}
    assert len(forms) == heaps["logs"].count('"exception"')
    assert accounts.digest(ROOT_TOKEN).hex() in heaps["tables"]


async def test_signing_in_and_out_leaves_no_secret_anywhere(
    written: io.StringIO, services: Services, people: People
) -> None:
    person = await people.user()
    sign_in = await people.anonymous.ask("POST", "/api/v4/packages/npm/-/v1/login", json={})
    urls = {name: URL(url).path for name, url in (await sign_in.json()).items()}
    await confirm_sign_in(people, urls["loginUrl"], person)
    child = Person(people.client, (await (await people.anonymous.get(urls["doneUrl"])).json())["token"])
    made = await person.ask("POST", "/api/v4/packages/npm/-/npm/v1/tokens", json={"password": person.token})
    text = (await made.json())["token"]
    secrets = {"login": urls["loginUrl"].rpartition("/")[2], "done": urls["doneUrl"].split("/")[-2],
               "person": person.token or "", "child": child.token or "", "made": text}  # fmt: skip

    listed = await (await person.get("/api/v4/packages/npm/-/npm/v1/tokens")).text()
    for method, path in (
        ("DELETE", f"/api/v4/packages/npm/-/user/token/{child.token}"),
        ("DELETE", f"/api/v4/packages/npm/-/npm/v1/tokens/token/{text}"),
        ("GET", urls["doneUrl"]),
        ("GET", urls["loginUrl"]),
    ):
        await person.ask(method, path)

    heaps = {"logs": written.getvalue(), "metrics": metrics.exposition().decode(), "list": listed,
             "tables": await everything_stored(services)}  # fmt: skip
    found = [(heap, name) for name, secret in secrets.items() for each in spellings(secret)
             for heap, kept in heaps.items() if each in kept]  # fmt: skip
    assert [] == found
