"""The database of a command: the configured one, that of a running `serve`, or one started for the command."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg

from registry.cli.errors import CommandError, ConfigurationError
from registry.db.connection import Database, open_database
from registry.db.migrate import available, migrate, outgrown, version
from registry.embedded import EmbeddedPostgres, running_url
from registry.settings import Settings

log = logging.getLogger(__name__)

CONNECT_SECONDS = 5.0
RETRY_SECONDS = 1.0


class SchemaBehind(ConfigurationError):
    """The schema is older than this release's: `registry migrate` is missing, or still at work."""


def home(settings: Settings) -> Path:
    """Where the embedded Postgres lives."""
    return settings.data_dir / "postgres"


@contextlib.contextmanager
def url(settings: Settings) -> Iterator[str]:
    """The URL of the database, for a command; an embedded server runs at least as long as the block.

    Call it before any event loop. Raises EmbeddedError, CommandError.
    """
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    running = running_url(home(settings))
    if running is not None:
        yield running
        return
    with EmbeddedPostgres.start(home(settings), binaries=settings.postgres_binaries) as server:
        asyncio.run(migrate(server.url))
        yield server.url


def direct_url(settings: Settings, database_url: str) -> str:
    """The URL past the pooler, for what needs a session of its own."""
    direct = settings.database_direct_url
    return database_url if direct is None else direct.get_secret_value()


@contextlib.asynccontextmanager
async def opened(settings: Settings, database_url: str) -> AsyncIterator[Database]:
    """The database, reached and with a fitting schema. Raises ConfigurationError, CommandError."""
    await check(direct_url(settings, database_url))
    pooled = settings.database_direct_url is not None
    db = await open_database(database_url, pool_size=2, pooled=pooled)
    try:
        yield db
    finally:
        await db.close()


async def check(database_url: str, *, wait_seconds: float = 0.0) -> None:
    """Reach Postgres and see that this release can work with its schema.

    Keeps trying for `wait_seconds`, also when the schema is behind: in a rollout somebody else brings it up. Raises
    CommandError when Postgres is away, ConfigurationError when it would have to be set up differently.
    """
    deadline, left, told = time.monotonic() + wait_seconds, wait_seconds, False
    while True:
        connection = await connect(database_url, wait_seconds=left)
        try:
            return await check_schema(connection)
        except SchemaBehind as error:
            left = deadline - time.monotonic()
            if left <= 0:
                raise
            if not told:
                log.warning("Waiting up to %.0f s: %s", wait_seconds, error)
                told = True
        finally:
            await connection.close(timeout=CONNECT_SECONDS)
        await asyncio.sleep(RETRY_SECONDS)


async def connect(database_url: str, *, wait_seconds: float = 0.0) -> asyncpg.Connection[asyncpg.Record]:
    """A connection of one's own. Raises as `check` does; no text names the password."""
    deadline = time.monotonic() + wait_seconds
    told = False
    while True:
        try:
            return await asyncpg.connect(database_url, timeout=CONNECT_SECONDS, statement_cache_size=0)
        except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
            raise ConfigurationError(f"Postgres refuses REGISTRY_DATABASE_URL: {error}") from error
        except (OSError, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError) as error:
            # TimeoutError is an OSError; so is a host name that does not resolve yet.
            if time.monotonic() >= deadline:
                raise CommandError(f"Postgres does not answer: {str(error) or type(error).__name__}") from error
        except (ValueError, asyncpg.InterfaceError) as error:
            raise ConfigurationError("REGISTRY_DATABASE_URL is no URL of a Postgres database") from error
        except asyncpg.PostgresError as error:
            raise ConfigurationError(f"Postgres refuses the connection: {error}") from error
        if not told:
            log.warning("Postgres does not answer yet, waiting for it up to %.0f s", wait_seconds)
            told = True
        await asyncio.sleep(RETRY_SECONDS)


async def check_schema(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Raise SchemaBehind when the schema is older than this release's, ConfigurationError when it is too new for it.

    A newer one fits while its additional migrations only add: see `registry.db.migrate`.
    """
    known = available()
    found = await version(connection)
    if found < len(known):
        raise SchemaBehind(
            f"the database has schema {found}, this release needs {len(known)}: run `registry migrate` first"
        )
    if await outgrown(connection, len(known)):
        raise ConfigurationError(
            f"the database has schema {found}, which is too new for this release (it knows {len(known)}): "
            "run a newer release"
        )
