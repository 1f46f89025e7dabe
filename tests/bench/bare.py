"""Bare aiohttp that answers what is kept: `python bare.py PORT LOOP DIRECTORY`, LOOP being `uvloop` or `asyncio`.

The directory holds `index.json`, a list of path, status, headers and body, a file beside it; or instead of the body a
`file` that is sent by FileResponse. Everything that can be prepared is; what remains is what any server on aiohttp must
do for such an answer. A POST anywhere reads its body and does nothing with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def answering(status: int, body: bytes, headers: dict[str, str]) -> Handler:
    """A handler that answers `body`, or 304 to who has it."""
    whole = CIMultiDictProxy(CIMultiDict(headers))
    kept = CIMultiDict(headers)
    kept.popall("Content-Type", None)
    kept.popall("Content-Encoding", None)
    not_modified = CIMultiDictProxy(kept)
    etag = whole.get("ETag")

    async def answer(request: web.Request) -> web.Response:
        if etag is not None and request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers=not_modified)
        return web.Response(status=status, body=body, headers=whole)

    return answer


def sending(path: Path, headers: dict[str, str]) -> Handler:
    """A handler that sends a file."""
    # FileResponse makes its own validators.
    kept = CIMultiDictProxy(CIMultiDict({name: value for name, value in headers.items() if name != "ETag"}))

    async def answer(request: web.Request) -> web.FileResponse:
        return web.FileResponse(path, headers=kept)

    return answer


async def read(request: web.Request) -> web.Response:
    """Count the bytes of the body."""
    size = 0
    # An uploader that is ended in the middle of a body is nothing to complain about.
    with contextlib.suppress(ConnectionResetError):
        while chunk := await request.content.readany():
            size += len(chunk)
    return web.json_response({"size": size}, status=201)


async def main(port: int, directory: Path) -> None:
    """Serve until killed."""
    app = web.Application(client_max_size=0)
    for one in json.loads((directory / "index.json").read_bytes()):
        if "file" in one:
            handler = sending(Path(one["file"]), one["headers"])
        else:
            handler = answering(one["status"], (directory / one["body"]).read_bytes(), one["headers"])
        app.router.add_get(one["path"], handler)
    app.router.add_post("/{path:.*}", read)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    _, chosen_port, loop, place = sys.argv
    run = uvloop.run if loop == "uvloop" else asyncio.run
    run(main(int(chosen_port), Path(place)))
