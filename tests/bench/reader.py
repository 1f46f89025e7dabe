"""What uploads are compared with: aiohttp reading a body, and nothing else."""

from __future__ import annotations

from aiohttp import web


async def read(request: web.Request) -> web.Response:
    """Count the bytes of the body."""
    size = 0
    while chunk := await request.content.readany():
        size += len(chunk)
    return web.json_response({"size": size}, status=201)


def make_app() -> web.Application:
    """POST anywhere."""
    app = web.Application(client_max_size=0)
    app.router.add_post("/{path:.*}", read)
    return app
