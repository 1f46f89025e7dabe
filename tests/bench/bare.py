"""Bare aiohttp that answers kept bytes: `python bare.py PORT LOOP DIRECTORY`, LOOP being `uvloop` or `asyncio`.

The directory holds `index.json`, a list of path, body (a file beside it) and headers. Everything that can be prepared
is; what remains is what any server on aiohttp must do for such an answer.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

Handler = Callable[[web.Request], Awaitable[web.Response]]


def answering(body: bytes, headers: dict[str, str]) -> Handler:
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
        return web.Response(body=body, headers=whole)

    return answer


async def main(port: int, directory: Path) -> None:
    """Serve until killed."""
    app = web.Application()
    for one in json.loads((directory / "index.json").read_bytes()):
        app.router.add_get(one["path"], answering((directory / one["body"]).read_bytes(), one["headers"]))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    _, chosen_port, loop, place = sys.argv
    run = uvloop.run if loop == "uvloop" else asyncio.run
    run(main(int(chosen_port), Path(place)))
