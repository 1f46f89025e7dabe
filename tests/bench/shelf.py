"""An object store that keeps what it is given: S3 as far as publishing and reading back need it.

Parts are files without a name, so that nothing remains however the process ends.
"""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from collections.abc import AsyncIterator
from typing import BinaryIO

from aiohttp import web

_RANGE = re.compile(r"bytes=(\d+)-(\d+)")
_PIECE = 1024 * 1024


class Shelf:
    """Objects by path, and unfinished uploads by id: the files that hold their parts, in order."""

    def __init__(self) -> None:
        self._objects: dict[str, list[BinaryIO]] = {}
        self._uploads: dict[str, dict[int, BinaryIO]] = {}

    async def put(self, request: web.Request) -> web.Response:
        """PutObject and UploadPart."""
        file: BinaryIO = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  kept open
        while chunk := await request.content.readany():
            file.write(chunk)
        upload = request.query.get("uploadId")
        if upload is None:
            self._objects[request.path] = [file]
        else:
            self._uploads[upload][int(request.query["partNumber"])] = file
        return web.Response(headers={"ETag": f'"{secrets.token_hex(8)}"'})

    async def post(self, request: web.Request) -> web.Response:
        """CreateMultipartUpload and CompleteMultipartUpload."""
        await request.read()
        upload = request.query.get("uploadId")
        if upload is None:
            upload = secrets.token_hex(8)
            self._uploads[upload] = {}
            return _xml("InitiateMultipartUploadResult", f"<UploadId>{upload}</UploadId>")
        self._objects[request.path] = [file for _, file in sorted(self._uploads.pop(upload).items())]
        return _xml("CompleteMultipartUploadResult", f'<ETag>"{upload}"</ETag>')

    async def get(self, request: web.Request) -> web.StreamResponse:
        """GetObject and HeadObject."""
        parts = self._objects.get(request.path)
        if parts is None:
            return web.Response(status=404)
        size = sum(_size(file) for file in parts)
        asked = _RANGE.fullmatch(request.headers.get("Range", ""))
        start, end = (int(asked[1]), min(size, int(asked[2]) + 1)) if asked else (0, size)
        response = web.StreamResponse(status=206 if asked else 200)
        response.headers["ETag"] = '"kept"'
        if asked:
            response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        response.content_length = end - start
        await response.prepare(request)
        if request.method == "GET":
            async for piece in _read(parts, start, end):
                await response.write(piece)
        return response

    async def delete(self, request: web.Request) -> web.Response:
        """DeleteObject and AbortMultipartUpload."""
        upload = request.query.get("uploadId")
        gone = self._objects.pop(request.path, []) if upload is None else self._uploads.pop(upload, {}).values()
        for file in gone:
            file.close()
        return web.Response(status=204)


async def _read(parts: list[BinaryIO], start: int, end: int) -> AsyncIterator[bytes]:
    before = 0
    for file in parts:
        size = _size(file)
        at, stop = max(start - before, 0), min(end - before, size)
        before += size
        while at < stop:
            piece = os.pread(file.fileno(), min(_PIECE, stop - at), at)
            at += len(piece)
            yield piece


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def _xml(name: str, content: str) -> web.Response:
    space = "http://s3.amazonaws.com/doc/2006-03-01/"
    text = f'<?xml version="1.0" encoding="UTF-8"?><{name} xmlns="{space}">{content}</{name}>'
    return web.Response(text=text, content_type="application/xml")


def make_app() -> web.Application:
    """Any bucket, any key, any credentials."""
    app, shelf = web.Application(client_max_size=0), Shelf()
    app.router.add_get("/{path:.*}", shelf.get)
    app.router.add_put("/{path:.*}", shelf.put)
    app.router.add_post("/{path:.*}", shelf.post)
    app.router.add_delete("/{path:.*}", shelf.delete)
    return app
