"""`registry serve`: the start of a registry, from the environment to listening sockets."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence

from registry import accounts, app, logs
from registry.cli import database, listener, signing_keys, start_page, supervisor, worker
from registry.cli.errors import CommandError, ConfigurationError
from registry.db.connection import open_database
from registry.db.migrate import migrate
from registry.embedded import EmbeddedPostgres, running_url
from registry.settings import Settings
from registry.siblings import Siblings
from registry.storage import open_store

log = logging.getLogger(__name__)

# An external Postgres may start later than we do, in a compose file for example, or be migrated later.
POSTGRES_SECONDS = 60.0
# Of the embedded server's 100; some are for its superuser, and for commands.
EMBEDDED_CONNECTIONS = 90


def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Serve until told to stop. Raises ConfigurationError, CommandError, EmbeddedError."""
    del arguments
    logs.configure(settings.log_level)
    listener.check_extensions()
    check(settings)
    with listener.bound(settings.host, settings.port, shared=settings.workers > 1) as sockets:
        return _serve(settings, sockets)


def _serve(settings: Settings, sockets: Sequence[socket.socket]) -> int:
    settings = settings.model_copy(update={"port": sockets[0].getsockname()[1]})
    if settings.external_url is None and settings.host in {"0.0.0.0", "::", ""}:  # noqa: S104  # compared, not bound
        log.warning("Documents will say %s: set REGISTRY_EXTERNAL_URL to what clients use", settings.base_url)
    with _postgres(settings) as (database_url, alive):
        settings = signing_keys.with_key(settings)
        made = asyncio.run(prepare(settings, database_url))
        page = _Page(settings, made)
        try:
            if settings.workers > 1:
                return _serve_with_workers(settings, ready=page.show, alive=alive)
            return worker.run(settings, database_url, sockets, ready=page.show, alive=alive)
        finally:
            page.save_token()


def run_worker(settings: Settings, arguments: argparse.Namespace) -> int:
    """One of the processes that `run` starts for `--workers`: everything is prepared, the port is held."""
    worker.follow(arguments.parent)
    logs.configure(settings.log_level)
    if settings.database_url is not None:
        database_url: str | None = settings.database_url.get_secret_value()
    else:
        database_url = running_url(database.home(settings))
    if database_url is None:
        raise CommandError("the embedded Postgres of `registry serve` is gone")

    def ready() -> None:
        sys.stdout.buffer.write(supervisor.READY)
        sys.stdout.flush()

    settings = signing_keys.with_key(settings)
    with listener.bound(settings.host, settings.port, shared=True, joining=True) as sockets:
        return worker.run(
            settings,
            database_url,
            sockets,
            ready=ready,
            alive=lambda: os.getppid() == arguments.parent,
            # Who stops the parent may well stop all its processes, and then the parent stops us, too.
            second=lambda: None,
            siblings=Siblings(arguments.number, arguments.siblings),
        )


def check(settings: Settings) -> None:
    """Raise ConfigurationError for settings that do not go together."""
    needed = settings.workers * (settings.database_pool + 1)
    if settings.database_url is None and needed > EMBEDDED_CONNECTIONS:
        raise ConfigurationError(
            f"{settings.workers} workers with {settings.database_pool} connections each are more than the embedded "
            f"Postgres has: lower REGISTRY_WORKERS or REGISTRY_DATABASE_POOL to {EMBEDDED_CONNECTIONS} in all"
        )


async def prepare(settings: Settings, database_url: str) -> str | None:
    """Bring schema and root user up to date, see that the store can be used; answers a root token made just now.

    Migrates the embedded database; an external one is migrated by `registry migrate`, once for all replicas.
    """
    direct = database.direct_url(settings, database_url)
    if settings.database_url is None:
        await migrate(direct)
    await database.check(direct, wait_seconds=POSTGRES_SECONDS)
    try:
        async with open_store(settings.store_url) as store:
            app.redirects(settings, store)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    db = await open_database(database_url, pool_size=2, pooled=settings.database_direct_url is not None)
    try:
        await signing_keys.registered(settings, db)
        token = settings.root_token
        return await accounts.ensure_root(db, None if token is None else token.get_secret_value())
    finally:
        await db.close()


@contextlib.contextmanager
def _postgres(settings: Settings) -> Iterator[tuple[str, Callable[[], bool]]]:
    """The URL of the database, and what tells whether a server of our own still runs."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value(), lambda: True
        return
    with EmbeddedPostgres.start(database.home(settings), binaries=settings.postgres_binaries) as server:
        yield server.url, lambda: _runs(server.pid)


def _runs(child: int) -> bool:
    """Whether a child process has not ended; leaves it to its owner to collect the exit code."""
    try:
        return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False


def _serve_with_workers(settings: Settings, *, ready: Callable[[], None], alive: Callable[[], bool]) -> int:
    environment = {
        **os.environ,
        "REGISTRY_HOST": settings.host,
        "REGISTRY_PORT": str(settings.port),
        "REGISTRY_WORKERS": str(settings.workers),
    }
    stop_seconds = settings.drain_seconds + max(settings.shutdown_seconds, settings.shutdown_upload_seconds)
    return asyncio.run(
        supervisor.supervise(environment, settings.workers, stop_seconds=stop_seconds, ready=ready, alive=alive)
    )


class _Page:
    """The start page, shown once; the token on it is never lost."""

    def __init__(self, settings: Settings, made: str | None) -> None:
        self._made = made
        self._text = start_page.render(settings.base_url, made=made, given=settings.root_token is not None)
        self._shown = False

    def show(self) -> None:
        """Print the page."""
        sys.stdout.write(self._text)
        sys.stdout.flush()
        self._shown = True

    def save_token(self) -> None:
        """Print a token that was made for a start that failed afterwards."""
        if self._made is not None and not self._shown:
            sys.stdout.write(start_page.token_alone(self._made))
            sys.stdout.flush()
