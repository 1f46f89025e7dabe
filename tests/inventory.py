"""The whole visible and invisible state of a registry: what a test compares when nothing may have changed."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from registry.services import Services


@dataclass(frozen=True, slots=True)
class Inventory:
    """Files as (name, version, file name), blobs as (key, state), objects by key; each sorted."""

    files: tuple[tuple[str, str, str], ...] = ()
    packages: tuple[tuple[str, str], ...] = ()
    blobs: tuple[tuple[str, str], ...] = ()
    objects: tuple[str, ...] = ()


EMPTY = Inventory()


async def take(services: Services) -> Inventory:
    """Look at the tables and list the store."""
    db = services.db
    rows = await db.fetch(
        "SELECT p.name, p.version, f.file_name FROM package_files AS f JOIN packages AS p ON p.id = f.package_id"
        " ORDER BY p.id, f.id"
    )
    files = [(row["name"], row["version"], row["file_name"]) for row in rows]
    rows = await db.fetch("SELECT name, version FROM packages ORDER BY name, version")
    packages = [(row["name"], row["version"]) for row in rows]
    rows = await db.fetch("SELECT key, state FROM blobs ORDER BY key")
    blobs = [(row["key"], row["state"]) for row in rows]
    async with aclosing(services.store.list()) as objects:
        keys = [one.key async for one in objects]
    return Inventory(tuple(files), tuple(packages), tuple(blobs), tuple(keys))


def root_of(services: Services) -> Path:
    """The directory of the local store."""
    file = services.store.path("0")
    assert file is not None
    return file.parent
