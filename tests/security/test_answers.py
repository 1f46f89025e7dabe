"""Every answer of every route: what browsers and caches may do with it. And redirects, which carry nothing along."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import AsyncIterator
from html.parser import HTMLParser

import pytest
from aiohttp.test_utils import TestServer

from registry import app
from registry.access import AccessLevel
from registry.model import Level, Project
from registry.upstream import PUBLIC
from tests.formats.npm.transcripts import publish
from tests.formats.pypi.distributions import a_wheel
from tests.people import ROOT_TOKEN, People
from tests.server.wire import Answer, Wire, wired
from tests.test_access_matrix import target, told

ROOT = {"PRIVATE-TOKEN": ROOT_TOKEN}
CROSS_SITE = {"Origin": "https://evil.example", "Sec-Fetch-Mode": "cors", "Cookie": "_gitlab_session=x"}


@pytest.fixture
async def wire(server: TestServer) -> AsyncIterator[Wire]:
    async with wired(server) as wire:
        yield wire


@pytest.fixture
async def project(people: People) -> Project:
    group = await people.group("acme", visibility="public")
    project = await people.project(group, "shop", visibility="public")
    answer = await people.root.upload(project, "demo-1.0-py3-none-any.whl", a_wheel(), name="demo", version="1.0")
    assert 201 == answer.status
    await publish(people.root, project, "demo", "1.0.0")
    return project


class Elements(HTMLParser):
    """What runs or loads in a page, as a browser reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.active: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "iframe", "object", "embed", "form", "img", "svg", "base", "link"}:
            self.active.append(tag)
        for name, value in attrs:
            if name.startswith("on") or re.match(r"\s*(javascript|data|vbscript):", value or ""):
                self.active.append(f"{tag} {name}={value}")


def faults(answer: Answer) -> list[str]:
    """What a browser or a shared cache should have been told, and was not."""
    found = []
    headers = answer.headers
    kind = (answer.header("Content-Type") or "").partition(";")[0]
    if answer.body and answer.header("X-Content-Type-Options") != "nosniff":
        found.append("may be taken for something else")
    if any(name.startswith("access-control-") for name in headers):
        found.append("may be read by other sites")
    if "set-cookie" in headers:
        found.append("sets a cookie")
    if not re.search(r"no-store|no-cache|private", answer.header("Cache-Control") or ""):
        found.append("may be kept by a shared cache")
    if kind not in {"", "application/json", "text/html", "text/plain", "application/octet-stream"} | FEEDS:
        found.append(f"is {kind}")
    if "html" in kind:
        policy = answer.header("Content-Security-Policy") or ""
        if not policy.startswith("default-src 'none'; ") or "script-src" in policy or "unsafe" in policy:
            found.append(f"may run scripts: {policy}")
        # What a page of ours sends goes to us.
        policy = policy.replace("form-action 'self'", "form-action 'none'")
        for directive in ("base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"):
            if directive not in policy:
                found.append(f"without {directive}")
        elements = Elements()
        elements.feed(answer.body.decode())
        found += elements.active
    if ("html" in kind or "location" in headers) and answer.header("Referrer-Policy") != "no-referrer":
        found.append("tells other sites where it came from")
    return found


# Beside JSON, in the clothes that clients ask for.
FEEDS = frozenset({"application/vnd.pypi.simple.v1+json", "application/vnd.npm.install-v1+json"})


async def test_no_answer_may_be_sniffed_framed_shared_or_read_by_other_sites(wire: Wire, project: Project) -> None:
    wrong = {}
    statuses = set()
    for endpoint in app.routes().endpoints:
        method = endpoint.route.method
        place = project.namespace_id if endpoint.level is Level.GROUP else project.id
        path = target(endpoint, place).replace("/demo/1", "/demo/1.0.0")
        callers = ({}, ROOT) if method == "GET" else ({},)
        for headers in callers:
            answer = await wire.ask(method, path, {**CROSS_SITE, **headers}, None if method == "GET" else b"")
            statuses.add(answer.status)
            if found := faults(answer):
                wrong[told(endpoint), answer.status] = found
        # A browser that asks whether another site may: no.
        asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": method}
        answer = await wire.ask("OPTIONS", path, asked)
        if answer.status != 405 or faults(answer):
            wrong[told(endpoint), "OPTIONS"] = [str(answer.status), *faults(answer)]
    assert {} == wrong
    assert {200, 302, 401, 403, 404, 405} - statuses <= {405}


