"""Packages for tests of the management API: rows as a publish makes them, without the bytes."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence

from registry import catalog
from registry.db import blobs
from registry.db.instance import Author
from registry.model import Blob, Digests, Project
from registry.services import Services
from tests.people import OPERATOR

_numbers = itertools.count(1)


async def a_blob(services: Services, size: int) -> Blob:
    """The row of a stored object; its digests are those of nothing that exists."""
    text = hashlib.sha512(str(next(_numbers)).encode()).hexdigest()
    key = f"{text[:2]}/{text[2:34]}"
    digests = Digests(sha256=text[:64], md5=text[:32], sha1=text[:40], sha512=text)
    blob_id = await blobs.open_blob(services.db, key)
    await blobs.complete(services.db, blob_id, size, digests)
    return Blob(blob_id, key, size, digests)


async def publish(
    services: Services,
    project: Project,
    name: str = "demo",
    version: str = "1.0",
    *,
    package_type: str = "pypi",
    file_name: str = "",
    tags: Sequence[str] = (),
    size: int = 7,
    author: Author = OPERATOR,
) -> int:
    """Publish a file of a version; answers the package's id."""
    publication = catalog.Publication(
        package_type=package_type,
        name=name,
        normalized_name=services.normalize(package_type, name),
        version=version,
        file_name=file_name or f"{name}-{version}.tar.gz",
        blob=await a_blob(services, size),
        one_file=False,
        manifest="{}",
        abbreviated="{}",
        tags=tags,
    )
    return (await catalog.publish(services.db, author, project, publication)).package_id
