"""Responses: ranges, conditions, redirects, and what is said when the bytes are not there."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from registry import app, catalog, errors
from registry.errors import RegistryError
from registry.model import Project
from registry.server import responses
from registry.services import Services
from registry.settings import Settings
from registry.storage.presign import content_disposition
from tests.people import OPERATOR, People
from tests.server.wire import Answer, Wire, wired
from tests.storage.servers import Proxy, running_proxy

both_stores = pytest.mark.parametrize("storage_url", ["local", "s3"], indirect=True)
# The test client does not like to send more than a megabyte at once.
SMALL, LARGE = 1000, 900 * 1024 + 17
_numbers = itertools.count()


def pattern(size: int) -> bytes:
    return hashlib.shake_128(b"seed").digest(size)


@pytest.fixture
async def s3_url(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh bucket, made without a client, which takes a second to build."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    name = f"responses-{next(_numbers)}"
    async with ClientSession() as session, session.put(f"{s3_endpoint}/{name}") as response:
        assert 200 == response.status
    return f"s3://{name}/?endpoint_url={s3_endpoint}&region=us-east-1"


@pytest.fixture
async def wire(server: TestServer) -> AsyncIterator[Wire]:
    async with wired(server) as wire:
        yield wire


@pytest.fixture
async def project(people: People) -> Project:
    return await people.project(visibility="public")


async def publish(people: People, project: Project, content: bytes, file_name: str = "demo-1.0.bin") -> str:
    """The path of a published file."""
    answer = await people.root.upload(project, file_name, content, name="demo", version="1.0")
    assert 201 == answer.status
    digest = hashlib.sha256(content).hexdigest()
    return f"/api/v4/projects/{project.id}/packages/pypi/files/{digest}/{file_name}"


# --- ranges ---------------------------------------------------------------------------------------------------------

# Of 1,000 bytes: what is asked, the status, and what comes, as [start, end).
RANGES: tuple[tuple[str, int, tuple[int, int] | None], ...] = (
    ("bytes=0-99", 206, (0, 100)),
    ("bytes=0-0", 206, (0, 1)),
    ("bytes=999-999", 206, (999, 1000)),
    ("bytes=100-", 206, (100, 1000)),
    ("bytes=-100", 206, (900, 1000)),
    ("bytes=-5000", 206, (0, 1000)),
    ("bytes=0-", 206, (0, 1000)),
    ("bytes=500-9999", 206, (500, 1000)),
    ("bytes=0-999999999999999999", 206, (0, 1000)),
    (" bytes=0-99 ", 206, (0, 100)),
    ("bytes=1000-", 416, None),
    ("bytes=1000-1001", 416, None),
    ("bytes=999999999999999999-", 416, None),
    ("bytes=-0", 416, None),
    ("bytes=0-9,20-29", 200, (0, 1000)),
    ("bytes=9-0", 200, (0, 1000)),
    ("bytes=-", 200, (0, 1000)),
    ("bytes=", 200, (0, 1000)),
    ("bytes=a-b", 200, (0, 1000)),
    ("bytes=0-99999999999999999999", 200, (0, 1000)),
    ("bytes=+1-2", 200, (0, 1000)),
    ("bytes=1--2", 200, (0, 1000)),
    ("bytes 0-9", 200, (0, 1000)),
    ("items=0-9", 200, (0, 1000)),
    ("", 200, (0, 1000)),
)


def check_span(answer: Answer, status: int, span: tuple[int, int] | None, content: bytes) -> None:
    found = (answer.status, answer.body, answer.header("Content-Range"))
    if span is None:
        assert (416, b"", f"bytes */{len(content)}") == found
        return
    start, end = span
    shown = f"bytes {start}-{end - 1}/{len(content)}" if status == 206 else None
    assert (status, content[start:end], shown) == found
    assert ("bytes", str(end - start)) == (answer.header("Accept-Ranges"), answer.header("Content-Length"))


@both_stores
async def test_a_range_is_what_was_asked_and_nothing_else(wire: Wire, people: People, project: Project) -> None:
    content = pattern(SMALL)
    path = await publish(people, project, content)
    for asked, status, span in RANGES:
        check_span(await wire.ask("GET", path, {"Range": asked}), status, span, content)


@both_stores
async def test_large_files_are_sent_whole_and_in_parts_and_the_connection_goes_on(
    wire: Wire, people: People, project: Project
) -> None:
    content = pattern(LARGE)
    path = await publish(people, project, content)
    for asked, span in (
        (None, (0, LARGE)),
        ("bytes=1-", (1, LARGE)),
        ("bytes=-600000", (LARGE - 600_000, LARGE)),
        ("bytes=7-500006", (7, 500_007)),
        ("bytes=-1", (LARGE - 1, LARGE)),
    ):
        for _ in range(2):
            answer = await wire.ask("GET", path, {"Range": asked} if asked else {})
            check_span(answer, 206 if asked else 200, span, content)
    assert 200 == (await wire.ask("GET", "/-/liveness")).status


@both_stores
async def test_an_empty_file_has_no_ranges(wire: Wire, people: People, project: Project) -> None:
    path = await publish(people, project, b"")
    answer = await wire.ask("GET", path)
    assert (200, b"", "0") == (answer.status, answer.body, answer.header("Content-Length"))
    for asked in ("bytes=0-", "bytes=-5", "bytes=0-0"):
        check_span(await wire.ask("GET", path, {"Range": asked}), 416, None, b"")


async def test_a_range_of_another_version_of_the_file_is_the_whole_file(
    wire: Wire, people: People, project: Project
) -> None:
    content = pattern(SMALL)
    path = await publish(people, project, content)
    etag = (await wire.ask("GET", path)).header("ETag") or ""
    whole, some = (200, (0, SMALL)), (206, (5, 10))
    for condition, (status, span) in {
        etag: some,
        '"other"': whole,
        f"W/{etag}": whole,
        "Sun, 22 Nov 2026 00:00:00 GMT": whole,
        "*": whole,
        "": whole,
    }.items():
        answer = await wire.ask("GET", path, {"Range": "bytes=5-9", "If-Range": condition})
        check_span(answer, status, span, content)


@both_stores
async def test_head_tells_of_the_whole_file_whatever_range_is_asked(
    wire: Wire, people: People, project: Project
) -> None:
    """RFC 9110, section 14.2: ranges are for GET."""
    path = await publish(people, project, pattern(SMALL))
    for headers in ({}, {"Range": "bytes=5-9"}, {"Range": "bytes=5000-"}):
        answer = await wire.ask("HEAD", path, headers)
        assert (200, str(SMALL), None, b"") == (
            answer.status,
            answer.header("Content-Length"),
            answer.header("Content-Range"),
            answer.body,
        )


async def test_a_file_says_what_it_is_and_is_never_shown_by_a_browser(
    wire: Wire, people: People, project: Project
) -> None:
    content = b"<html><script>alert(1)</script>"
    path = await publish(people, project, content, "demo-1.0.html")
    answer = await wire.ask("GET", path)
    headers = {name: answer.header(name) for name in answer.headers if name not in {"date", "server"}}
    assert {
        "etag": f'"{hashlib.sha256(content).hexdigest()}"',
        "cache-control": "private, max-age=31536000, immutable",
        "accept-ranges": "bytes",
        "content-type": "application/octet-stream",
        "content-disposition": content_disposition("demo-1.0.html"),
        "x-content-type-options": "nosniff",
        "content-length": str(len(content)),
    } == headers


async def test_a_file_that_the_client_has_is_not_sent_again(wire: Wire, people: People, project: Project) -> None:
    path = await publish(people, project, pattern(SMALL))
    etag = (await wire.ask("GET", path)).header("ETag") or ""
    for method, condition in itertools.product(("GET", "HEAD"), (etag, f"W/{etag}", f'"x", {etag}', "*")):
        answer = await wire.ask(method, path, {"If-None-Match": condition, "Range": "bytes=0-1"})
        assert (304, b"", etag) == (answer.status, answer.body, answer.header("ETag"))
    assert 200 == (await wire.ask("GET", path, {"If-None-Match": '"other"'})).status


# --- the bytes are not there ----------------------------------------------------------------------------------------


@both_stores
async def test_an_object_that_is_gone_is_not_found(
    wire: Wire, people: People, project: Project, services: Services
) -> None:
    for size in (SMALL, LARGE):
        path = await publish(people, project, pattern(size), f"demo-{size}.bin")
        await services.store.delete(await services.db.fetchval("SELECT key FROM blobs WHERE size = $1", size))
        for method, headers in (("GET", {}), ("GET", {"Range": "bytes=1-"}), ("HEAD", {})):
            assert 404 == (await wire.ask(method, path, headers)).status
    assert 200 == (await wire.ask("GET", "/-/liveness")).status


def truncate(services: Services, key: str, size: int) -> None:
    path = services.store.path(key)
    assert path is not None
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.truncate(size)


async def test_a_short_object_is_never_taken_for_the_whole(
    server: TestServer, people: People, project: Project, services: Services
) -> None:
    for size in (SMALL, LARGE):
        path = await publish(people, project, pattern(size), f"demo-{size}.bin")
        key = await services.db.fetchval("SELECT key FROM blobs WHERE size = $1", size)
        truncate(services, str(key), size - 10)
        async with wired(server) as wire:
            with pytest.raises(asyncio.IncompleteReadError) if size == LARGE else _answered(503):
                _check((await wire.ask("GET", path)).status)
        async with wired(server) as wire:
            assert 404 == (await wire.ask("HEAD", path)).status
            assert 206 == (await wire.ask("GET", path, {"Range": "bytes=0-99"})).status


class _Answered(Exception):
    pass


def _check(status: int) -> None:
    raise _Answered(status)


def _answered(status: int) -> Any:
    return pytest.raises(_Answered, match=str(status))


@pytest.fixture
async def proxy(s3_endpoint: str) -> AsyncIterator[Proxy]:
    async with running_proxy(s3_endpoint) as proxy:
        yield proxy


@pytest.mark.parametrize("storage_url", ["proxied"], indirect=True)
async def test_a_store_that_fails_in_the_middle_of_a_file_ends_the_connection(
    server: TestServer, people: People, project: Project, proxy: Proxy
) -> None:
    """Nothing but bytes of the file may come after the head: a status line least of all."""
    content = pattern(LARGE)
    path = await publish(people, project, content)

    async def half(request: web.Request, _: bytes) -> web.StreamResponse | None:
        if request.method != "GET":
            return None
        response = web.StreamResponse(
            status=206, headers={"Content-Length": str(LARGE), "Content-Range": f"bytes 0-{LARGE - 1}/{LARGE}"}
        )
        await response.prepare(request)
        await response.write(content[: LARGE // 2])
        assert request.transport is not None
        request.transport.abort()
        return response

    proxy.answer = half
    async with wired(server) as wire:
        await wire.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        head, _, body = (await wire.ended(seconds=20)).partition(b"\r\n\r\n")
    proxy.answer = None
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert content.startswith(body)
    assert len(body) < LARGE


# --- redirects ------------------------------------------------------------------------------------------------------


@dataclass
class Store:
    """What the rule looks at."""

    public_host: str | None


@pytest.mark.parametrize(
    ("downloads", "public_host", "external_url", "expected"),
    [
        ("auto", None, None, False),
        ("auto", "s3.example.com", None, True),
        ("auto", "s3.example.com", "https://packages.example.com", True),
        ("auto", "packages.example.com", "https://packages.example.com", False),
        ("auto", "packages.example.com", "https://PACKAGES.example.com:8443/base", False),
        ("auto", "127.0.0.1", None, False),
        ("auto", "2001:db8::1", "http://[2001:DB8::1]:80", False),
        ("proxy", "s3.example.com", None, False),
        ("proxy", None, None, False),
        ("redirect", "s3.example.com", "https://packages.example.com", True),
        ("redirect", None, None, None),
        ("redirect", "packages.example.com", "https://packages.example.com:1", None),
    ],
)
def test_downloads_are_redirected_only_to_another_host(
    downloads: Any, public_host: str | None, external_url: str | None, *, expected: bool | None
) -> None:
    settings = Settings.model_validate({"downloads": downloads, "external_url": external_url})
    store: Any = Store(public_host)
    if expected is None:
        with pytest.raises(ValueError, match="REGISTRY_DOWNLOADS=redirect needs a store with URLs on another host"):
            app.redirects(settings, store)
    else:
        assert expected is app.redirects(settings, store)


@pytest.fixture
def storage_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """As everywhere, and a bucket `elsewhere`, with a public name of its own, or `proxied`, for things to go wrong."""
    match getattr(request, "param", "local"):
        case "s3":
            return str(request.getfixturevalue("s3_url"))
        case "elsewhere":
            return f"{request.getfixturevalue('s3_url')}&public_endpoint_url=https://objects.test"
        case "proxied":
            endpoint, proxy = request.getfixturevalue("s3_endpoint"), request.getfixturevalue("proxy")
            return str(request.getfixturevalue("s3_url")).replace(endpoint, proxy.url)
        case _:
            return (tmp_path / "objects").as_uri()


@pytest.mark.parametrize("storage_url", ["elsewhere"], indirect=True)
async def test_a_download_goes_to_the_store_and_carries_nothing_along(
    wire: Wire, people: People, project: Project, services: Services
) -> None:
    content = pattern(SMALL)
    path = await publish(people, project, content)
    for headers in ({}, {"Authorization": f"Bearer {people.root.token}"}, {}):
        answer = await wire.ask("GET", path, headers)
        location = answer.header("Location") or ""
        assert (302, True) == (answer.status, location.startswith("https://objects.test/"))
        assert ("private, no-store", "no-referrer") == (
            answer.header("Cache-Control"),
            answer.header("Referrer-Policy"),
        )
        assert "glpat" not in f"{answer.headers}{answer.body!r}"
        assert "response-content-disposition=attachment" in location
    assert content[5:10] == (await wire.ask("GET", path, {"Range": "bytes=5-9"})).body
    assert (200, str(SMALL)) == ((head := await wire.ask("HEAD", path)).status, head.header("Content-Length"))
    package_id = await services.db.fetchval("SELECT id FROM packages")
    await catalog.delete_packages(services.db, OPERATOR, project, [package_id])
    assert 404 == (await wire.ask("GET", path)).status


# --- headers --------------------------------------------------------------------------------------------------------


@given(
    st.text(max_size=100)
    | st.sampled_from(['a"; filename="b', "a\\", "a\r\nX: y", "a;b", "ü", "a%41", "a' b", "\u202e"])
)
def test_a_disposition_names_exactly_one_file_and_starts_no_header(file_name: str) -> None:
    try:
        value = content_disposition(file_name)
    except ValueError:
        # A surrogate that stands alone can be sent by nobody.
        assert any("\ud800" <= character <= "\udfff" for character in file_name)
        return
    assert value.isascii()
    assert not set(value) & set("\r\n\0")
    message = Message()
    message["Content-Disposition"] = value
    parameters = dict(message.get_params(header="Content-Disposition", unquote=True) or [])
    assert {"attachment", "filename"} == set(parameters) - {"filename*"}
    assert 'filename="' in value or "filename=" in value


def test_json_has_the_bare_media_type() -> None:
    answer = responses.json({"a": [1]}, status=201, headers={"X-More": "1"})
    assert (201, b'{"a":[1]}', "application/json", "1") == (
        answer.status,
        answer.body,
        answer.headers["Content-Type"],
        answer.headers["X-More"],
    )


MESSAGES: Mapping[str, tuple[RegistryError, dict[str, str]]] = {
    "own words": (errors.NotFound("404 Project Not Found"), {"message": "404 Project Not Found"}),
    "a reason": (errors.Forbidden("no"), {"message": "403 Forbidden - no"}),
    "a bad request": (errors.Invalid("name is missing"), {"message": "400 Bad request - name is missing"}),
    "nothing to say": (errors.Unauthenticated(), {"message": "401 Unauthorized"}),
    "too large": (errors.TooLarge("big"), {"message": "413 Request Entity Too Large - big"}),
    "expired": (
        errors.Unauthenticated("over", code="invalid_token"),
        {"error": "invalid_token", "error_description": "over"},
    ),
    "scope": (
        errors.Forbidden("more", code="insufficient_scope"),
        {"error": "insufficient_scope", "error_description": "more", "scope": "api read_api"},
    ),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_errors_are_told_in_gitlabs_shape(name: str) -> None:
    error, body = MESSAGES[name]
    assert body == responses.message(error)


def test_an_error_brings_the_headers_of_its_kind() -> None:
    busy = responses.failed({}, errors.TooBusy(retry_after=7))
    away = responses.failed({}, errors.Unavailable())
    wrong = responses.failed({}, errors.MethodNotAllowed(frozenset({"PUT", "GET", "HEAD"})))
    plain = responses.failed({"message": "x"}, errors.Invalid("x"), reason="name is missing")
    assert (429, "7", 503, "5") == (busy.status, busy.headers["Retry-After"], away.status, away.headers["Retry-After"])
    assert (405, "GET, HEAD, PUT") == (wrong.status, wrong.headers["Allow"])
    assert (400, "name is missing", {"message": "x"}) == (
        plain.status,
        plain.reason,
        json.loads(str(plain.text)),
    )
    assert {"Content-Type"} == set(plain.headers) - {"Content-Length"}


# --- documents ------------------------------------------------------------------------------------------------------


async def test_a_page_is_not_sent_again_until_it_changes(wire: Wire, people: People, project: Project) -> None:
    await publish(people, project, b"one")
    path = f"/api/v4/projects/{project.id}/packages/pypi/simple/demo"
    for coding in (None, "gzip", "zstd"):
        headers = {"Accept-Encoding": coding} if coding else {}
        first = await wire.ask("GET", path, headers)
        condition = {**headers, "If-None-Match": first.header("ETag") or ""}
        for _ in range(3):
            again = await wire.ask("GET", path, condition)
            assert (304, b"", first.header("ETag")) == (again.status, again.body, again.header("ETag"))
        await publish(people, project, f"{coding}".encode(), f"{coding}.bin")
        changed = await wire.ask("GET", path, condition)
        assert 200 == changed.status
        assert first.header("ETag") != changed.header("ETag")


async def test_a_page_is_kept_out_of_shared_caches_when_credentials_were_used(
    wire: Wire, people: People, project: Project
) -> None:
    await publish(people, project, b"one")
    path = f"/api/v4/projects/{project.id}/packages/pypi/simple/demo"
    public = await wire.ask("GET", path)
    private = await wire.ask("GET", path, {"PRIVATE-TOKEN": people.root.token or ""})
    assert ("no-cache", "private, no-cache") == (public.header("Cache-Control"), private.header("Cache-Control"))
    assert {"Accept", "Accept-Encoding", "Authorization"} <= set((public.header("Vary") or "").split(", "))


async def test_a_page_of_a_database_restored_to_an_earlier_state_is_rendered_again(
    wire: Wire, people: People, project: Project, services: Services
) -> None:
    """The serials of the restored state are given out again, for other content."""
    path = f"/api/v4/projects/{project.id}/packages/pypi/simple/demo"
    await publish(people, project, b"one", "one.bin")
    rows = await services.db.fetchrow("SELECT number FROM change_head")
    assert rows is not None
    await publish(people, project, b"two", "two.bin")
    assert b"two.bin" in (await wire.ask("GET", path)).body
    async with services.db.transaction() as tx:
        await tx.execute("DELETE FROM package_files WHERE file_name = 'two.bin'")
        await tx.execute("UPDATE package_names SET serial = serial - 1 WHERE normalized_name = 'demo'")
        await tx.execute("DELETE FROM changes WHERE number > $1", rows["number"])
        await tx.execute("UPDATE change_head SET number = $1", rows["number"])
    assert b"two.bin" not in (await wire.ask("GET", path)).body
    await publish(people, project, b"three", "three.bin")
    body = (await wire.ask("GET", path)).body
    assert (True, False) == (b"three.bin" in body, b"two.bin" in body)
