"""Request bodies: read with limits, streamed where they are large, refused where they are strange."""

from __future__ import annotations

import urllib.parse
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from email.message import Message
from typing import Any, Protocol

import multipart
import orjson
from aiohttp import web

from registry import metrics
from registry.errors import Invalid, TooLarge, TooSlow, UnsupportedMedia
from registry.server import pace

# boto3-stubs comes as 1,360 parts; the fields together stay far below this (pypi.md, B.4).
MAX_PARTS = 50_000
MAX_FIELD = 1024 * 1024
MAX_FIELDS = 16 * 1024 * 1024
MAX_SMALL = 1024 * 1024


Fields = dict[str, list[str]]


class FileSink(Protocol):
    """Where the file part of a form goes."""

    async def write(self, piece: bytes) -> None:
        """Take the next bytes of the file."""


async def chunks(request: web.Request) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises TooSlow (see `registry.server.pace`), Invalid when it ends early."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("a body with a Content-Encoding is not accepted here")
    async for chunk in _arriving(request):
        yield chunk


async def _arriving(request: web.Request) -> AsyncIterator[bytes]:
    await accept(request)
    content = request.content
    expected = pace.of(request)
    while True:
        try:
            async with expected.waiting():
                chunk = await content.readany()
        except TimeoutError:
            # Broken chunked framing ends like this, too: aiohttp does not tell.
            metrics.slow_clients.inc()
            raise TooSlow from None
        except web.RequestPayloadError as error:
            raise Invalid("the request body is broken") from error
        if not chunk:
            return
        expected.moved(len(chunk))
        yield chunk


async def accept(request: web.Request) -> None:
    """Tell a client that waits for it to send the body: only now, when the request was found to be allowed."""
    if request.headers.get("Expect", "").lower() == "100-continue" and not request.content.total_bytes:
        transport = request.transport
        if transport is not None:
            transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def check_length(request: web.Request, limit: int, *, beside: int = 0) -> None:
    """Refuse a body that says it is too large for a file of `limit` bytes and `beside` bytes around it; before reading.

    Raises TooLarge.
    """
    length = request.content_length
    if length is not None and length > limit + beside:
        raise TooLarge(f"File is too large: the limit is {limit} bytes")


async def read(request: web.Request, limit: int = MAX_SMALL) -> bytes:
    """A small body as a whole. Raises TooLarge above `limit` bytes."""
    return await _whole(request, chunks(request), limit)


async def read_packed(request: web.Request, limit: int) -> bytes:
    """A small body as it was sent, which may be gzipped, as npm posts it to the audit routes; see `inflated`.

    Raises TooLarge, UnsupportedMedia.
    """
    if request.headers.get("Content-Encoding", "identity").lower() not in {"gzip", "identity"}:
        raise UnsupportedMedia("only gzip is accepted as Content-Encoding")
    return await _whole(request, _arriving(request), limit)


def inflated(request: web.Request, body: bytes, limit: int) -> bytes:
    """What was packed into a body; `limit` counts inflated bytes. Raises TooLarge, and Invalid for what is no gzip."""
    if request.headers.get("Content-Encoding", "identity").lower() != "gzip":
        return body
    inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        whole = inflater.decompress(body, limit + 1)
    except zlib.error:
        raise Invalid("the body is not valid gzip") from None
    if len(whole) > limit:
        raise _too_large(limit)
    if not inflater.eof or inflater.unused_data:
        raise Invalid("the body is not valid gzip")
    return whole


async def _whole(request: web.Request, pieces: AsyncIterator[bytes], limit: int) -> bytes:
    check_length(request, limit)
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the request body is larger than {limit} bytes")


async def values(request: web.Request) -> dict[str, Any]:
    """Parameters of a management call: query, then a JSON object, a urlencoded or a multipart form (GitLab takes all).

    `name[]` in a form or query makes a list. Raises Invalid for a body that is none of these.
    """
    found: dict[str, Any] = {}
    for name in request.query:
        _put(found, name, request.query.getall(name))
    body = await read(request)
    if not body:
        return found
    kind = request.content_type
    if kind == "multipart/form-data":
        fields: Fields = {}
        collect(_parser(request), body, fields)
        for name, items in fields.items():
            _put(found, name, items)
    elif kind == "application/x-www-form-urlencoded":
        try:
            pairs = urllib.parse.parse_qs(body.decode(), keep_blank_values=True, max_num_fields=1000, errors="strict")
        except ValueError:
            raise Invalid("the form is not valid") from None
        for name, items in pairs.items():
            _put(found, name, items)
    else:
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise Invalid("the body is neither valid JSON nor a form") from None
        if not isinstance(document, dict):
            raise Invalid("the body must be a JSON object")
        found.update(document)
    return found