async def test_pages_hold_texts_as_texts_whatever_they_say(wire: Wire, people: People, project: Project) -> None:
    """Of what publishers write, only what may be a version specifier or a file name gets into HTML."""
    pieces = ('"><script>alert(1)</script>', "'onmouseover='alert(1)", "<img src=x onerror=alert(1)>", "{{7*7}}{%x%}")
    for number, piece in enumerate(pieces):
        await people.root.upload(
            project, f"demo-2.{number}-py3-none-any.whl", a_wheel(version=f"2.{number}"), name="demo",
            version=f"2.{number}", requires_python=f">=3{piece}", summary=piece, description=piece, keywords=piece,
        )  # fmt: skip
    base = f"/api/v4/projects/{project.id}/packages"
    for path in (f"{base}/pypi/simple/demo/", f"{base}/pypi/simple/"):
        answer = await wire.ask("GET", path, ROOT)
        assert (200, []) == (answer.status, faults(answer))
        # What is no markup stands there as it was written: it is no template of ours either.
        assert (path.endswith("/demo/"), []) == (
            pieces[3].encode() in answer.body,
            [piece for piece in pieces[:3] if piece.encode() in answer.body],
        )


async def test_a_redirect_to_the_public_index_carries_the_name_and_nothing_else(
    wire: Wire, people: People, project: Project
) -> None:
    token = (await people.member(project, AccessLevel.DEVELOPER)).token or ""
    base = f"/api/v4/projects/{project.id}/packages"
    forms: tuple[tuple[dict[str, str], str], ...] = (
        ({}, ""),
        ({"PRIVATE-TOKEN": token}, ""),
        ({"Authorization": f"Bearer {token}"}, ""),
        ({}, f"?private_token={token}"),
        ({}, "?write=true&x=//evil.example/%0d%0aX-Injected:1"),
        ({"Referer": f"http://registry.test/?private_token={token}"}, ""),
    )
    expected = {
        f"{base}/pypi/simple/unknown": f"{PUBLIC['pypi']}/simple/unknown/",
        f"{base}/npm/unknown": f"{PUBLIC['npm']}/unknown",
        f"{base}/npm/@foreign%2funknown": f"{PUBLIC['npm']}/@foreign/unknown",
        f"{base}/npm/unknown/1.0.0": f"{PUBLIC['npm']}/unknown/1.0.0",
    }
    for path, location in expected.items():
        for headers, rest in forms:
            answer = await wire.ask("GET", path + rest, headers)
            assert (302, location) == (answer.status, answer.header("Location")), (path, headers)
            assert ("no-store", "no-referrer") == (answer.header("Cache-Control"), answer.header("Referrer-Policy"))
            assert token not in f"{answer.headers}{answer.body!r}"
    # Whatever begins like another host stays on this one, or is refused.
    for piece in (
        "%2f%2fevil.example",
        "/evil.example",
        "%5cevil.example",
        "evil.example%2f..",
        "@evil.example",
        "https:",
    ):
        for path in (f"{base}/pypi/simple/{piece}", f"{base}/npm/{piece}", f"/{piece}", f"//{piece}/-/docs"):
            answer = await wire.ask("GET", path)
            host = urllib.parse.urlsplit(answer.header("Location") or "").netloc
            assert host in {"", *(urllib.parse.urlsplit(one).netloc for one in PUBLIC.values())}, (path, host)


async def test_a_name_that_only_some_may_see_is_never_told_to_the_public_index(wire: Wire, people: People) -> None:
    """Neither for whom it is hidden, nor below the group, nor after it was deleted."""
    group = await people.group("corp", visibility="public")
    project = await people.project(group, "hidden", visibility="private")
    visible = await people.project(group, "open", visibility="public")
    answer = await people.root.upload(project, "demo-1.0-py3-none-any.whl", a_wheel(), name="demo", version="1.0")
    assert 201 == answer.status
    await publish(people.root, project, "secret-tool", "1.0.0")
    outsider = {"PRIVATE-TOKEN": (await people.user()).token or ""}
    member = {"PRIVATE-TOKEN": (await people.member(project, AccessLevel.DEVELOPER)).token or ""}
    for number in range(2):
        told_elsewhere = []
        for place in (f"projects/{project.id}", f"groups/{group.id}/-"):
            for path in ("npm/secret-tool", "npm/secret-tool/1.0.0", "npm/@corp%2fanything", "pypi/simple/demo",
                         "pypi/simple/DEMO", "npm/-/package/secret-tool/dist-tags"):  # fmt: skip
                for headers in ({}, outsider, member, ROOT):
                    answer = await wire.ask("GET", f"/api/v4/{place}/packages/{path}", headers)
                    if answer.header("Location"):
                        told_elsewhere.append((number, place, path, headers))
        assert [] == told_elsewhere
        for package in await (await people.root.get(f"/api/v4/projects/{project.id}/packages")).json():
            deleted = await people.root.ask("DELETE", f"/api/v4/projects/{project.id}/packages/{package['id']}")
            assert 204 == deleted.status
    assert visible.visibility == "public"
