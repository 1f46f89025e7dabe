"""Upload: twine's form becomes a file of a package (contract 3.1 to 3.3)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
from aiohttp import web

from registry import catalog, staging
from registry.access import Ability
from registry.errors import Forbidden, Invalid
from registry.formats.pypi import metadata, publication, validation
from registry.formats.pypi.metadata import Inspection
from registry.formats.pypi.names import same_version
from registry.formats.pypi.publication import Publication
from registry.formats.pypi.validation import Strictness
from registry.model import Blob, Digests
from registry.server import bodies, responses
from registry.server.context import Context
from registry.server.pipeline import confirm

if TYPE_CHECKING:  # it loads libraries that only inspection children need
    from registry.formats.pypi.attestations import Attested

# What the management API shows of a file, sha1 excepted: no PyPI client declares it, and it would cost a fourth pass.
_DIGESTS = frozenset({"sha256", "md5"})


# What makes a checked file a part of the project, or of a stage; answers whether it was not there already.
Keep = Callable[[Context, catalog.Publication], Awaitable[bool]]


async def upload(context: Context) -> web.StreamResponse:
    """Upload a file. Identical bytes under the same file name succeed again and change nothing."""
    return await receive(context, _publish)


async def receive(context: Context, keep: Keep) -> web.StreamResponse:
    """Take a form, check it and its file, and pass it on."""
    services = context.services
    # distutils and old scripts put it into the query.
    publication.check_action(context.request.query.get(":action"))
    limit = context.file_limit
    bodies.check_length(context.request, limit, beside=bodies.MAX_FIELDS)
    async with services.ingest.upload(
        limit=limit, algorithms=_DIGESTS, length=context.request.content_length
    ) as incoming:

        def started(fields: bodies.Fields) -> None:
            if "blake2_256_digest" in fields:
                incoming.also("blake2b_256")

        form = bodies.Form("content", incoming, limit=limit + bodies.MAX_FIELDS, started=started)
        await form.receive(context.request)
        publication.check_action(next(iter(form.fields.get(":action", ())), None))
        declared = publication.parse(form.fields, form.file_name)
        blob = await incoming.finish()
        publication.check_digests(declared, await _with_blake2b(context, declared, blob))
        await confirm(context, Ability.CREATE_PACKAGE)
        project = context.project
        strictness = Strictness(project.settings.get("pypi_validation", "basic"))
        inspection = await _inspect(context, declared, blob, strictness)
        validation.check(declared, inspection, strictness)
        attested = await _attested(context, declared, blob)
        try:
            is_new = await keep(context, _publication(declared, inspection, blob, attested))
        except (catalog.Staged, staging.Closed) as error:
            # Not 409, which twine, poetry and pdm with --skip-existing take for done.
            raise Forbidden(error.text) from error
        if is_new:
            incoming.keep()
    return responses.json({"message": "201 Created"}, status=201)


async def _publish(context: Context, stored: catalog.Publication) -> bool:
    published = await catalog.publish(
        context.services.db, context.author, context.project, stored, same_version=same_version
    )
    return published.outcome == "created"


async def _with_blake2b(context: Context, declared: Publication, blob: Blob) -> Digests:
    """The digests, completed by reading the object again where blake2b was declared only after the file had passed."""
    if declared.declared.blake2b_256 is None or blob.digests.blake2b_256 is not None:
        return blob.digests
    digest = hashlib.blake2b(digest_size=32)
    async with aclosing(context.services.store.stream(blob.key)) as pieces:
        async for piece in pieces:
            await asyncio.to_thread(digest.update, piece)
    return replace(blob.digests, blake2b_256=digest.hexdigest())


async def _inspect(context: Context, declared: Publication, blob: Blob, strictness: Strictness) -> Inspection | None:
    """What the archive says of itself. At the basic level an unsound one is stored, but nothing is taken from it."""
    services = context.services
    try:
        found: Inspection = await services.inspector.run(
            "registry.formats.pypi.metadata:inspect",
            services.store,
            blob.key,
            blob.size,
            file_name=declared.file_name,
            strict=strictness is Strictness.STRICT,
        )
    except Invalid:
        if strictness is Strictness.BASIC:
            return None
        raise
    return found


async def _attested(context: Context, declared: Publication, blob: Blob) -> Attested | None:
    """What the form's attestations say of the file, None without them. Raises Invalid, Unavailable."""
    if declared.attestations is None:
        return None
    found: Attested = await context.services.inspector.run(
        "registry.formats.pypi.attestations:inspect",
        context.services.store,
        blob.key,
        blob.size,
        text=declared.attestations,
        file_name=declared.file_name,
        sha256=blob.digests.sha256,
        trust=context.trust,
    )
    return found


def _publication(
    declared: Publication, inspection: Inspection | None, blob: Blob, attested: Attested | None
) -> catalog.Publication:
    core_metadata: bytes | None = None
    if inspection is not None and inspection["offers_core_metadata"] and validation.is_trusted(declared, inspection):
        core_metadata = metadata.core_metadata_bytes(inspection)
    return catalog.Publication(
        package_type="pypi",
        name=declared.name,
        normalized_name=declared.normalized_name,
        version=declared.version,
        file_name=declared.file_name,
        blob=blob,
        one_file=False,
        requires_python=validation.requires_python(declared, inspection),
        manifest=orjson.dumps(dict(declared.metadata)).decode(),
        core_metadata=core_metadata,
        core_metadata_sha256=hashlib.sha256(core_metadata).hexdigest() if core_metadata else None,
        provenance=attested["provenance"] if attested else None,
        facts={"attestations": attested["attestations"]} if attested else {},
    )
