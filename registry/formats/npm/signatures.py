"""Registry signatures: what vouches that a version is as it was published here, and the keys that verify it.

The form is that of npm's own registry (docs: verifying registry signatures; pacote 21, pnpm 10 and later check it).
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime

from aiohttp import web

from registry import signing
from registry.catalog import Publication
from registry.db.instance import SYSTEM, Author
from registry.db.signing import PublicKey
from registry.errors import NotFound, RegistryError
from registry.formats.npm import packument
from registry.server import responses
from registry.server.context import Context
from registry.services import Services

_KEY_TYPE = "ecdsa-sha2-nistp256"


async def keys(context: Context) -> web.StreamResponse:
    """List the keys that verify registry signatures, those that have expired as well."""
    known = await context.services.lookups.signing_keys()
    if not known:
        # An empty list would make clients miss a signature of every version.
        raise NotFound
    return responses.json({"keys": [_shown(key) for key in known]}, headers={"Cache-Control": "no-cache"})


async def keys_denied(context: Context, _refusal: RegistryError) -> web.StreamResponse:
    """The same answer where there is no project or group: the keys are the instance's, and nobody's secret."""
    return await keys(context)


def signed_text(name: str, version: str, sha512: str) -> str:
    """What a signature is about, for a version whose tarball has this hexadecimal sha512."""
    return f"{name}@{version}:{packument.subresource_integrity(sha512)}"


async def facts(services: Services, publication: Publication) -> dict[str, object]:
    """The signature of a version about to be published, as one of its facts; nothing without a signing key.

    Raises Unavailable when the key has expired.
    """
    configured = services.settings.signing_key
    if configured is None:
        return {}
    key = signing.load(configured.get_secret_value())
    if not signing.is_usable(key, await services.lookups.signing_keys(), datetime.now(UTC)):
        # It was when the server started; the database has been restored to a time before since.
        await signing.register(services.db, Author(SYSTEM), key)
    sha512 = publication.blob.digests.sha512 or ""
    return signing.facts(key.sign(signed_text(publication.name, publication.version, sha512)))


def _shown(key: PublicKey) -> dict[str, str | None]:
    return {
        "expires": None if key.expires_at is None else packument.iso(key.expires_at),
        "keyid": key.id,
        "keytype": _KEY_TYPE,
        "scheme": _KEY_TYPE,
        "key": base64.b64encode(key.public_key).decode(),
    }
