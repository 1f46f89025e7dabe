"""Publish: the document is split while it arrives, checked, and made visible in one transaction (contract 4.1)."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from aiohttp import web

from registry import catalog, protection
from registry.access import Ability
from registry.catalog import TakenElsewhere
from registry.errors import Conflict, Forbidden, Invalid, NotFound
from registry.formats.npm import coherence, editing, finding, incoming, manifest, publication, signatures
from registry.formats.npm.edits import Edit
from registry.formats.npm.manifest import Manifest
from registry.formats.npm.names import Name
from registry.formats.npm.publication import Publication
from registry.formats.npm.tarball import Inspection
from registry.model import Blob
from registry.server import responses
from registry.server.context import Context
from registry.server.pipeline import confirm

if TYPE_CHECKING:  # it loads libraries that only inspection children need
    from registry.formats.npm.provenance import Provenance

_DIGESTS = frozenset({"sha1", "sha512"})


# What makes a checked version a part of the project, or of a stage; answers whether it was not there already, and what
# the client is told.
Keep = Callable[[Context, catalog.Publication], Awaitable[tuple[bool, dict[str, object]]]]


async def publish(context: Context) -> web.StreamResponse:
    """Publish one version with its tarball; or, without attachments, edit what is there, as to deprecate it."""
    return await receive(context, _publish, edit=editing.edit)


async def receive(
    context: Context, keep: Keep, *, edit: Callable[[Context, Name, Edit], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Take a document, check it and its tarball, and pass it on; one without a tarball is passed to `edit`."""
    name = finding.asked_name(context)
    # The name is known, so who may not publish it need not send anything; the transaction asks again.
    await protection.check(context.services.db, context.actor, context.project, "push", [("npm", name.text)])
    length = context.request.content_length
    async with context.services.ingest.upload(limit=context.file_limit, algorithms=_DIGESTS, length=length) as upload:
        split = await incoming.publication(context, upload)
        parsed = publication.parse(split, name.text, deprecating=incoming.is_deprecation(context))
        if not isinstance(parsed, Publication):
            return await edit(context, name, parsed)
        blob = await upload.finish()
        publication.check_digests(parsed, blob.digests, blob.size)
        inspection = await _inspect(context, parsed, blob)
        stored = manifest.build(parsed, inspection)
        provenance = await _provenance(context, parsed, blob)
        is_new, told = await _put(context, _stored(context, parsed, blob, inspection, stored, provenance), keep)
        if is_new:
            upload.keep()
    return responses.json({**told, "name": parsed.name.text, "version": parsed.version, "ok": True, "success": True})


async def refuse(context: Context) -> web.StreamResponse:
    """Refuse: there is no publishing to a group or the instance (GitLab issue 220985)."""
    context.require(Ability.SIGNED_IN, None)
    raise NotFound


async def _inspect(context: Context, parsed: Publication, blob: Blob) -> Inspection:
    """What the tarball holds, once it agrees with the manifest."""
    services = context.services
    found = await services.inspector.run("registry.formats.npm.tarball:inspect", services.store, blob.key, blob.size)
    inspection = Inspection(**found)
    strict = context.project.settings.get("npm_validation") == "strict"
    coherence.check(parsed.manifest, inspection, strict_name=strict)
    return inspection


async def _provenance(context: Context, parsed: Publication, blob: Blob) -> Provenance | None:
    """What is kept of the attached provenance, None without one. Raises Invalid, Unavailable."""
    if parsed.provenance is None:
        return None
    found: Provenance = await context.services.inspector.run(
        "registry.formats.npm.provenance:inspect",
        context.services.store,
        blob.key,
        blob.size,
        text=parsed.provenance,
        purl=parsed.name.purl(parsed.version),
        sha512=blob.digests.sha512,
        trust=context.trust,
    )
    return found


def _stored(
    context: Context,
    parsed: Publication,
    blob: Blob,
    inspection: Inspection,
    stored: Manifest,
    provenance: Provenance | None,
) -> catalog.Publication:
    project = context.project
    # A scope that is the root namespace's path makes name and version unique in all of it (contract 4.1).
    follows_convention = parsed.name.scope == project.full_path.partition("/")[0]
    return catalog.Publication(
        package_type="npm",
        name=parsed.name.text,
        normalized_name=parsed.name.text,
        version=parsed.version,
        file_name=parsed.name.stored_file_name(parsed.version),
        blob=blob,
        one_file=True,
        # What npm repeats when it retries the very same publish. Without it no publish is taken for a retry.
        session=context.request.headers.get("npm-session") or secrets.token_hex(16),
        manifest=stored.full.decode(),
        abbreviated=stored.abbreviated.decode(),
        readme=parsed.readme,
        deprecated=parsed.deprecated,
        provenance=provenance["text"] if provenance else None,
        facts={
            "file_count": inspection.file_count,
            "unpacked_size": inspection.unpacked_size,
            "publisher": context.actor.username,
            **({"attestations": [provenance["attestation"]]} if provenance else {}),
        },
        tags=parsed.tags,
        unique_below=project.ancestry[0] if follows_convention else None,
    )


async def _publish(context: Context, stored: catalog.Publication) -> tuple[bool, dict[str, object]]:
    published = await catalog.publish(context.services.db, context.author, context.project, stored)
    row = {"id": published.package_id, "project_id": context.project.id, "package_type": "npm", "status": "default"}
    return published.outcome == "created", row


async def _put(context: Context, stored: catalog.Publication, keep: Keep) -> tuple[bool, dict[str, object]]:
    await confirm(context, Ability.CREATE_PACKAGE)
    stored = replace(stored, facts={**stored.facts, **await signatures.facts(context.services, stored)})
    try:
        return await keep(context, stored)
    except TakenElsewhere as error:
        raise Invalid("Validation failed: Package already exists") from error
    except Conflict as error:
        # GitLab's sentence first, then the one that release tools look for (npm.md, A.4).
        raise Forbidden(
            f"Package already exists. You cannot publish over the previously published version: {stored.version}."
        ) from error
