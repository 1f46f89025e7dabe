"""Deleting: packages and files go, and their blobs are left to the janitor."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from registry import protection
from registry.catalog.transactions import change, lock_name, names_of, note_moved
from registry.conditions import require_unmodified
from registry.db import blobs, package_files, package_names, packages
from registry.db.connection import Database
from registry.db.instance import Author, audit
from registry.errors import FileNotFound, NotFound
from registry.model import Project


async def delete_packages(
    db: Database,
    author: Author,
    project: Project,
    package_ids: Sequence[int],
    *,
    serial: int | None = None,
    unmodified_since: datetime | None = None,
) -> None:
    """Delete versions with all their files; gone for every reader at once, their objects later.

    Ids of other projects are not found. Raises NotFound when none of them is here, Forbidden when one is protected,
    Moved when `serial` is given and not the one of their names, PreconditionFailed when one was changed since.
    """
    names = await names_of(db, project, package_ids)
    async with change(db, "delete") as tx:
        await protection.check(tx, author.actor, project, "delete", names)
        for kind, name in names:
            await lock_name(tx, project, kind, name, serial)
        doomed = await packages.lock_packages(tx, project.id, package_ids)
        if not doomed:
            raise NotFound("404 Package Not Found")
        for package in doomed:
            require_unmodified(package.updated_at, unmodified_since)
        ids = [package.id for package in doomed]
        files = await package_files.delete_files(tx, project.id, ids)
        await packages.delete_packages(tx, project.id, ids)
        await blobs.doom(tx, [file.blob_id for file in files])
        for package in doomed:
            await audit(
                tx,
                author,
                "package_deleted",
                project,
                package_id=package.id,
                package_type=package.package_type,
                name=package.name,
                version=package.version,
            )
        for kind, name in names:
            await package_names.move_serial(tx, project.id, kind, name)
        await note_moved(tx, project, *names, index=True, listed=True)


async def delete_file(
    db: Database,
    author: Author,
    project: Project,
    package_id: int,
    file_id: int,
    *,
    unmodified_since: datetime | None = None,
) -> None:
    """Delete one file of a version, which stays even without files, as on GitLab.

    Raises FileNotFound, Forbidden when the name is protected, PreconditionFailed when the file is newer.
    """
    names = await names_of(db, project, [package_id])
    async with change(db, "delete") as tx:
        await protection.check(tx, author.actor, project, "delete", names)
        for kind, name in names:
            await package_names.find_name_status(tx, project.id, kind, name)
        doomed = await packages.lock_packages(tx, project.id, [package_id])
        files = await package_files.delete_files(tx, project.id, [package_id], file_id) if doomed else []
        if not files:
            raise FileNotFound("404 Not found")
        package = doomed[0]
        require_unmodified(files[0].created_at, unmodified_since)
        await blobs.doom(tx, [file.blob_id for file in files])
        await package_names.move_serial(tx, project.id, package.package_type, package.normalized_name)
        await audit(
            tx,
            author,
            "package_file_deleted",
            project,
            package_id=package.id,
            package_type=package.package_type,
            name=package.name,
            version=package.version,
            file_name=files[0].file_name,
        )
        await note_moved(tx, project, *names, index=False)
