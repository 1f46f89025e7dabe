"""Seeds: projects with many packages, through the kernel or, where that takes too long, straight into the tables."""

from __future__ import annotations

import hashlib

import orjson

from registry import accounts, catalog, tree
from registry.access import SYSTEM
from registry.db import blobs
from registry.db.connection import Database
from registry.db.instance import Author
from registry.formats.npm import names
from registry.model import Blob, Digests, Project

TOKEN = "glpat-token-of-the-benchmarks"
OPERATOR = Author(SYSTEM)
_PIECE = 50_000


async def project(db: Database, path: str) -> Project:
    """A private project in a group of its own; its root token is `TOKEN`."""
    await accounts.ensure_root(db, TOKEN)
    group = await tree.create_group(db, OPERATOR, name=path, path=path)
    return await tree.create_project(db, OPERATOR, namespace=group, name=path, path="project")


async def blob(db: Database, unique: str, size: int = 1000) -> Blob:
    """The row of a stored object; there is no object."""
    text = hashlib.sha512(unique.encode()).hexdigest()
    key = f"{text[:2]}/{text[2:4]}/{text[:32]}"
    blob_id = await blobs.open_blob(db, key)
    digests = Digests(sha256=text[:64], md5=text[:32], sha1=text[:40], sha512=text)
    await blobs.complete(db, blob_id, size, digests)
    return Blob(blob_id, key, size, digests)


async def pypi_files(db: Database, home: Project, name: str, count: int, *, first: int = 0) -> None:
    """`count` releases of one wheel each."""
    for number in range(first, first + count):
        version = f"1.{number}"
        publication = catalog.Publication(
            package_type="pypi",
            name=name,
            normalized_name=name,
            version=version,
            file_name=f"{name}-{version}-py3-none-any.whl",
            blob=await blob(db, f"{home.id}/{name}/{version}"),
            one_file=False,
            requires_python=">=3.9",
        )
        await catalog.publish(db, OPERATOR, home, publication)


def manifest(name: str, version: str) -> bytes:
    """About 860 bytes, as the manifests of measured packages are."""
    return orjson.dumps(
        {
            "name": name,
            "version": version,
            "description": "a package of the benchmark, with a description of the usual length",
            "main": "index.js",
            "license": "MIT",
            "engines": {"node": ">=18"},
            "dependencies": {f"dependency-{n}": f"^{n}.{len(version)}.0" for n in range(12)},
            "devDependencies": {f"development-{n}": f"~{n}.1.0" for n in range(8)},
            "scripts": {"test": "node test.js", "build": "tsc -p ."},
            "_id": f"{name}@{version}",
        }
    )


async def npm_versions(db: Database, home: Project, name: str, count: int, *, first: int = 0) -> None:
    """`count` versions."""
    parsed = names.parse(name)
    for number in range(first, first + count):
        version = f"1.{number // 50}.{number % 50}"
        text = manifest(name, version).decode()
        publication = catalog.Publication(
            package_type="npm",
            name=name,
            normalized_name=name,
            version=version,
            file_name=parsed.file_name(version, canonical=False),
            blob=await blob(db, f"{home.id}/{name}/{version}"),
            one_file=True,
            session=version,
            manifest=text,
            abbreviated=text,
            facts={"file_count": 12, "unpacked_size": 34567, "publisher": "root"},
            tags=("latest",),
        )
        await catalog.publish(db, OPERATOR, home, publication)


async def many_names(db: Database, home: Project, count: int) -> None:
    """`count` PyPI names of one version each, for indexes and full tables; rows only, in a few statements."""
    # In pieces: a statement may take so long before the database counts as away.
    for first in range(1, count + 1, _PIECE):
        last = min(first + _PIECE - 1, count)
        await db.execute(
            """
            INSERT INTO package_names (project_id, package_type, normalized_name)
            SELECT $1, 'pypi', 'bulk-' || n FROM generate_series($2::int, $3::int) AS n ON CONFLICT DO NOTHING
            """,
            home.id,
            first,
            last,
        )
        await db.execute(
            """
            INSERT INTO packages (project_id, package_type, name, normalized_name, version)
            SELECT $1, 'pypi', 'bulk-' || n, 'bulk-' || n, '1.0' FROM generate_series($2::int, $3::int) AS n
            ON CONFLICT DO NOTHING
            """,
            home.id,
            first,
            last,
        )
    await db.execute("ANALYZE packages")
    await db.execute("ANALYZE package_names")
