"""Incoming documents: read within limits, a tarball inside passed on while it arrives."""

from __future__ import annotations

import asyncio

from registry.errors import Invalid
from registry.formats.npm.splitter import DOCUMENT_LIMIT, Split, Splitter
from registry.ingest import Upload
from registry.server import bodies
from registry.server.context import Context

# A packument with all its versions, as deprecating and unpublishing send it back.
EDIT_LIMIT = 32 * 1024 * 1024


async def publication(context: Context, upload: Upload) -> Split:
    """The body of `PUT <name>`; the tarball goes to `upload`. Raises Invalid, TooLarge."""
    limit = context.file_limit
    # Base64 takes four characters for three bytes.
    bodies.check_length(context.request, limit * 4 // 3 + 4 + EDIT_LIMIT)
    splitter = Splitter(document_limit=EDIT_LIMIT if is_deprecation(context) else DOCUMENT_LIMIT)
    async for chunk in bodies.chunks(context.request):
        piece = splitter.feed(chunk)
        if piece:
            await upload.write(piece)
    return await asyncio.to_thread(splitter.finish)


async def document(context: Context) -> dict[str, object]:
    """A body that is a document without a tarball. Raises Invalid, TooLarge, TooBusy."""
    bodies.check_length(context.request, EDIT_LIMIT)
    splitter = Splitter(document_limit=EDIT_LIMIT)
    async with context.services.ingest.room(context.request.content_length):
        async for chunk in bodies.chunks(context.request):
            if splitter.feed(chunk):
                raise Invalid("A tarball is not expected here")
        return (await asyncio.to_thread(splitter.finish)).document


def is_deprecation(context: Context) -> bool:
    """What the header says; npm's newer command sends `undeprecate`. A hint only: the body decides."""
    return context.request.headers.get("npm-command") in {"deprecate", "undeprecate"}
