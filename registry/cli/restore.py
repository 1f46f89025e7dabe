"""`registry restore`: a backup becomes the data of a new registry."""

from __future__ import annotations

import argparse
import asyncio
import shutil
from pathlib import Path

from registry import backups as kept
from registry import fsck, logs
from registry.backups import DESCRIPTION, OBJECTS, Description
from registry.backups.shelves import Source
from registry.cli import checking, database, output
from registry.cli.errors import CommandError, ConfigurationError
from registry.db import backups
from registry.db.migrate import available, migrate
from registry.embedded import EmbeddedPostgres, find_binaries
from registry.embedded.dumping import restore
from registry.errors import Conflict
from registry.settings import Settings
from registry.storage import BlobStore, open_store

PIECE = 1024 * 1024
STAGE = ".restoring"


def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Restore into an empty data directory; with `--verify` exit code 1 when fsck finds anything in the result."""
    logs.configure("error")
    if settings.database_url is not None:
        raise ConfigurationError(
            "`registry restore` is for the embedded database. Restore an external one with its own tools, then run "
            "`registry restored`: see deploy/BACKUP.md"
        )
    home = settings.data_dir.absolute()
    if home.exists() and any(path.name != STAGE for path in home.iterdir()):
        raise ConfigurationError(f"{home} is not empty: a backup is restored into a new data directory only")
    source = Source(arguments.source)
    try:
        with source.read(DESCRIPTION) as file:
            description = kept.parse(file.read())
        if description.schema > len(available()):
            raise CommandError(
                f"the backup has schema {description.schema}, this release knows {len(available())}: "
                "restore it with the release that made it, or a later one"
            )
        return _restore(settings, home, source, description, verify=arguments.verify)
    except OSError as error:
        raise CommandError(f"the backup cannot be restored: {error}") from error
    finally:
        source.close()


def run_restored(settings: Settings, arguments: argparse.Namespace) -> int:
    """Move the change log and the serials beyond what was given out before an external database was restored."""
    del arguments
    logs.configure("error")
    with database.url(settings) as database_url:
        asyncio.run(_leap(settings, database_url))
    output.line("every replica forgets what it knew; run `registry fsck` before `registry gc` or `fsck --repair`")
    return 0


def _restore(settings: Settings, home: Path, source: Source, description: Description, *, verify: bool) -> int:
    """Make everything in a stage beside its place, and move it there when it is complete."""
    stage = home / STAGE
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    try:
        found = _fill(settings, stage, source, verify=verify)
        for name in (OBJECTS, "postgres"):
            if (stage / name).exists():
                (stage / name).rename(home / name)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    output.line(f"{home}: as of {description.created_at}, {description.objects - len(description.missing)} objects")
    return 1 if found or description.missing else 0


def _fill(settings: Settings, stage: Path, source: Source, *, verify: bool) -> int:
    """Database, then objects; answers how much was found wrong with them."""
    staged = settings.model_copy(update={"data_dir": stage})
    dumped = stage / "database.dump"
    source.copy_database(dumped)
    with EmbeddedPostgres.start(database.home(staged), binaries=settings.postgres_binaries) as server:
        restore(find_binaries(settings.postgres_binaries), server.url, dumped)
        dumped.unlink()
        asyncio.run(migrate(server.url))
        asyncio.run(_leap(staged, server.url))
        asyncio.run(_copy_objects(staged, source))
        if not verify:
            return 0
        return asyncio.run(checking.check(staged, server.url, fsck.Mode(deep=True)))


async def _leap(settings: Settings, database_url: str) -> None:
    # A connection of its own, without the pool's time-outs: every name is written.
    connection = await database.connect(database.direct_url(settings, database_url))
    try:
        await database.check_schema(connection)
        async with connection.transaction():
            await backups.leap(connection)
    finally:
        await connection.close(timeout=database.CONNECT_SECONDS)


async def _copy_objects(settings: Settings, source: Source) -> None:
    try:
        async with open_store(settings.store_url) as store:
            for key in source.keys():  # noqa: SIM118
                await _copy(store, source, key)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


async def _copy(store: BlobStore, source: Source, key: str) -> None:
    """Put an object into the store; one that is there already stays, as keys never mean two contents."""
    writer = store.writer(key)
    try:
        with source.read(f"{OBJECTS}/{key}") as file:
            while piece := await asyncio.to_thread(file.read, PIECE):
                await writer.write(piece)
        await writer.commit()
    except Conflict:
        return
    finally:
        await writer.abort()