def _put(found: dict[str, Any], name: str, items: list[str]) -> None:
    if name.endswith("[]"):
        found[name[:-2]] = list(items)
    else:
        found[name] = items[-1]


def boundary(content_type: str) -> str:
    """The boundary of a multipart/form-data header. Raises Invalid."""
    message = Message()
    message["Content-Type"] = content_type
    value = message.get_boundary()
    if message.get_content_type() != "multipart/form-data" or not value or len(value) > 70 * 4 or not value.isascii():
        raise Invalid("the body must be multipart/form-data with a boundary")
    return value


def _parser(request: web.Request) -> Any:
    try:
        return multipart.PushMultipartParser(
            boundary(request.headers.get("Content-Type", "")), max_segment_count=MAX_PARTS, max_header_count=16
        )
    except multipart.MultipartError:
        raise Invalid("the body must be multipart/form-data with a boundary") from None


def collect(parser: Any, body: bytes, fields: Fields) -> None:
    """Put the fields of a small, whole form into `fields`. Raises Invalid."""
    name, value = "", bytearray()
    try:
        for event in parser.parse(body):
            if event is None:
                fields.setdefault(name, []).append(value.decode())
            elif isinstance(event, multipart.MultipartSegment):
                name, value = event.name, bytearray()
            else:
                value += event
        parser.close()
    except (multipart.MultipartError, UnicodeDecodeError):
        raise Invalid("the form is not valid") from None


class Form:
    """A multipart form being received: text fields are kept, the one file part goes to a sink as it arrives.

    Parts may come in any order, without Content-Type, tens of thousands of them, and repeat their names (pypi.md, A.5).
    """

    def __init__(
        self,
        file_part: str,
        sink: FileSink,
        *,
        limit: int | None = None,
        started: Callable[[Fields], None] | None = None,
    ) -> None:
        """`limit` bounds the bytes of the body, whatever they are: also those around the parts.

        `started` is told the fields that came before the file, when the file begins.
        """
        self._file_part = file_part
        self._sink = sink
        self._left = limit
        self._started = started
        self.fields: Fields = {}
        self.file_name: str | None = None
        self._text: bytearray | None = None
        self._total = 0
        self._name = ""

    async def receive(self, request: web.Request) -> None:
        """Read the whole body. Raises Invalid for what is no form, TooLarge for fields or a body that are."""
        parser = _parser(request)
        try:
            async for chunk in chunks(request):
                self._measure(len(chunk))
                for event in parser.parse(chunk):
                    await self._take(event)
            parser.close()
        except multipart.MultipartError as error:
            raise Invalid(f"the multipart body is not valid: {error}") from error

    def _measure(self, size: int) -> None:
        if self._left is None:
            return
        self._left -= size
        if self._left < 0:
            raise TooLarge("the request body is too large")

    async def _take(self, event: Any) -> None:
        if event is None:
            if self._text is not None:
                self._end_field(self._text)
        elif isinstance(event, multipart.MultipartSegment):
            self._begin(event)
        elif self._text is None:
            await self._sink.write(event)
        else:
            self._text += event
            self._count(len(event))
            if len(self._text) > MAX_FIELD:
                raise TooLarge(f"the form field {self._name[:100]!r} is too large")

    def _count(self, size: int) -> None:
        self._total += size
        if self._total > MAX_FIELDS:
            raise TooLarge("the fields of the form together are too large")

    def _begin(self, segment: Any) -> None:
        self._name = segment.name
        self._count(len(segment.name) + 64)
        if segment.name != self._file_part:
            self._text = bytearray()
            return
        if self.file_name is not None:
            raise Invalid(f"the form holds {self._file_part!r} twice")
        if segment.filename is None:
            raise Invalid(f"{self._file_part} is invalid")
        self.file_name = segment.filename
        self._text = None
        if self._started is not None:
            self._started(self.fields)

    def _end_field(self, text: bytearray) -> None:
        try:
            self.fields.setdefault(self._name, []).append(text.decode())
        except UnicodeDecodeError:
            # Old sdists carry descriptions in other encodings; what is compared later is ASCII anyway.
            self.fields.setdefault(self._name, []).append(text.decode("latin-1"))


def json_object(body: bytes) -> Mapping[str, Any]:
    """A JSON object. Raises Invalid."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Invalid("Invalid json") from None
    if not isinstance(document, dict):
        raise Invalid("the body must be a JSON object")
    return document
