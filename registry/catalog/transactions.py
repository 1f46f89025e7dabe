"""Transactions of the catalog: the places where a test may stop one, locks, and what replicas are told at its end."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence

from registry import failpoints
from registry.db import changes, package_names, packages
from registry.db.changes import Change
from registry.db.connection import Database, Db
from registry.errors import Conflict
from registry.model import Project


class Moved(Conflict):
    """Document update conflict: the package has changed, read it again"""


@contextlib.asynccontextmanager
async def change(db: Database, what: str) -> AsyncIterator[Db]:
    """The transaction of a change, with the places around and in it where a test may stop the server."""
    await failpoints.reach(f"{what}.before-transaction")
    async with db.transaction() as tx:
        yield tx
        await failpoints.reach(f"{what}.before-commit")
    await failpoints.reach(f"{what}.after-commit")


async def lock_name(tx: Db, project: Project, package_type: str, name: str, serial: int | None) -> None:
    """Hold a name until the end of the transaction. Raises Moved unless it is at the serial, where one is given."""
    current = await package_names.lock_serial(tx, project.id, package_type, name)
    if serial is not None and serial != current:
        raise Moved


async def names_of(db: Database, project: Project, package_ids: Sequence[int]) -> list[tuple[str, str]]:
    """The names of some packages, (package type, normalised name), in the order in which their rows are locked.

    Asked outside of the transaction, whose locks on packages must come after those on names; a package keeps its name.
    """
    found = await packages.lock_packages(db, project.id, package_ids)
    return sorted({(package.package_type, package.normalized_name) for package in found})


async def note_moved(tx: Db, project: Project, *names: tuple[str, str], index: bool, listed: bool = False) -> None:
    """Tell every replica which names (package type, normalised name) moved, as the last thing before the commit.

    `index`: names may have appeared or disappeared; `listed`: versions did, or their status changed.
    """
    moved = [Change("name", f"{package_type}:{name}") for package_type, name in names]
    if index:
        for package_type in sorted({package_type for package_type, _ in names}):
            await package_names.move_serial(tx, project.id, package_type, "")
            moved.append(Change("name", f"{package_type}:"))
    if listed:
        moved.append(Change("packages", str(project.id)))
    await changes.record(tx, moved, project_id=project.id)
