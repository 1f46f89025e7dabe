"""The database: a pool whose failures are `Unavailable`, and short visible transactions."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import asyncpg
import orjson

from registry import metrics
from registry.errors import Invalid, Unavailable

ACQUIRE_SECONDS = 3.0  # a request waits this long for a free connection before it is told to come back
COMMAND_SECONDS = 15.0
CONNECT_SECONDS = 5.0

# One round trip opens a transaction together with its bounds. SET LOCAL, because a transaction pooler hands the
# session to the next client.
_BOUNDS = ("lock_timeout = '3s'", "statement_timeout = '15s'", "idle_in_transaction_session_timeout = '30s'")
_BEGIN = "; SET LOCAL ".join(("BEGIN", *_BOUNDS))
_BEGIN_SNAPSHOT = "; SET LOCAL ".join(("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", *_BOUNDS))
# A session of our own has them for single statements, too. Not as startup options, which many a proxy refuses.
_BOUND_SESSION = "SET " + "; SET ".join(_BOUNDS)


T = TypeVar("T")

_UNSTORABLE = "a value cannot be stored: it holds characters or numbers outside the allowed range"


class Db(Protocol):
    """What a query function needs: the database, or a transaction of it."""

    async def fetch(self, query: str, *args: object) -> list[asyncpg.Record]:
        """All rows."""

    async def fetchrow(self, query: str, *args: object) -> asyncpg.Record | None:
        """The first row."""

    async def fetchval(self, query: str, *args: object) -> Any:
        """The first column of the first row."""

    async def execute(self, query: str, *args: object) -> str:
        """Run a statement; the answer is Postgres' command tag, such as `UPDATE 1`."""


# How asyncpg says that a connection is gone; the last when that happens between two of its own steps.
_LOST = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class Torn(Exception):
    """Two statements of one read have seen different states."""


class CommitUnknown(Unavailable):
    """The database went away during a commit: it may have happened or not. Whoever can look it up should."""


if TYPE_CHECKING:
    # Generic in its stubs only.
    _AsyncpgConnection = asyncpg.Connection[asyncpg.Record]
else:
    _AsyncpgConnection = asyncpg.Connection


class _Connection(_AsyncpgConnection):
    def get_reset_query(self) -> str:
        # Nothing session-wide is set but once and for all, and the default costs a round trip for each release.
        return ""

    async def notice_pooler(self) -> bool:
        """Prepare no statements when a pooler is in between: the next transaction may run on another session."""
        # The process id in a pooler's greeting is of its own making. Asked by a simple query, which prepares nothing;
        # its tag is the answer: "SELECT 1" when the session is who it said.
        noticed = await self.execute(f"SELECT WHERE pg_backend_pid() = {self.get_server_pid()}") == "SELECT 0"
        if noticed:
            self._stmt_cache_enabled = False
        return noticed


class Database:
    """A pool of connections to one Postgres. Implements `Db`; each call borrows a connection for one statement."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], url: str, *, pooled: bool) -> None:
        self._pool = pool
        self._url = url
        self._pooled = pooled

    async def fetch(self, query: str, *args: object) -> list[asyncpg.Record]:
        """All rows of a single statement."""
        async with self._borrowed() as connection:
            return await connection.fetch(query, *args)

    async def fetchrow(self, query: str, *args: object) -> asyncpg.Record | None:
        """The first row of a single statement."""
        async with self._borrowed() as connection:
            return await connection.fetchrow(query, *args)

    async def fetchval(self, query: str, *args: object) -> Any:
        """The first column of the first row of a single statement."""
        async with self._borrowed() as connection:
            return await connection.fetchval(query, *args)

    async def execute(self, query: str, *args: object) -> str:
        """Run a single statement in its own transaction."""
        async with self._borrowed() as connection:
            return await connection.execute(query, *args)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Db]:
        """A read-write transaction; commits at the end of the block, rolls back when it raises.

        Raises CommitUnknown when the connection is lost while the commit is under way.
        """
        async with self._borrowed() as connection:
            await connection.execute(_BEGIN)
            try:
                yield connection
            except TimeoutError:
                # Who did not answer that will not answer a ROLLBACK either; losing the connection is one.
                _terminate(connection)
                raise
            except BaseException:
                await _roll_back(connection)
                raise
            try:
                await connection.execute("COMMIT")
            except (*_LOST, asyncpg.PostgresConnectionError) as error:
                _terminate(connection)
                raise CommitUnknown("the database went away during the commit") from error

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Db]:
        """Several reads that see one state."""
        async with self._borrowed() as connection:
            await connection.execute(_BEGIN_SNAPSHOT)
            try:
                yield connection
            finally:
                await _roll_back(connection)

    async def consistent(self, read: Callable[[Db], Awaitable[T]]) -> T:
        """What a read of several statements finds in one state. It raises Torn where it notices that it has seen two.

        Then it is repeated in a snapshot. At first it does without, which spares two of five round trips.
        """
        with contextlib.suppress(Torn):
            async with self._borrowed() as connection:
                return await read(connection)
        async with self.snapshot() as db:
            return await read(db)

    async def dedicated(self) -> asyncpg.Connection[asyncpg.Record]:
        """A connection of one's own, outside the pool. Raises Unavailable."""
        with translated():
            return await _connect(self._url, pooled=self._pooled)

    async def close(self) -> None:
        """Close the pool, waiting for what is in use for a moment."""
        try:
            async with asyncio.timeout(5):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    @contextlib.asynccontextmanager
    async def _borrowed(self) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy[asyncpg.Record]]:
        with translated():
            connection = await self._pool.acquire(timeout=ACQUIRE_SECONDS)
            try:
                yield connection
            except asyncpg.ReadOnlySQLTransactionError:
                # A standby, or what was the primary before a failover: every connection may lead to it.
                await self._pool.expire_connections()
                raise
            finally:
                await self._give_back(connection)

    async def _give_back(self, connection: asyncpg.pool.PoolConnectionProxy[asyncpg.Record]) -> None:
        """Into the pool. What was asked on it has its answer: that it was lost since then is nobody's trouble."""
        try:
            await self._pool.release(connection)
        except (*_LOST, asyncpg.PostgresError):
            # asyncpg 0.32 has ended it, or taken it out of the pool in the very moment it was lost.
            _terminate(connection)


