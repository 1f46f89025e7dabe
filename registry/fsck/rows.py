"""Rows against each other: states of blobs, places of files, targets of tags, serials, the change log."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from registry.db import changes, fsck, package_names
from registry.db.changes import Change
from registry.db.connection import Database
from registry.db.fsck import NamePlace
from registry.fsck.findings import Finding, Mode


async def check(db: Database, mode: Mode) -> AsyncGenerator[Finding]:
    """All of it. Listings see one state each, so a publish or a delete under way is never half seen."""
    async for finding in _blobs(db, mode):
        yield finding
    for file in await fsck.list_misfiled(db):
        yield Finding("file-misfiled", "error", f"{_name(file)}: {file.what} belongs to a version of something else")
    for tag in await fsck.list_dangling_tags(db):
        repaired = mode.repair and await _delete_tag(db, tag)
        yield Finding("tag-dangling", "error", f"{_name(tag)}: the tag {tag.what} points at nothing", repaired)
    stale = [*await fsck.list_stale_serials(db), *await fsck.list_stale_indexes(db)]
    for name in stale:
        if mode.repair:
            await _move_serial(db, name)
        what = "has no serial" if name.what == "missing" else "was changed after its serial moved last"
        yield Finding(f"serial-{name.what}", "error", f"{_name(name)} {what}", mode.repair)
    numbers = await fsck.find_change_numbers(db)
    if numbers.number < max(numbers.trimmed, numbers.newest):
        if mode.repair:
            await fsck.raise_change_head(db)
        what = f"the change log is at {numbers.number}, its rows are at {max(numbers.trimmed, numbers.newest)}"
        yield Finding("change-log", "error", what, mode.repair)


async def _blobs(db: Database, mode: Mode) -> AsyncGenerator[Finding]:
    for blob in await fsck.list_unreferenced(db):
        repaired = mode.repair and await fsck.doom_unreferenced(db, blob.id)
        yield Finding("blob-unreferenced", "warning", f"no file refers to {blob.key}, which is stored", repaired)
    for blob in await fsck.list_unstored(db):
        repaired = mode.repair and await fsck.keep_referenced(db, blob.id)
        yield Finding("blob-state", "error", f"a file refers to {blob.key}, which is {blob.state}", repaired)


async def _delete_tag(db: Database, tag: NamePlace) -> bool:
    async with db.transaction() as tx:
        # The row of the name before its tags, as everywhere.
        await package_names.lock_serial(tx, tag.project_id, tag.package_type, tag.normalized_name)
        deleted = await fsck.delete_dangling_tag(tx, tag)
        if deleted:
            await package_names.move_serial(tx, tag.project_id, tag.package_type, tag.normalized_name)
            moved = [Change("name", f"{tag.package_type}:{tag.normalized_name}")]
            await changes.record(tx, moved, project_id=tag.project_id)
    return deleted


async def _move_serial(db: Database, name: NamePlace) -> None:
    """The pages of the name are rendered anew, whatever was remembered of them."""
    async with db.transaction() as tx:
        await package_names.move_serial(tx, name.project_id, name.package_type, name.normalized_name)
        moved = [Change("name", f"{name.package_type}:{name.normalized_name}")]
        await changes.record(tx, moved, project_id=name.project_id)


def _name(place: NamePlace) -> str:
    return f"{place.project}: {place.package_type} {place.normalized_name or 'index'}"
