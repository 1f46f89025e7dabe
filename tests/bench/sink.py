"""An object store that forgets: it speaks S3 as far as uploads need it, and keeps of every object its size alone."""

from __future__ import annotations

import re
import secrets

from aiohttp import web

_RANGE = re.compile(r"bytes=(\d+)-(\d+)")


class Sink:
    """Objects by path, and unfinished uploads by id: sizes in bytes."""

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}
        self._parts: dict[str, dict[str, int]] = {}

    async def put(self, request: web.Request) -> web.Response:
        """PutObject and UploadPart."""
        size = 0
        while chunk := await request.content.readany():
            size += len(chunk)
        upload = request.query.get("uploadId")
        if upload is None:
            self._sizes[request.path] = size
        else:
            self._parts[upload][request.query["partNumber"]] = size
        return web.Response(headers={"ETag": f'"{secrets.token_hex(16)}"'})

    async def post(self, request: web.Request) -> web.Response:
        """CreateMultipartUpload and CompleteMultipartUpload."""
        await request.read()
        upload = request.query.get("uploadId")
        if upload is None:
            upload = secrets.token_hex(16)
            self._parts[upload] = {}
            return _xml("InitiateMultipartUploadResult", f"<UploadId>{upload}</UploadId>")
        self._sizes[request.path] = sum(self._parts.pop(upload).values())
        return _xml("CompleteMultipartUploadResult", f'<ETag>"{secrets.token_hex(16)}"</ETag>')

    async def get(self, request: web.Request) -> web.Response:
        """GetObject and HeadObject: as many bytes as there were, of no meaning to any reader of archives."""
        size = self._sizes.get(request.path)
        if size is None:
            return web.Response(status=404)
        asked = _RANGE.fullmatch(request.headers.get("Range", ""))
        start, end = (int(asked[1]), min(size, int(asked[2]) + 1)) if asked else (0, size)
        headers = {"Content-Range": f"bytes {start}-{end - 1}/{size}", "ETag": '"of anything"'}
        if request.method == "HEAD":
            return web.Response(headers={**headers, "Content-Length": str(size)})
        return web.Response(body=b"x" * (end - start), status=206 if asked else 200, headers=headers)

    async def delete(self, request: web.Request) -> web.Response:
        """DeleteObject and AbortMultipartUpload."""
        if request.query.get("uploadId") is None:
            self._sizes.pop(request.path, None)
        else:
            self._parts.pop(request.query["uploadId"], None)
        return web.Response(status=204)


def _xml(name: str, content: str) -> web.Response:
    space = "http://s3.amazonaws.com/doc/2006-03-01/"
    text = f'<?xml version="1.0" encoding="UTF-8"?><{name} xmlns="{space}">{content}</{name}>'
    return web.Response(text=text, content_type="application/xml")


def make_app() -> web.Application:
    """Any bucket, any key, any credentials."""
    app, sink = web.Application(client_max_size=0), Sink()
    app.router.add_get("/{path:.*}", sink.get)
    app.router.add_put("/{path:.*}", sink.put)
    app.router.add_post("/{path:.*}", sink.post)
    app.router.add_delete("/{path:.*}", sink.delete)
    return app
