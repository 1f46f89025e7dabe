"""The invariants of a registry, looked up in its rows and objects directly: what no fault may break."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta

from registry import janitor
from registry.janitor import Grace, Step
from registry.model import Project
from registry.services import Services

_NOW = timedelta()
# Whoever was writing is dead, and no backup will be restored.
AT_ONCE = Grace(abandoned=_NOW, unreferenced=_NOW, restore=_NOW)

_FILES = """
SELECT f.file_name, p.version, p.normalized_name, b.key, b.state, b.size, b.sha256,
       p.normalized_name = f.normalized_name AND p.package_type = f.package_type AND p.project_id = f.project_id AS own,
       (SELECT count(*) FROM audit_events AS a
         WHERE a.event_name = 'package_published' AND a.entity_id = f.project_id
           AND (a.details->>'package_id')::bigint = p.id
           AND a.details->>'file_name' = f.file_name AND a.details->>'sha256' = b.sha256) AS published
  FROM package_files AS f JOIN packages AS p ON p.id = f.package_id JOIN blobs AS b ON b.id = f.blob_id
 WHERE $1::bigint IS NULL OR f.project_id = $1
"""
_STRAY_TAGS = """
SELECT t.name FROM tags AS t JOIN packages AS p ON p.id = t.package_id
 WHERE (t.project_id, t.package_type, t.normalized_name) <> (p.project_id, p.package_type, p.normalized_name)
"""
_NAMELESS = """
SELECT p.name FROM packages AS p
 WHERE NOT EXISTS (SELECT 1 FROM package_names AS n
                    WHERE (n.project_id, n.package_type, n.normalized_name)
                        = (p.project_id, p.package_type, p.normalized_name))
"""


async def violations(services: Services, project: Project | None = None) -> list[str]:
    """What is wrong with what is published, anywhere or in one project, at any time: empty when all is well.

    A file has a complete object with its size and digest (I1), is one (I2), and is told of in the audit log (I7); tags
    and serials belong to what is there.
    """
    return [line async for line in _wrong(services, project)]


async def _wrong(services: Services, project: Project | None) -> AsyncIterator[str]:
    db, store = services.db, services.store
    for row in await db.fetch(_FILES, None if project is None else project.id):
        name = f"{row['normalized_name']} {row['version']} {row['file_name']}"
        if row["state"] != "stored" or not row["own"]:
            yield f"{name} refers to a blob that is {row['state']}, or to a package of another name"
        if row["published"] != 1:
            yield f"{name} was published {row['published']} times, says the audit log"
        content = await store.read(row["key"], 0, row["size"] + 1)
        if (len(content), hashlib.sha256(content).hexdigest()) != (row["size"], row["sha256"]):
            yield f"{name} has other content than its row says"
    for row in await db.fetch(_STRAY_TAGS):
        yield f"the tag {row['name']} points at a package of another name"
    for row in await db.fetch(_NAMELESS):
        yield f"{row['name']} has no serial"
    newest = await db.fetchval("SELECT coalesce(max(number), 0) - (SELECT number FROM change_head) FROM changes")
    if newest != 0:
        yield f"the change log and its counter are {newest} apart"


async def left_over(services: Services) -> list[str]:
    """What is stored and nothing refers to, and what is referred to and not stored (I6): empty after a clean-up."""
    states = {row["key"]: row["state"] for row in await services.db.fetch("SELECT key, state FROM blobs")}
    async with aclosing(services.store.list()) as objects:
        keys = {one.key async for one in objects}
    wrong = [f"{key} is {state}" for key, state in states.items() if state != "stored"]
    wrong += [f"{key} is an object without row" for key in sorted(keys - states.keys())]
    wrong += [f"{key} is a row without object" for key in sorted(states.keys() - keys)]
    return wrong + [f"{name} is unfinished" for name in await unfinished(services)]


async def unfinished(services: Services) -> list[str]:
    """Multipart uploads or temporary files that writers left behind."""
    async with aclosing(services.store.unfinished()) as uploads:
        return [upload.key async for upload in uploads]


async def clean(services: Services) -> list[Step]:
    """Everything that a clean-up ever removes, at once."""
    return [step async for step in janitor.sweep(services.db, services.store, AT_ONCE)]
