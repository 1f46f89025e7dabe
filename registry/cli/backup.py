"""`registry backup`: the embedded database and its objects, while the registry runs."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

from registry import __version__, logs
from registry.backups import DATABASE, OBJECTS, Description
from registry.backups.shelves import Shelf, written
from registry.cli import database, output
from registry.cli.errors import CommandError, ConfigurationError
from registry.db import backups, fsck
from registry.db.fsck import StoredBlob
from registry.embedded import find_binaries
from registry.embedded.dumping import dump
from registry.errors import FileNotFound
from registry.settings import Settings
from registry.storage import BlobStore, open_store

PAGE = 1000


def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Write a backup; exit code 1 when objects are missing, which are named."""
    logs.configure("error")
    if settings.database_url is not None:
        raise ConfigurationError(
            "`registry backup` is for the embedded database. Back an external one up with its own tools, before the "
            "bucket: see deploy/BACKUP.md"
        )
    target: Path = arguments.target.absolute()
    try:
        with database.url(settings) as database_url, written(target) as shelf:
            nearby = target if target.is_dir() else target.parent
            made = asyncio.run(_backup(settings, database_url, nearby, shelf))
    except OSError as error:
        raise CommandError(f"the backup cannot be written: {error}") from error
    for key in made.missing:
        output.line(f"missing in the store: {key}")
    output.line(f"{target}: schema {made.schema}, {made.objects} objects, {made.size} bytes")
    return 1 if made.missing else 0


async def _backup(settings: Settings, database_url: str, nearby: Path, shelf: Shelf) -> Description:
    created_at = datetime.now(UTC)
    # In the file system of the backup, so that it can be linked into it.
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=nearby) as directory:
        workshop = Path(directory)
        async with database.opened(settings, database_url) as db, db.snapshot() as tx:
            snapshot = await backups.export_snapshot(tx)
            binaries = find_binaries(settings.postgres_binaries)
            await asyncio.to_thread(dump, binaries, database_url, workshop / DATABASE, snapshot=snapshot)
            schema = await backups.find_schema(tx)
            stored: list[StoredBlob] = []
            while page := await fsck.list_stored(tx, after=stored[-1].id if stored else 0, limit=PAGE):
                stored += page
        await asyncio.to_thread(shelf.add, DATABASE, workshop / DATABASE)
        async with open_store(settings.store_url) as store:
            missing = [blob.key for blob in stored if not await _add(store, blob, shelf, workshop)]
    size = sum(blob.size for blob in stored)
    made = Description(__version__, schema, created_at.isoformat(), len(stored), size, tuple(missing))
    await asyncio.to_thread(shelf.close, made.dump())
    return made


async def _add(store: BlobStore, blob: StoredBlob, shelf: Shelf, workshop: Path) -> bool:
    """Put an object on the shelf; False when the store has not got it whole."""
    try:
        if await store.size(blob.key) != blob.size:
            return False
        source = store.path(blob.key)
        if source is None:
            source = workshop / "object"
            await _fetch(store, blob.key, source)
        await asyncio.to_thread(shelf.add, f"{OBJECTS}/{blob.key}", source)
    except (FileNotFound, FileNotFoundError):
        return False
    (workshop / "object").unlink(missing_ok=True)
    return True


async def _fetch(store: BlobStore, key: str, target: Path) -> None:
    with target.open("wb") as file:
        async with aclosing(store.stream(key)) as pieces:
            async for piece in pieces:
                await asyncio.to_thread(file.write, piece)
