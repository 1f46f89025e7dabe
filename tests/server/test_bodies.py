"""Bodies: read with limits, only after authorisation, and refused in words when they are no such thing."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import urllib.parse
import zlib
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, given
from hypothesis import settings as rules
from hypothesis import strategies as st

from registry import app
from registry.access import Ability, AccessLevel
from registry.api import API_FACE
from registry.errors import Invalid
from registry.model import Project
from registry.server import bodies, pace
from registry.server.bodies import MAX_FIELD, MAX_PARTS, MAX_SMALL, Form, boundary
from registry.server.context import Context
from registry.server.responses import json as json_response
from registry.server.routes import Route, Table
from registry.services import Services
from registry.settings import Settings
from tests.formats.pypi.distributions import a_wheel
from tests.people import People, Person
from tests.server.wire import Answer, Wire, wired

MIB = 1024 * 1024
BOUNDARY = "----boundary"
SLOW = (408, b'{"message":"408 Request Timeout - The request body arrives too slowly"}')
MULTIPART = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


class Sink:
    def __init__(self) -> None:
        self.content = bytearray()

    async def write(self, piece: bytes) -> None:
        self.content += piece


# --- routes that show what was understood ---------------------------------------------------------------------------


async def show_form(context: Context) -> web.StreamResponse:
    sink = Sink()
    before: list[str] = []
    form = Form("content", sink, started=before.extend)
    await form.receive(context.request)
    shown = {"fields": form.fields, "file": form.file_name, "content": sink.content.decode("latin-1"), "before": before}
    return json_response(shown)


async def show_values(context: Context) -> web.StreamResponse:
    return json_response(await bodies.values(context.request))


async def show_small(context: Context) -> web.StreamResponse:
    return json_response({"length": len(await bodies.read(context.request))})


async def show_inflated(context: Context) -> web.StreamResponse:
    body = bodies.inflated(context.request, await bodies.read_packed(context.request, 100_000), 100_000)
    return json_response({"length": len(body)})


# Nothing listens there, and nothing is asked of it.
NO_DATABASE = "postgresql://nobody@/none?host=/nonexistent"


@pytest.fixture
async def echo(settings: Settings) -> AsyncIterator[TestServer]:
    """A server with routes of its own, behind the real pipeline."""
    table = Table()
    table.add(
        (
            Route("POST", "/form", show_form, Ability.PUBLIC),
            Route("POST", "/values", show_values, Ability.PUBLIC),
            Route("POST", "/small", show_small, Ability.PUBLIC),
            Route("POST", "/inflated", show_inflated, Ability.PUBLIC),
        ),
        API_FACE,
    )

    class Production(TestServer):
        async def _make_runner(self, **options: Any) -> Any:
            return web.ServerRunner(app.make_server(self.app, **options))

    async with app.open_services(settings, NO_DATABASE) as services:
        server = Production(app.make_app(services, table=table), host="127.0.0.1")
        await server.start_server()
        yield server
        await server.close()


@pytest.fixture
async def wire(echo: TestServer) -> AsyncIterator[Wire]:
    async with wired(echo) as wire:
        yield wire


def part(name: str, content: bytes | str, *headers: str, file_name: str | None = None) -> bytes:
    file = f'; filename="{file_name}"' if file_name is not None else ""
    head = "\r\n".join([f'Content-Disposition: form-data; name="{name}"{file}', *headers])
    return head.encode() + b"\r\n\r\n" + (content.encode() if isinstance(content, str) else content)


def multipart(*parts: bytes, end: bytes = b"--\r\n") -> bytes:
    delimiter = f"--{BOUNDARY}".encode()
    return b"".join(delimiter + b"\r\n" + one + b"\r\n" for one in parts) + delimiter + end


async def shown(wire: Wire, target: str, headers: dict[str, str], body: bytes) -> Any:
    answer = await wire.ask("POST", target, headers, body)
    assert 200 == answer.status, answer
    return json.loads(answer.body)


async def refused(wire: Wire, target: str, headers: dict[str, str], body: bytes) -> tuple[int, str]:
    answer = await wire.ask("POST", target, headers, body)
    return answer.status, json.loads(answer.body)["message"]


# --- multipart forms ------------------------------------------------------------------------------------------------


async def test_a_form_is_its_fields_and_its_file(wire: Wire) -> None:
    body = multipart(
        part("name", "demo"),
        part("classifiers", "a", "Content-Type: text/plain"),
        part("content", b"\0\xff\r\n--not the end", "Content-Type: application/octet-stream", file_name="demo.whl"),
        part("classifiers", "b"),
        part("empty", ""),
    )
    expected = {
        "fields": {"name": ["demo"], "classifiers": ["a", "b"], "empty": [""]},
        "file": "demo.whl",
        "content": "\0\xff\r\n--not the end",
        "before": ["name", "classifiers"],
    }
    assert expected == await shown(wire, "/form", MULTIPART, body)


@rules(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(range(7)), st.lists(st.integers(1, 700), max_size=8))
async def test_parts_come_in_any_order_and_in_any_pieces(echo: TestServer, order: list[int], cuts: list[int]) -> None:
    parts = [
        *(part(name, value) for name, value in (("name", "demo"), ("version", "1"), ("x", ""), ("", "y"))),
        part("content", b"\r\n--" * 50, file_name="demo.whl"),
        part("description", "\r\n".join(["--", BOUNDARY] * 3)),
        part("name", "again"),
    ]
    body = multipart(*(parts[at] for at in order))
    async with wired(echo) as wire:
        head = f"POST /form HTTP/1.1\r\nHost: a\r\nContent-Type: {MULTIPART['Content-Type']}\r\n"
        await wire.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
        start = 0
        for end in [*sorted({cut for cut in cuts if cut < len(body)}), len(body)]:
            await wire.send(body[start:end])
            await asyncio.sleep(0)
            start = end
        found = json.loads((await wire.answer()).body)
    assert ("demo.whl", "\r\n--" * 50) == (found["file"], found["content"])
    assert {"demo", "again"} == set(found["fields"].pop("name"))
    assert {"version": ["1"], "x": [""], "": ["y"], "description": ["\r\n".join(["--", BOUNDARY] * 3)]} == found[
        "fields"
    ]


async def test_what_follows_the_end_is_ignored_and_what_precedes_the_start_too(wire: Wire) -> None:
    body = b"preamble\r\n" + multipart(part("a", "b"), end=b"--\r\nepilogue") + b"\r\n" * 1000
    assert {"a": ["b"]} == (await shown(wire, "/form", MULTIPART, body))["fields"]


async def test_text_that_is_no_utf8_is_taken_as_latin_1(wire: Wire) -> None:
    assert {"a": ["\xe9"]} == (await shown(wire, "/form", MULTIPART, multipart(part("a", b"\xe9"))))["fields"]


STRANGE_TYPES = (
    "",
    "multipart/form-data",
    "multipart/form-data; boundary=",
    'multipart/form-data; boundary=""',
    f"multipart/mixed; boundary={BOUNDARY}",
    f"text/plain; boundary={BOUNDARY}",
    "multipart/form-data; boundary=" + "x" * 300,
    "multipart/form-data; boundary=\xff\xfe",
    "multipart/form-data; boundary*=utf-8''%ff%fe",
    "multipart/form-data; boundary*=bogus''%41%ff",
    ";;;",
)


async def test_without_a_usable_boundary_there_is_no_form(wire: Wire) -> None:
    expected = (400, "400 Bad request - the body must be multipart/form-data with a boundary")
    for content_type in STRANGE_TYPES:
        headers = {"Content-Type": content_type}
        assert expected == await refused(wire, "/form", headers, multipart(part("a", "b"))), content_type
    assert expected == await refused(wire, "/form", {}, multipart(part("a", "b")))


NO_FORMS = (
    b"--",
    b"no form at all",
    multipart(part("a", "b"), end=b""),
    multipart(part("a", "b"), end=b"-"),
    multipart(part("a", "b"))[:40],
    multipart(b"no headers"),
    multipart(b"\r\nno headers"),
    multipart(b"Content-Type: text/plain\r\n\r\nno disposition"),
    multipart(b"Content-Disposition: attachment; name=a\r\n\r\nb"),
    multipart(b"Content-Disposition form-data\r\n\r\nb"),
    multipart(b"\xff\xfe: a\r\n\r\nb"),
    multipart(b"X: " + b"x" * 5000 + b'\r\nContent-Disposition: form-data; name="a"\r\n\r\nb'),
    multipart(b"X: x\r\n" * 20 + b'Content-Disposition: form-data; name="a"\r\n\r\nb'),
    multipart(part("a", "b", "Content-Length: 10")),
    multipart(part("a", "b", "Content-Length: -1")),
    multipart(part("a", "b"), end=b"oops"),
)


async def test_what_is_no_form_is_refused_and_never_an_error_of_ours(wire: Wire) -> None:
    for target, body in itertools.product(("/form", "/values"), NO_FORMS):
        assert 400 == (await refused(wire, target, MULTIPART, body))[0], (target, body)
    assert 400 == (await refused(wire, "/form", MULTIPART, b""))[0]


async def test_one_form_holds_one_file(wire: Wire) -> None:
    file = part("content", b"x", file_name="a.whl")
    status, text = await refused(wire, "/form", MULTIPART, multipart(file, part("a", "b"), file))
    assert (400, "400 Bad request - the form holds 'content' twice") == (status, text)
    status, text = await refused(wire, "/form", MULTIPART, multipart(part("content", b"a field")))
    assert (400, "400 Bad request - content is invalid") == (status, text)


async def test_a_form_within_a_field_is_text(wire: Wire) -> None:
    inner = b"--inner\r\n" + part("content", b"evil", file_name="b.whl") + b"\r\n--inner--\r\n"
    nested = part("mixed", inner, "Content-Type: multipart/mixed; boundary=inner")
    found = await shown(wire, "/form", MULTIPART, multipart(nested))
    assert ({"mixed": [inner.decode()]}, None) == (found["fields"], found["file"])


async def test_tens_of_thousands_of_parts_are_fine_and_more_are_not(wire: Wire) -> None:
    one = part("c", "x") + f"\r\n--{BOUNDARY}\r\n".encode()
    body = f"--{BOUNDARY}\r\n".encode() + one * (MAX_PARTS - 1) + part("c", "x") + f"\r\n--{BOUNDARY}--\r\n".encode()
    assert MAX_PARTS == len((await shown(wire, "/form", MULTIPART, body))["fields"]["c"])
    status, text = await refused(wire, "/form", MULTIPART, f"--{BOUNDARY}\r\n".encode() + one * 60_000 + b"--")
    assert (400, True) == (status, "not valid" in text)


async def test_fields_are_limited_one_by_one_and_all_together(wire: Wire) -> None:
    largest = multipart(part("a", b"x" * MAX_FIELD))
    assert MAX_FIELD == len((await shown(wire, "/form", MULTIPART, largest))["fields"]["a"][0])
    assert 413 == (await refused(wire, "/form", MULTIPART, multipart(part("a", b"x" * (MAX_FIELD + 1)))))[0]
    many = [part(f"f{number}", b"x" * MAX_FIELD) for number in range(17)]
    assert 413 == (await refused(wire, "/form", MULTIPART, multipart(*many)))[0]


async def test_long_names_of_empty_fields_are_counted_too(wire: Wire) -> None:
    many = [part(f"{number:04000}", "") for number in range(4200)]
    assert (413, "413 Request Entity Too Large - the fields of the form together are too large") == (
        await refused(wire, "/form", MULTIPART, multipart(*many))
    )


@given(st.text(max_size=300))
def test_any_content_type_has_a_boundary_or_is_refused(content_type: str) -> None:
    try:
        found = boundary(content_type.replace("\r", "").replace("\n", ""))
    except Invalid:
        return
    assert found.isascii()


# --- parameters of management calls ---------------------------------------------------------------------------------

URLENCODED = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


async def test_parameters_come_by_query_form_or_json(wire: Wire) -> None:
    wanted = {"name": "a b", "scopes": ["x", "y"]}
    pairs = [("name", "a b"), ("scopes[]", "x"), ("scopes[]", "y")]
    form = urllib.parse.urlencode(pairs).encode()
    assert wanted == await shown(wire, f"/values?{form.decode()}", {}, b"")
    assert wanted == await shown(wire, "/values", URLENCODED, form)
    assert wanted == await shown(wire, "/values", JSON, json.dumps(wanted).encode())
    assert wanted == await shown(wire, "/values", MULTIPART, multipart(*(part(*pair) for pair in pairs)))
    assert wanted == await shown(wire, "/values?name=other", JSON, json.dumps(wanted).encode())
    assert wanted == await shown(wire, "/values", {}, json.dumps(wanted).encode())
    assert {} == await shown(wire, "/values", JSON, b"")


async def test_the_last_of_several_values_counts_and_empty_ones_are_values(wire: Wire) -> None:
    assert {"a": "2", "b": ""} == await shown(wire, "/values?a=1&a=2&b=", {}, b"")
    assert {"a": "2", "b": ""} == await shown(wire, "/values", URLENCODED, b"a=1&a=2&b=")
    assert {"a": "2", "b": ""} == await shown(
        wire, "/values", MULTIPART, multipart(part("a", "1"), part("a", "2"), part("b", ""))
    )


UNREADABLE = (
    (JSON, b"{"),
    (JSON, b"[]"),
    (JSON, b'"text"'),
    (JSON, b"null"),
    (JSON, b"NaN"),
    (JSON, b'{"a":"\\ud800"}'),
    (JSON, b"[" * 100_000),
    (JSON, b'{"a":' * 5000 + b"1" + b"}" * 5000),
    (JSON, b"\xff"),
    (URLENCODED, b"a=%ff"),
    (URLENCODED, b"\xff=1"),
    (URLENCODED, b"a&" * 2000),
    (MULTIPART, multipart(part("a", b"\xff"))),
)


async def test_a_body_that_cannot_be_read_is_a_bad_request(wire: Wire) -> None:
    for headers, body in UNREADABLE:
        assert 400 == (await refused(wire, "/values", headers, body))[0], body[:50]


async def test_a_small_body_is_small_whether_it_says_its_length_or_not(echo: TestServer) -> None:
    async with wired(echo) as wire:
        assert {"length": MAX_SMALL} == await shown(wire, "/small", {}, b"x" * MAX_SMALL)
        assert 413 == (await wire.ask("POST", "/small", {}, b"x" * (MAX_SMALL + 1))).status
    async with wired(echo) as wire:
        await wire.send(b"POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"%x\r\n%s\r\n" % (64 * 1024, b"x" * 64 * 1024)
        await wire.send(chunk * 17 + b"0\r\n\r\n")
        assert 413 == (await wire.answer()).status


async def test_a_broken_chunk_is_refused(echo: TestServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "WINDOW_SECONDS", 0.1)
    for body in (b"zz\r\n", b"5\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n", b"-1\r\n\r\n", b"4\r\nabcdXX"):
        async with wired(echo) as wire:
            await wire.send(b"POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            await asyncio.sleep(0.02)
            await wire.send(body)
            assert 408 == (await wire.answer()).status, body


AMBIGUOUS = (
    b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    b"Content-Length: 5\r\nContent-Length: 6\r\n",
    b"Content-Length: +5\r\n",
    b"Content-Length: 5, 5\r\n",
    b"Transfer-Encoding: gzip\r\n",
    b"Transfer-Encoding: chunked, identity\r\n",
    b"Transfer-Encoding: xchunked\r\n",
    b"Transfer-Encoding : chunked\r\n",
)


async def test_a_body_whose_end_is_a_matter_of_opinion_is_refused(echo: TestServer) -> None:
    for headers in AMBIGUOUS:
        async with wired(echo) as wire:
            await wire.send(b"POST /small HTTP/1.1\r\nHost: a\r\n" + headers + b"\r\n5\r\nabcde\r\n0\r\n\r\n")
            assert 400 == (await wire.answer()).status, headers


async def test_a_byte_now_and_then_is_no_upload_and_a_slow_one_is(
    echo: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "WINDOW_SECONDS", 0.4)
    async with wired(echo) as slow, wired(echo) as dripping:
        for wire in (slow, dripping):
            await wire.send(b"POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 12288\r\n\r\n")

        async def drip() -> None:
            with suppress(ConnectionError):
                while True:
                    await dripping.send(b"x")
                    await asyncio.sleep(0.02)

        task = asyncio.create_task(drip())
        # Three windows long, and above 1,024 bytes per second in each of them.
        for _ in range(12):
            await slow.send(b"x" * 1024)
            await asyncio.sleep(0.1)
        assert 200 == (await slow.answer()).status
        answer = await dripping.answer()
        task.cancel()
    assert SLOW == (answer.status, answer.body)


async def test_a_body_that_stands_still_is_given_up(echo: TestServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "WINDOW_SECONDS", 0.1)
    async with wired(echo) as wire:
        await wire.send(b"POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        answer = await wire.answer()
    assert SLOW == (answer.status, answer.body)


# --- content codings ------------------------------------------------------------------------------------------------


async def test_an_encoded_body_is_refused_unread(wire: Wire) -> None:
    bomb = gzip.compress(b"0" * 10 * MIB)
    codings = ("gzip", "GZIP", "deflate", "br", "zstd", "identity, gzip", "x", "")
    for target, coding in itertools.product(("/form", "/values", "/small"), codings):
        answer = await wire.ask("POST", target, {**MULTIPART, "Content-Encoding": coding}, bomb)
        assert 415 == answer.status
        assert b"Content-Encoding is not accepted" in answer.body


async def test_identity_is_no_coding(wire: Wire) -> None:
    assert {"length": 3} == await shown(wire, "/small", {"Content-Encoding": "Identity"}, b"abc")


async def test_where_gzip_is_taken_the_limit_counts_what_comes_out(wire: Wire) -> None:
    headers = {"Content-Encoding": "gzip"}
    assert {"length": 100_000} == await shown(wire, "/inflated", headers, gzip.compress(b"x" * 100_000))
    assert {"length": 3} == await shown(wire, "/inflated", {}, b"abc")
    assert {"length": 0} == await shown(wire, "/inflated", headers, gzip.compress(b""))
    for body in (gzip.compress(b"x" * 100_001), gzip.compress(b"0" * 50 * MIB)):
        assert 413 == (await wire.ask("POST", "/inflated", headers, body)).status
    whole = gzip.compress(b"abc" * 1000)
    for body in (whole[:-5], b"no gzip", b"", zlib.compress(b"abc"), whole[:10] + b"\xff" * 10 + whole[20:]):
        assert 400 == (await wire.ask("POST", "/inflated", headers, body)).status, body
    assert 415 == (await wire.ask("POST", "/inflated", {"Content-Encoding": "br"}, b"x")).status


async def test_two_members_of_gzip_do_not_pass_for_one(wire: Wire) -> None:
    body = gzip.compress(b"abc") + gzip.compress(b"def")
    assert 400 == (await wire.ask("POST", "/inflated", {"Content-Encoding": "gzip"}, body)).status


async def test_where_gzip_is_taken_a_body_that_stands_still_is_given_up_too(
    echo: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "WINDOW_SECONDS", 0.1)
    async with wired(echo) as wire:
        await wire.send(b"POST /inflated HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        assert 408 == (await wire.answer()).status


# --- when the body is asked for -------------------------------------------------------------------------------------


@pytest.fixture
async def project(people: People) -> Project:
    return await people.project(visibility="public")


@pytest.fixture
async def developer(people: People, project: Project) -> Person:
    return await people.member(project, AccessLevel.DEVELOPER)


def upload_head(project: Project, length: int, **headers: str) -> bytes:
    headers = {"Content_Type": MULTIPART["Content-Type"], **headers}
    lines = [
        f"POST /api/v4/projects/{project.id}/packages/pypi HTTP/1.1",
        "Host: registry.test",
        f"Content-Length: {length}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def a_form() -> bytes:
    return multipart(
        part(":action", "file_upload"),
        part("name", "demo"),
        part("version", "1.0"),
        part("content", a_wheel(), file_name="demo-1.0-py3-none-any.whl"),
    )


async def test_the_body_is_asked_for_only_after_authorisation(
    server: TestServer, project: Project, developer: Person
) -> None:
    form = a_form()
    async with wired(server) as wire:
        await wire.send(upload_head(project, len(form), Expect="100-continue", PRIVATE_TOKEN=developer.token or ""))
        assert 100 == (await wire.answer(bodiless=True)).status
        await wire.send(form)
        answer = await wire.answer()
        assert (201, b'{"message":"201 Created"}') == (answer.status, answer.body)


@pytest.mark.parametrize("length", [1000, 4 * 1024**3])
async def test_who_may_not_upload_is_not_asked_for_the_body(server: TestServer, project: Project, length: int) -> None:
    async with wired(server) as wire:
        await wire.send(upload_head(project, length, Expect="100-continue"))
        answer = await wire.answer()
        assert (401, 'Basic realm="GitLab Packages Registry"') == (answer.status, answer.header("WWW-Authenticate"))


async def test_a_file_that_says_it_is_too_large_is_not_asked_for(
    server: TestServer, project: Project, developer: Person
) -> None:
    async with wired(server) as wire:
        head = upload_head(project, 4 * 1024**3, Expect="100-continue", PRIVATE_TOKEN=developer.token or "")
        await wire.send(head)
        answer = await wire.answer()
        assert (True, b"too large" in answer.body) == (answer.status in {400, 413}, True)


async def test_a_body_that_came_along_with_expect_needs_no_word(
    server: TestServer, project: Project, developer: Person
) -> None:
    form = a_form()
    async with wired(server) as wire:
        await wire.send(
            upload_head(project, len(form), Expect="100-continue", PRIVATE_TOKEN=developer.token or "") + form
        )
        first = await wire.answer(bodiless=True)
        answer = first if first.status != 100 else await wire.answer()
        assert 201 == answer.status


async def refused_while_sending(wire: Wire, head: bytes, size: int) -> Answer:
    """What uv and twine do: send everything, then look at the answer."""
    await wire.send(head)
    for _ in range(size // MIB):
        await wire.send(b"x" * MIB)
    return await wire.answer()


async def test_who_sends_forty_megabytes_without_being_allowed_still_reads_the_answer(
    server: TestServer, project: Project
) -> None:
    async with wired(server) as wire:
        answer = await refused_while_sending(wire, upload_head(project, 40 * MIB), 40 * MIB)
        assert 401 == answer.status
        # Everything was taken, so the connection can go on.
        assert 200 == (await wire.ask("GET", "/-/liveness")).status


@pytest.mark.parametrize("headers", [{"Content_Encoding": "gzip"}, {"Content_Type": "text/plain"}, {}])
async def test_who_sends_forty_megabytes_of_nonsense_still_reads_the_answer(
    server: TestServer, project: Project, developer: Person, headers: dict[str, str]
) -> None:
    async with wired(server) as wire:
        head = upload_head(project, 40 * MIB, PRIVATE_TOKEN=developer.token or "", **headers)
        answer = await refused_while_sending(wire, head, 40 * MIB)
        assert (400, 415)["Content_Encoding" in headers] == answer.status


async def test_a_client_that_goes_away_in_the_middle_leaves_nothing(
    server: TestServer, project: Project, developer: Person, services: Services
) -> None:
    form = a_form()
    async with wired(server) as wire:
        await wire.send(upload_head(project, len(form) + MIB, PRIVATE_TOKEN=developer.token or "") + form[:-200])
        await asyncio.sleep(0.2)
    async with asyncio.timeout(5):
        while await services.db.fetchval("SELECT count(*) FROM blobs"):
            await asyncio.sleep(0.02)
    assert 0 == await services.db.fetchval("SELECT count(*) FROM packages")
    assert [] == [found async for found in services.store.list()]
