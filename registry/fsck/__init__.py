"""A check of everything that is stored: rows against objects, rows against each other, and what formats make of them.

It reads while the registry runs. What it finds it says as a `Finding`; with `repair` it mends what can be mended
without losing anything: it never deletes a package, a file or a row whose object is missing, and an object goes only
when no row knows it, it is old, and nothing hints at a database that was restored or belongs to another store.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from registry.db.connection import Database
from registry.fsck import names, objects, rows
from registry.fsck.findings import MIN_AGE, Examine, Finding, Mode, StoredName
from registry.storage import BlobStore

__all__ = ["MIN_AGE", "Examine", "Finding", "Mode", "StoredName", "run"]


async def run(
    db: Database, store: BlobStore, examine: Mapping[str, Examine], mode: Mode | None = None
) -> AsyncGenerator[Finding]:
    """Check everything. `examine` is by package type. Raises Unavailable when the database or the store is away."""
    mode = mode or Mode()
    for check in (
        rows.check(db, mode),
        names.check(db, examine),
        objects.check_rows(db, store, mode),
        objects.check_store(db, store, mode),
    ):
        async with aclosing(check) as findings:
            async for finding in findings:
                yield finding
