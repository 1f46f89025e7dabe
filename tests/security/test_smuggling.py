"""Request smuggling: the balancer and the application never disagree about where a request ends.

Each case is what one client sends on one connection, with a request to `/canary` hidden where a lax parser would find
it. It goes straight to the application and through nginx, which keeps connections to the application open and shares
them among clients: what one of the two takes for a body and the other for a request would be answered to somebody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from registry import app
from registry.services import Services
from tests.conftest import ProductionServer
from tests.security.balancer import balanced

Connecting = Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]

# Nothing came for so many seconds: nothing more will. Paths carry the number of their case.
QUIET = 1.0
HIDDEN = b"GET /canary?00 HTTP/1.1\r\nHost: registry.test\r\n\r\n"
HEAD = b"POST /-/health?00 HTTP/1.1\r\nHost: registry.test\r\n"
END = b"0\r\n\r\n"


def _lengthy(*lines: bytes, body: bytes = END + HIDDEN) -> bytes:
    """A POST with these lines in its head."""
    return HEAD + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


_LENGTH = b"Content-Length: %d" % len(END + HIDDEN)
_CHUNKED = b"Transfer-Encoding: chunked"

# What is hidden is never seen, whatever else is answered.
ATTACKS = {
    "CL and TE": _lengthy(_LENGTH, _CHUNKED),
    "TE and CL": _lengthy(_CHUNKED, _LENGTH),
    "TE and a CL of nothing": _lengthy(_CHUNKED, b"Content-Length: 0"),
    "TE and a CL that ends early": _lengthy(b"Content-Length: 5", _CHUNKED),
    "two lengths": _lengthy(b"Content-Length: 0", _LENGTH),
    "two lengths, the other way round": _lengthy(_LENGTH, b"Content-Length: 0"),
    "two equal lengths": _lengthy(b"Content-Length: 0", b"Content-Length: 0", body=HIDDEN),
    "a list of lengths": _lengthy(b"Content-Length: 0, %d" % len(END + HIDDEN)),
    "a signed length": _lengthy(b"Content-Length: +0"),
    "a negative length": _lengthy(b"Content-Length: -1"),
    "a hexadecimal length": _lengthy(b"Content-Length: 0x0"),
    "a length with an underscore": _lengthy(b"Content-Length: 0_0"),
    "a length of 65 bits": _lengthy(b"Content-Length: 18446744073709551616"),
    "an empty length": _lengthy(b"Content-Length: "),
    "TE twice": _lengthy(_CHUNKED, b"Transfer-Encoding: identity"),
    "TE twice, the other way round": _lengthy(b"Transfer-Encoding: identity", _CHUNKED),
    "TE of another coding": _lengthy(b"Transfer-Encoding: xchunked"),
    "TE with a tab": _lengthy(b"Transfer-Encoding:\tchunked", _LENGTH),
    "TE with a vertical tab": _lengthy(b"Transfer-Encoding:\x0bchunked", _LENGTH),
    "TE with a space before its colon": _lengthy(b"Transfer-Encoding : chunked", _LENGTH),
    "TE within another line": _lengthy(b"X: x\nTransfer-Encoding: chunked", _LENGTH),
    "TE in quotes": _lengthy(b'Transfer-Encoding: "chunked"', _LENGTH),
    "TE folded": _lengthy(b"Transfer-Encoding:\r\n chunked", _LENGTH),
    "TE with a list": _lengthy(b"Transfer-Encoding: chunked, identity", _LENGTH),
    "TE with an underscore": _lengthy(b"Transfer_Encoding: chunked", _LENGTH),
    "TE after a null byte": _lengthy(b"X: \x00", _CHUNKED, _LENGTH),
    "TE in HTTP/1.0": _lengthy(_CHUNKED, _LENGTH).replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    "TE in HTTP/1.0 alone": _lengthy(_CHUNKED, b"Connection: keep-alive", body=b"5\r\nhello\r\n" + END).replace(
        b"HTTP/1.1", b"HTTP/1.0", 1
    ),
    "a folded header": _lengthy(b"X: one\r\n two", _LENGTH),
    "a header that begins with a space": b"POST /-/health?00 HTTP/1.1\r\n X: x\r\nHost: a\r\n\r\n" + HIDDEN,
    "a bare carriage return": _lengthy(b"X: x\rContent-Length: 0", _LENGTH),
    "a chunk size with a sign": _lengthy(_CHUNKED, body=b"+0\r\n\r\n" + HIDDEN),
    "a chunk size with a prefix": _lengthy(_CHUNKED, body=b"0x2d\r\n" + HIDDEN + b"\r\n" + END),
    "a chunk size with an underscore": _lengthy(_CHUNKED, body=b"0_0\r\n\r\n" + HIDDEN),
    "a chunk size of 65 bits": _lengthy(_CHUNKED, body=b"10000000000000000\r\n" + HIDDEN + b"\r\n" + END),
    "a chunk size that ends in a bare line feed": _lengthy(_CHUNKED, body=b"0\n\n" + HIDDEN),
    "a chunk extension with a line feed": _lengthy(_CHUNKED, body=b"2;\n%02x\r\n" % len(HIDDEN) + HIDDEN + END),
    "a chunk extension with a quoted end": _lengthy(_CHUNKED, body=b'3;x="\r\n0\r\n\r\n' + HIDDEN),
    "a chunk that is longer than it says": _lengthy(_CHUNKED, body=b"1\r\nab\r\n" + END + HIDDEN),
    "a chunk without its end": _lengthy(_CHUNKED, body=b"1\r\na0\r\n\r\n" + HIDDEN),
    "a trailer that is a header": _lengthy(_CHUNKED, body=b"0\r\nContent-Length: 45\r\n\r\n")[:-2] + b"X" + HIDDEN,
    "another protocol": _lengthy(b"Connection: Upgrade", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__", _LENGTH),
    "a second host": HEAD + b"Host: elsewhere.test\r\nContent-Length: 0\r\n\r\n",
    "a length named in Connection": _lengthy(b"Connection: Content-Length", _LENGTH),
    "a coding named in Connection": _lengthy(b"Connection: close, Transfer-Encoding", _CHUNKED, _LENGTH),
    "a body of GET": b"GET /-/health?00 HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n%s" % (_LENGTH, END + HIDDEN),
    "an expectation": _lengthy(b"Expect: 100-continue", _LENGTH),
    "a request line with a carriage return": b"GET /-/health?00\rGET /canary?00 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a target with a space": b"GET /-/health?00 HTTP/1.1 GET /canary?00 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a target with a null byte": b"GET /-/health?00\x00/canary?00 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a method in lower case": b"get /canary?00 HTTP/1.1\r\nHost: a\r\n\r\n",
    "an unknown version": b"GET /canary?00 HTTP/1.2345\r\nHost: a\r\n\r\n",
    "HTTP/0.9": b"GET /-/health?00\r\n\r\n",
    "a request after the last one of HTTP/1.0": b"GET /-/health?00 HTTP/1.0\r\nHost: a\r\n\r\n" + HIDDEN,
    "HTTP/2 from the start": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN,
    "a tunnel": b"CONNECT registry.test:80 HTTP/1.1\r\nHost: registry.test:80\r\n\r\n",
    "no host": b"GET /canary?00 HTTP/1.1\r\n\r\n",
    "two hundred headers": _lengthy(*(b"X-%d: 1" % n for n in range(200)), b"Content-Length: 0", body=b"").replace(
        b"/-/health?00", b"/canary?00"
    ),
    "a header of 64 KiB": b"GET /canary?00 HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 65536 + b"\r\n\r\n",
    "a target of 64 KiB": b"GET /canary?00" + b"x" * 65536 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
}  # fmt: skip

# What both take for several requests is answered in order, one by one.
HONEST = {
    "pipelining": (b"GET /-/health?00 HTTP/1.1\r\nHost: a\r\n\r\n" * 2 + HIDDEN, ["/-/health", "/-/health", "/canary"]),
    "pipelining after a body": (_lengthy(b"Content-Length: 2", body=b"{}" + HIDDEN), ["/-/health", "/canary"]),
    "pipelining after chunks": (_lengthy(_CHUNKED, body=b"2\r\n{}\r\n" + END + HIDDEN), ["/-/health", "/canary"]),
    "a chunk extension": (_lengthy(_CHUNKED, body=b'2;a=b;c="d"\r\n{}\r\n' + END + HIDDEN), ["/-/health", "/canary"]),
    "trailers": (_lengthy(_CHUNKED, body=b"2\r\n{}\r\n0\r\nX: y\r\n\r\n" + HIDDEN), ["/-/health", "/canary"]),
    "the absolute form": (b"GET http://other.test/canary?00 HTTP/1.1\r\nHost: a\r\n\r\n", ["/canary"]),
    "HTTP/1.0": (b"GET /canary?00 HTTP/1.0\r\nHost: a\r\n\r\n", ["/canary"]),
}


class Seen(dict[str, list[str]]):
    """The paths of the requests that reached the application, in their order, by the number of their case."""

    def note(self, raw_path: str) -> None:
        path, _, number = re.sub(r"^https?://[^/]*", "", raw_path).partition("?")
        self.setdefault(number[:2], []).append(path)

    def of(self, number: int) -> list[str]:
        """What came of one case."""
        return self.get(f"{number:02}", [])


@pytest.fixture
async def seen() -> Seen:
    return Seen()


@pytest.fixture
async def backend(services: Services, seen: Seen) -> AsyncIterator[TestServer]:
    """The application, taking down what it is asked."""
    application = app.make_app(services)
    handle = application[app.PIPELINE].handle

    async def noting(request: web.Request) -> web.StreamResponse:
        seen.note(request.raw_path)
        return await handle(request)

    vars(application[app.PIPELINE])["handle"] = noting
    server = ProductionServer(application, host="127.0.0.1")
    await server.start_server()
    yield server
    await server.close()


async def answered(connecting: Connecting, data: bytes) -> list[tuple[int, bool]]:
    """The status of each answer on a connection until nothing more comes, and whether the application gave it."""
    reader, writer = await connecting
    raw = b""
    with contextlib.suppress(ConnectionError):
        writer.write(data)
        await writer.drain()
        while piece := await _piece(reader):
            raw += piece
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    raw = raw.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
    heads = re.findall(rb"HTTP/1\.[01] (\d{3}) [^\r]*\r\n(.*?)\r\n\r\n", raw, re.DOTALL)
    return [(int(status), b"x-upstream" in head.lower()) for status, head in heads]


async def _piece(reader: asyncio.StreamReader) -> bytes:
    try:
        async with asyncio.timeout(QUIET):
            return await reader.read(65536)
    except TimeoutError:
        return b""


async def all_answers(cases: Iterable[bytes], connect: Callable[[], Connecting]) -> list[list[tuple[int, bool]]]:
    """Of all cases side by side, each on its own connection and with its number in its paths."""
    numbered = [data.replace(b"?00", b"?%02d" % number) for number, data in enumerate(cases)]
    return await asyncio.gather(*(answered(connect(), data) for data in numbered))


async def test_the_application_alone_never_sees_what_is_hidden(backend: TestServer, seen: Seen) -> None:
    found = await all_answers(ATTACKS.values(), lambda: asyncio.open_connection("127.0.0.1", backend.port))
    assert [] == [name for number, name in enumerate(ATTACKS) if "/canary" in seen.of(number)]
    # Nothing is answered twice, nothing is an error of ours, and nobody gets a tunnel.
    statuses = {name: [status for status, _ in answers] for name, answers in zip(ATTACKS, found, strict=True)}
    assert {} == {name: each for name, each in statuses.items() if len(each) > 1 or 500 in each}
    assert 200 not in statuses["a tunnel"]


async def test_the_balancer_and_the_application_count_the_same_requests(backend: TestServer, seen: Seen) -> None:
    async with balanced(backend.port or 0) as socket:
        found = await all_answers(ATTACKS.values(), lambda: asyncio.open_unix_connection(socket))
        # Whoever comes next on the shared connections gets the answer to the own question.
        question = b"GET /-/liveness?99 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        for _ in range(20):
            assert [(200, True)] == await answered(asyncio.open_unix_connection(socket), question)
    wrong = {}
    for number, (name, answers) in enumerate(zip(ATTACKS, found, strict=True)):
        # What the parser of the application refuses, with 400, it does not see as a request.
        forwarded = [status for status, by_application in answers if by_application and status != 400]
        if len(forwarded) != len(seen.of(number)):
            wrong[name] = (answers, seen.of(number))
    assert ({}, ["/-/liveness"] * 20) == (wrong, seen.of(99))


async def test_honest_requests_on_one_connection_are_answered_in_their_order(backend: TestServer, seen: Seen) -> None:
    cases = [data for data, _ in HONEST.values()]
    async with balanced(backend.port or 0) as socket:
        for connect in (
            lambda: asyncio.open_unix_connection(socket),
            lambda: asyncio.open_connection("127.0.0.1", backend.port),
        ):
            seen.clear()
            found = await all_answers(cases, connect)
            for number, (name, (_, paths)) in enumerate(HONEST.items()):
                assert (paths, len(paths)) == (seen.of(number), len(found[number])), name
