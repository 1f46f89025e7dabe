"""Anything at all, sent to the whole server: it is answered or refused, and never an error of the server's own."""

from __future__ import annotations

import base64
import re
from urllib.parse import quote

import pytest
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, given
from hypothesis import settings as rules
from hypothesis import strategies as st

from registry.model import Project
from registry.services import Services
from registry.settings import Settings
from tests import inventory
from tests.formats.pypi import forms
from tests.people import ROOT_TOKEN, People
from tests.server.wire import Answer, Wire, wired

# Every example shares the fixtures: nothing that is sent changes anything. A busy machine is slow to make examples.
fuzz = rules(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
CONTENT = bytes(range(200))
ROOT = {"PRIVATE-TOKEN": ROOT_TOKEN}

segments = st.text(max_size=12) | st.sampled_from(
    (".", "..", "%", "%2f", "%2e%2e", "%00", "%ff", "-", "@", "@a/b", "simple", "files", "dist-tags", "-rev", "1", "v1")
)
# What may stand in a header (RFC 9110, section 5.5): the server reads no other.
header_values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=40)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Nobody guesses too often."""
    return settings.model_copy(update={"failed_sign_ins": 1_000_000})


@pytest.fixture
async def project(people: People) -> Project:
    return await people.project(visibility="public")


@pytest.fixture
async def published(people: People, project: Project) -> str:
    """The path of a file with CONTENT."""
    answer = await people.root.upload(project, "demo-1.0.bin", CONTENT, name="demo", version="1.0")
    assert 201 == answer.status
    page = await people.root.get(f"/api/v4/projects/{project.id}/packages/pypi/simple/demo")
    found = re.search(rb'href="http://[^/]+(/[^"#]+)', await page.read())
    assert found is not None
    return found[1].decode()


async def ask(
    server: TestServer, method: str, target: str, headers: dict[str, str], body: bytes | None = None
) -> Answer:
    async with wired(server) as wire:
        return await wire.ask(method, target, headers, body)


# --- coordinates ----------------------------------------------------------------------------------------------------


@fuzz
@given(
    kind=st.sampled_from(("pypi", "npm")),
    parts=st.lists(segments, min_size=1, max_size=5),
    safe=st.sampled_from(("", "%", "@/")),
    method=st.sampled_from(("GET", "HEAD", "PUT", "POST", "DELETE")),
)
async def test_a_path_of_anything_is_answered_or_refused(
    server: TestServer, project: Project, people: People, kind: str, parts: list[str], safe: str, method: str
) -> None:
    path = "/".join(quote(part, safe=safe, errors="replace") for part in parts)
    target = f"/api/v4/projects/{project.id}/packages/{kind}/{path}"
    answer = await ask(server, method, target, ROOT, b"{}" if method in {"PUT", "POST"} else None)
    assert 200 <= answer.status < 500, (target, answer)


# --- ranges ---------------------------------------------------------------------------------------------------------

bounds = st.integers(0, 250).map(str) | st.sampled_from(("", "199", "200", "00", "9" * 18, "9" * 30, "-1", "x", " "))
units = st.sampled_from(("bytes=", "bytes=", "bytes", "Bytes="))
rests = st.sampled_from(("", "", " ", ",0-1", "-"))
ranges = st.builds("{}{}-{}{}".format, units, bounds, bounds, rests)


@fuzz
@given(text=ranges | header_values)
async def test_a_range_of_anything_is_a_part_the_whole_or_nothing(
    server: TestServer, published: str, text: str
) -> None:
    answer = await ask(server, "GET", published, {"Range": text})
    place = answer.header("Content-Range")
    if answer.status == 206:
        found = re.fullmatch(r"bytes (\d+)-(\d+)/200", place or "")
        assert found is not None
        assert CONTENT[int(found[1]) : int(found[2]) + 1] == answer.body != b""
    elif answer.status == 416:
        assert ("bytes */200", b"") == (place, answer.body)
    else:
        assert (200, None, CONTENT) == (answer.status, place, answer.body)


# --- credentials ----------------------------------------------------------------------------------------------------

basic = st.binary(max_size=30).map(lambda raw: "Basic " + base64.b64encode(raw).decode())
schemes = st.builds("{} {}".format, st.sampled_from(("Basic", "Bearer", "bAsIc", "Digest", "")), header_values)


@fuzz
@given(
    name=st.sampled_from(("Authorization", "PRIVATE-TOKEN", "Deploy-Token", "JOB-TOKEN", "Cookie")),
    value=basic | schemes | header_values,
)
async def test_credentials_of_anything_are_nobodys(
    server: TestServer, people: People, project: Project, name: str, value: str
) -> None:
    """On a public page a stranger reads; nobody is let in where only a member is, and nothing breaks."""
    page = f"/api/v4/projects/{project.id}/packages/pypi/simple"
    answer = await ask(server, "GET", page, {name: value})
    assert answer.status in {200, 401}, answer
    answer = await ask(server, "GET", "/api/v4/personal_access_tokens/self", {name: value})
    assert 401 == answer.status, answer


# --- negotiation ----------------------------------------------------------------------------------------------------


@fuzz
@given(
    accept=header_values,
    encoding=header_values | st.sampled_from(("gzip;q=0", "*;q=0", "identity;q=0, *;q=0", "gzip;q=x", "br, gzip")),
    condition=header_values | st.sampled_from(("*", "W/", '"', '"a", W/"b"')),
)
async def test_what_a_client_accepts_is_given_or_refused(
    server: TestServer, published: str, project: Project, accept: str, encoding: str, condition: str
) -> None:
    headers = {"Accept": accept, "Accept-Encoding": encoding, "If-None-Match": condition}
    for target in (f"/api/v4/projects/{project.id}/packages/pypi/simple/demo", "/api/v4/packages/npm/-/ping"):
        assert (await ask(server, "GET", target, headers)).status in {200, 304, 406}


# --- forms ----------------------------------------------------------------------------------------------------------


noise = st.binary(max_size=12) | st.sampled_from((b"\r\n", b'"', b"--", b"\r\n\r\n", b"\0"))


# Each example is two uploads.
@rules(fuzz, max_examples=30)
@given(at=st.integers(0), piece=noise, over=st.integers(0, 12), cuts=st.lists(st.integers(1, 5000), max_size=6))
async def test_a_damaged_form_is_the_same_in_any_pieces(
    server: TestServer, services: Services, project: Project, at: int, piece: bytes, over: int, cuts: list[int]
) -> None:
    body = forms.upload(file_name="demo-1.0.bin")
    at %= len(body)
    body = body[:at] + piece + body[at + over :]
    target = f"/api/v4/projects/{project.id}/packages/pypi"
    headers = {"Content-Type": forms.CONTENT_TYPE, **ROOT}
    whole = await ask(server, "POST", target, headers, body)
    before = await inventory.take(services)
    async with wired(server) as wire:
        pieces = await in_pieces(wire, target, headers, body, cuts)
    if whole.status == 201:
        # The second time it is what is there already, or not the same bytes.
        assert pieces.status == 201
    else:
        assert 400 == whole.status, whole
        assert (whole.status, whole.body) == (pieces.status, pieces.body)
    assert before == await inventory.take(services)


async def in_pieces(wire: Wire, target: str, headers: dict[str, str], body: bytes, cuts: list[int]) -> Answer:
    lines = [f"POST {target} HTTP/1.1", "Host: registry.test", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    await wire.send("\r\n".join([*lines, "", ""]).encode())
    start = 0
    for end in [*sorted({cut for cut in cuts if cut < len(body)}), len(body)]:
        await wire.send(body[start:end])
        start = end
    return await wire.answer()