async def _roll_back(connection: Any) -> None:
    try:
        await asyncio.shield(connection.execute("ROLLBACK"))
    except (*_LOST, asyncpg.PostgresError):
        _terminate(connection)
    except asyncio.CancelledError:
        _terminate(connection)
        raise


def _terminate(connection: Any) -> None:
    # A connection that was lost has left the pool already, and says so.
    with contextlib.suppress(asyncpg.InterfaceError, asyncpg.InternalClientError):
        connection.terminate()


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Say `Unavailable` for every way in which Postgres can be away, `Invalid` for text it cannot hold."""
    try:
        yield
    except _LOST as error:
        metrics.database_errors.labels(type(error).__name__).inc()
        if isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError):
            # asyncpg.DataError on the client side: an argument that cannot be encoded, such as a lone surrogate.
            raise Invalid(
                "a value cannot be stored: it holds characters or numbers outside the allowed range"
            ) from error
        raise Unavailable("the database does not answer") from error
    except (
        asyncpg.PostgresConnectionError,
        asyncpg.CannotConnectNowError,
        asyncpg.TooManyConnectionsError,
        asyncpg.AdminShutdownError,
        asyncpg.CrashShutdownError,
        asyncpg.ReadOnlySQLTransactionError,
        asyncpg.QueryCanceledError,
        asyncpg.LockNotAvailableError,
        asyncpg.DeadlockDetectedError,
        asyncpg.DiskFullError,
        asyncpg.InvalidCachedStatementError,
        asyncpg.InvalidCatalogNameError,
    ) as error:
        metrics.database_errors.labels(type(error).__name__).inc()
        raise Unavailable("the database cannot answer for the moment") from error
    except (asyncpg.CharacterNotInRepertoireError, asyncpg.UntranslatableCharacterError, asyncpg.DataError) as error:
        raise Invalid(_UNSTORABLE) from error


async def open_database(url: str, *, pool_size: int, pooled: bool = False) -> Database:
    """Connect. `pooled` declares a transaction pooler in between: no prepared statements survive there.

    One that was not declared is noticed when it greets with process ids of its own making, as PgBouncer does.

    The first connections are made when they are needed, so that a server starts while its database is away.
    """
    pool = asyncpg.create_pool(
        url,
        min_size=0,
        max_size=pool_size,
        connection_class=_Connection,
        max_inactive_connection_lifetime=300,
        **_options(pooled=pooled),
    )
    await pool
    return Database(pool, url, pooled=pooled)


async def _connect(url: str, *, pooled: bool) -> asyncpg.Connection[asyncpg.Record]:
    options = _options(pooled=pooled)
    init = options.pop("init")
    connection = await asyncpg.connect(url, connection_class=_Connection, **options)
    try:
        await init(connection)
    except BaseException:
        connection.terminate()
        raise
    return connection


def _options(*, pooled: bool) -> dict[str, Any]:
    return {
        "timeout": CONNECT_SECONDS,
        "command_timeout": COMMAND_SECONDS,
        "statement_cache_size": 0 if pooled else 256,
        "init": _set_up,
    }


async def _set_up(connection: Any) -> None:
    if not await connection.notice_pooler():
        await connection.execute(_BOUND_SESSION)
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: orjson.dumps(value).decode(),
        decoder=orjson.loads,
    )
