"""Files: the bytes of stored objects, redirected to the store or sent from here."""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from aiohttp import web
from multidict import CIMultiDict

from registry import documents
from registry.db.package_files import FileRow
from registry.errors import FileNotFound, RegistryError, Unavailable
from registry.server.content import BINARY, Answers
from registry.server.context import Context
from registry.server.finished import Finished, can_finish
from registry.server.parameters import Parameter
from registry.server.responses import CONDITIONS
from registry.server.sending import sendfile
from registry.storage.presign import content_disposition

# What a route that answers with `send` tells the OpenAPI document.
HEADERS = (
    *CONDITIONS,
    Parameter("Range", description="one range of bytes: `bytes=0-99`"),
    Parameter("If-Range", description="ETag of the file that the range is meant of"),
)
ANSWERS: Answers = {200: BINARY, 206: BINARY, 302: None, 304: None, 416: None}

# For what lies under the digest of its content.
IMMUTABLE = "private, max-age=31536000, immutable"

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
# Up to this size a file is read whole: cheaper than setting sendfile up.
_SMALL = 256 * 1024
# Linux alone reads what is in memory and nothing else; not every C library lets it be asked.
_NOWAIT: int | None = getattr(os, "RWF_NOWAIT", None)
# How long a redirect is answered again without asking; far below what presigned URLs live.
_REDIRECT_SECONDS = 60

_TOO_SHORT = "the object store holds less of the file than there should be"


async def send(context: Context, file: FileRow) -> web.StreamResponse:
    """The file: redirected to the store where that is safe, else sent from here.

    HEAD and ranged requests are always answered here: uv does not follow a redirect for them and pip's lazy wheels
    crash on one (pypi.md, B.3).
    """
    request, services = context.request, context.services
    name = file.file_name.rpartition("/")[2]
    plain = request.method == "GET" and "Range" not in request.headers
    if plain:
        services.usage.downloaded(file.package_id)
        if services.redirects and not _at_home(context):
            url = services.store.presign(file.key, file_name=name, now=datetime.now(UTC))
            if url is not None:
                return _redirect(request, url, file)
    etag = f'"{file.sha256}"'
    headers = CIMultiDict({
        "ETag": etag,
        "Cache-Control": IMMUTABLE,
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
        "Content-Disposition": content_disposition(name),
        "X-Content-Type-Options": "nosniff",
    })  # fmt: skip
    if_none_match = request.headers.get("If-None-Match")
    if if_none_match is not None and documents.matches(if_none_match, etag):
        return web.Response(status=304, headers=headers)
    span = None if plain else _range(request, file.size, etag)
    start, end = span or (0, file.size)
    if span is not None:
        if start >= end:
            headers["Content-Range"] = f"bytes */{file.size}"
            return web.Response(status=416, headers=headers)
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size}"
    status = 206 if span else 200
    if request.method == "HEAD":
        return await _head(context, file, web.StreamResponse(status=status, headers=headers), end - start)
    path = services.store.path(file.key)
    if path is None:
        return await _stream(context, file, web.StreamResponse(status=status, headers=headers), start, end)
    return await _local(request, path, status, headers, start, end)


def _at_home(context: Context) -> bool:
    """Whether the request came in by a mount on the very host of the store, where npm would send its token along."""
    mount = context.mount
    return mount is not None and urlsplit(context.base_url).hostname == context.services.store.public_host


def _redirect(request: web.Request, url: str, file: FileRow) -> web.StreamResponse:
    document = documents.redirect(url)
    if can_finish(request):
        until = datetime.now(UTC) + timedelta(seconds=_REDIRECT_SECONDS)
        return Finished(document, status=document.status, valid_until=until, package_id=file.package_id)
    return web.Response(status=document.status, headers=document.headers)


async def _head(context: Context, file: FileRow, response: web.StreamResponse, length: int) -> web.StreamResponse:
    if await context.services.store.size(file.key) != file.size:
        raise FileNotFound
    response.content_length = length
    await response.prepare(context.request)
    return response


async def _local(
    request: web.Request, path: Path, status: int, headers: CIMultiDict[str], start: int, end: int
) -> web.StreamResponse:
    """From the local directory: small files whole, large ones by the kernel where the loop can."""
    loop = asyncio.get_running_loop()
    try:
        if end - start <= _SMALL:
            body = _read_cached(path, start, end - start)
            if body is None:
                body = await loop.run_in_executor(None, _read_whole, path, start, end - start)
            if len(body) < end - start:
                raise Unavailable(_TOO_SHORT)
            return web.Response(body=body, status=status, headers=headers)
        file = await loop.run_in_executor(None, path.open, "rb")
    except FileNotFoundError as error:
        raise FileNotFound("404 the file is listed but its content is missing") from error
    except OSError as error:
        raise Unavailable("the object store cannot be read") from error
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = end - start
    with file:
        await response.prepare(request)
        await sendfile(request, file, start, end)
    return response


def _read_cached(path: Path, start: int, length: int) -> bytes | bytearray | None:
    """What the kernel has in memory, without waiting; None for what it must fetch. A thread would cost a third more."""
    if _NOWAIT is None:
        return None
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        content = bytearray(length)
        return content if os.preadv(descriptor, [content], start, _NOWAIT) == length else None
    except (OSError, NotImplementedError):  # EAGAIN, or a file system or kernel that cannot say
        return None
    finally:
        os.close(descriptor)


def _read_whole(path: Path, start: int, length: int) -> bytes:
    with path.open("rb") as file:
        return _read(file, start, length)


def _read(file: BinaryIO, start: int, length: int) -> bytes:
    file.seek(start)
    return file.read(length)


async def _stream(
    context: Context, file: FileRow, response: web.StreamResponse, start: int, end: int
) -> web.StreamResponse:
    """From a store without local files, passing pieces on as the client takes them."""
    response.content_length = end - start
    async with aclosing(context.services.store.stream(file.key, start, end - start)) as pieces:
        first = await anext(pieces, b"")  # an absent object is found out before the head is sent
        await response.prepare(context.request)
        try:
            if first:
                await response.write(first)
                start += len(first)
            async for piece in pieces:
                await response.write(piece)
                start += len(piece)
        except RegistryError as error:
            # The head is out: an answer about the error would end up in the middle of the file.
            raise ConnectionResetError("the object store failed in the middle of a file") from error
    if start < end:
        # What came next on this connection would be taken for the rest.
        raise ConnectionResetError(_TOO_SHORT)
    return response


def _range(request: web.Request, size: int, etag: str) -> tuple[int, int] | None:
    """The one range asked for as [start, end), clamped; start >= end when it lies outside; None when there is none.

    Several ranges, unknown units and methods other than GET are answered with the whole (RFC 9110, section 14.2).
    """
    asked = request.headers.get("Range")
    if asked is None or request.method != "GET":
        return None
    if_range = request.headers.get("If-Range")
    if if_range is not None and if_range != etag:
        return None
    match = _RANGE.fullmatch(asked.strip())
    if match is None or match[0] == "bytes=-":
        return None
    if match[1] == "":
        return (max(0, size - int(match[2])), size) if int(match[2]) else (size, size)
    start = int(match[1])
    end = min(size, int(match[2]) + 1) if match[2] else size
    if match[2] and int(match[2]) < start:
        return None
    return (start, end) if start < size else (size, size)
