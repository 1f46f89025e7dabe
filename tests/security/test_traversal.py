"""Traversal and injection: hostile texts in every parameter of every route, in paths, queries, forms and JSON.

What may be a name is kept as a name, whatever it looks like; nothing of it becomes a path, a header or a failure.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from aiohttp.test_utils import TestServer

from registry import app
from registry.model import Project
from registry.server.routes import Endpoint
from registry.services import Services
from tests import inventory
from tests.formats.npm.documents import a_document, a_tarball
from tests.formats.pypi import forms
from tests.people import ROOT_TOKEN, People
from tests.security.opened import paths_outside
from tests.server.test_routes import CORPUS
from tests.server.wire import Answer, Wire, wired

ROOT = {"PRIVATE-TOKEN": ROOT_TOKEN}
# In more spellings than a decoder should know: of dots, slashes and line ends, in one byte too many or in look-alikes.
SPELLINGS = (
    "%c0%2e%c0%2e%c0%af", "%e0%80%ae%e0%80%ae%e0%80%af", "%f0%80%80%af", "%c1%9c", "%fc%80%80%80%80%af", "%uff0e%uff0e",
    "%ef%bc%8e%ef%bc%8e%ef%bc%8f", "%e2%80%a5%e2%88%95", "%e2%80%a4%e2%80%a4%ef%b9%a8", "%e2%81%84etc", "%c2%a5..",
    "%25%32%65%25%32%65%25%32%66", "%252e%252e%255c", "%2525252e", "%2e%2e%00%2f", "%e5%98%8d%e5%98%8aX-Injected:yes",
    "%c4%8d%c4%8aX-Injected:%20yes", "%e2%80%a8X-Injected:yes", "%c2%85X", "%0bX", "%0cX",
    "%e2%84%aa", "%c5%bf", "%c4%b0",
    "%ef%bb%bfa", "a%cc%81", "%f3%a0%81%81", "x" * 4000, "%2e" * 1200, "..%2f" * 700, "%f0%9f%92%a9" * 300,
    "file:%2f%2f%2fetc%2fpasswd", "%5c%5chost%5cshare", "%2fproc%2fself%2fenviron", "con", "nul.txt", "a:b", "a%7cb",
    "..%2f..%2f.pgpass", "%2e%2e%2fobjects",
)  # fmt: skip
ALL = tuple(dict.fromkeys((*SPELLINGS, *CORPUS)))
# Of the whole corpus each parameter gets so many, and the next one those that follow.
EACH = 4


@pytest.fixture
async def wire(server: TestServer) -> AsyncIterator[Wire]:
    async with wired(server) as wire:
        yield wire


@pytest.fixture
async def project(people: People) -> Project:
    group = await people.group("acme", visibility="public")
    return await people.project(group, "shop", visibility="public")


def path_of(endpoint: Endpoint, project: Project) -> str:
    """To the endpoint, about things that do not exist in a place that does."""
    place = project.id if "/projects/" in endpoint.template else project.namespace_id
    parts = endpoint.template.split("/")
    return "/".join(str(place) if p == "{id}" else "4711" if p.startswith("{") else p for p in parts)


def strange(answer: Answer) -> bool:
    """An error of ours, or a header that was written by the corpus."""
    injected = any("injected" in name for name in answer.headers)
    controls = any(re.search(r"[\x00-\x1f\x7f]", v) for values in answer.headers.values() for v in values)
    return answer.status >= 500 or injected or controls


def described() -> Iterator[Endpoint]:
    for endpoint in app.routes().endpoints:
        # The token that asks stays the one it is.
        if "/self" not in endpoint.template and endpoint.route.method != "DELETE":
            yield endpoint


async def test_every_path_answers_every_spelling_with_a_refusal(wire: Wire, project: Project, tmp_path: Path) -> None:
    wrong = []
    corpus = itertools.cycle(ALL)
    with paths_outside(tmp_path) as outside:
        for endpoint in app.routes().endpoints:
            if endpoint.route.ability.value == "public":
                continue
            parts = endpoint.template.split("/")
            whole = path_of(endpoint, project).split("/")
            for at in [at for at, part in enumerate(parts) if part.startswith("{")]:
                if parts[at] == "{id}" and endpoint.route.placeless:  # it is the caller's own, at whatever place
                    continue
                for piece in itertools.islice(corpus, EACH):
                    target = "/".join((*whole[:at], piece, *whole[at + 1 :]))
                    answer = await wire.ask(endpoint.route.method, target, ROOT, b"")
                    if strange(answer) or answer.status < 300:
                        wrong.append((answer.status, endpoint.route.method, target[:200]))
    assert ([], set()) == (wrong, outside)


async def test_every_query_parameter_is_a_value_or_refused(wire: Wire, project: Project, tmp_path: Path) -> None:
    wrong = []
    corpus = itertools.cycle(ALL)
    with paths_outside(tmp_path) as outside:
        for endpoint in described():
            if endpoint.route.method != "GET":
                continue
            names = [one.name for one in endpoint.route.parameters]
            for name in (*names, "private_token", "page"):
                for piece in itertools.islice(corpus, EACH // 2):
                    headers = {} if name == "private_token" else ROOT
                    target = f"{path_of(endpoint, project)}?{name}={piece}"
                    answer = await wire.ask("GET", target, headers)
                    if strange(answer):
                        wrong.append((answer.status, target[:200]))
    assert ([], set()) == (wrong, outside)


async def test_every_body_parameter_is_a_value_or_refused(wire: Wire, project: Project, tmp_path: Path) -> None:
    """As a form and as JSON, and as the name of a parameter too."""
    wrong = []
    corpus = itertools.cycle(ALL)
    form = {**ROOT, "Content-Type": "application/x-www-form-urlencoded"}
    document = {**ROOT, "Content-Type": "application/json"}
    with paths_outside(tmp_path) as outside:
        for endpoint in described():
            if endpoint.route.method == "GET" or endpoint.format is not None:
                continue
            target = path_of(endpoint, project)
            needed = {one.name: "x" for one in endpoint.route.parameters if one.required}
            for one in endpoint.route.parameters:
                for piece in itertools.islice(corpus, EACH // 2):
                    rest = "".join(f"&{name}={value}" for name, value in needed.items() if name != one.name)
                    text = unquote(piece, errors="surrogateescape")
                    for headers, body in (
                        (form, f"{one.name}={piece}{rest}&{piece}=1".encode()),
                        (document, json.dumps({**needed, one.name: text, text: [text, {text: text}]}).encode()),
                    ):
                        answer = await wire.ask(endpoint.route.method, target, headers, body)
                        if strange(answer):
                            wrong.append((answer.status, endpoint.route.method, target, body[:200]))
    assert ([], set()) == (wrong, outside)


async def test_no_text_in_an_upload_becomes_a_path(
    wire: Wire, project: Project, services: Services, tmp_path: Path
) -> None:
    wrong = []
    target = f"/api/v4/projects/{project.id}/packages/pypi"
    headers = {**ROOT, "Content-Type": forms.CONTENT_TYPE}
    pieces = [piece for piece in ALL[: len(SPELLINGS) + 70] if len(piece) < 1000]
    with paths_outside(tmp_path) as outside:
        for piece in pieces:
            raw = unquote(piece, errors="surrogateescape").encode("utf-8", "surrogateescape")
            for body in (
                forms.upload(file_name=raw),
                forms.upload(file_name=b"demo-1.0.zip/" + raw),
                forms.upload(**{"name" if len(raw) % 2 else "version": raw}),
                forms.upload(requires_python=raw, filetype=raw, sha256_digest=raw),
            ):
                answer = await wire.ask("POST", target, headers, body)
                if strange(answer):
                    wrong.append((answer.status, piece))
    assert ([], set()) == (wrong, outside)
    await check_stored(services)


async def test_no_text_in_a_publish_document_becomes_a_path(
    wire: Wire, project: Project, services: Services, tmp_path: Path
) -> None:
    wrong = []
    headers = {**ROOT, "Content-Type": "application/json"}
    with paths_outside(tmp_path) as outside:
        for number, piece in enumerate(ALL[: len(SPELLINGS) + 40]):
            text = unquote(piece, errors="replace")
            tarball = a_tarball({"name": "@acme/widget", "version": "1.0.0"})
            document = a_document(tarball, name="@acme/widget", version="1.0.0")
            match number % 4:
                case 0:
                    document["_attachments"] = {text: next(iter(document["_attachments"].values()))}
                case 1:
                    document["name"] = document["_id"] = text
                case 2:
                    document["versions"] = {text: document["versions"]["1.0.0"] | {"version": text}}
                case 3:
                    document["dist-tags"] = {text: "1.0.0"}
            name = quote(text, safe="") if number % 4 == 1 else "@acme%2fwidget"
            target = f"/api/v4/projects/{project.id}/packages/npm/{name}"
            answer = await wire.ask("PUT", target, headers, json.dumps(document).encode())
            if strange(answer) or (answer.status < 300 and number % 4 != 3):
                wrong.append((answer.status, piece))
    assert ([], set()) == (wrong, outside)
    await check_stored(services)


async def check_stored(services: Services) -> None:
    """What was taken has names that are one plain segment, and lies under a key that says nothing."""
    found = await inventory.take(services)
    for texts in found.files:
        assert re.fullmatch(r"[A-Za-z0-9@/!+._~-]+", "/".join(texts)), texts
        assert not {"..", "."} & set(texts), texts
        assert "/" not in texts[2].removeprefix("@acme/"), texts
    assert [] == [key for key in found.objects if not re.fullmatch(r"[0-9a-f/]+", key)]
