"""Changes: follows the change log and gives every read its barrier.

A request awaits `barrier()`. It returns after a poll of the log that *started* after the request arrived, so whatever
was acknowledged before the request is known here, and look-ups that it moved are forgotten. Requests that arrive while
a poll is under way share the next one: under load one tiny query serves dozens of requests.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
import time
from collections.abc import Callable, Sequence

import asyncpg

from registry import metrics
from registry.db import changes
from registry.db.changes import Glance
from registry.db.connection import Database, translated
from registry.errors import Unavailable

log = logging.getLogger(__name__)

POLL_SECONDS = 2.0
RETRY_SECONDS = 0.5

Forget = Callable[[Sequence[tuple[str, str]] | None], None]


class Changes:
    """The follower. `forget` is called with what moved, as (kind, key) pairs, or with None for everything.

    `history` is another number once the database may have been restored to an earlier state: serials start again from
    there and no longer tell old content from new. That is so when the log's number fell, and, because it may have
    caught up since the last poll, whenever the server was started (a restored data directory, a failover) or the
    log's table or database was made anew (a restored dump). Asked with every poll, not at connecting, so a pooler in
    between hides nothing. What goes unnoticed is a log put back by UPDATE and DELETE in place that catches up at once.
    """

    def __init__(self, db: Database, forget: Forget, *, stale_seconds: float) -> None:
        self._db = db
        self._forget = forget
        self._stale_seconds = stale_seconds
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._waiting: list[asyncio.Future[bool]] = []
        self._polling: asyncio.Task[None] | None = None
        self._away = False
        self._fresh_at = -math.inf
        self._seen: int | None = None
        self._glance: Glance | None = None
        self.history = 0
        self._count_poll = metrics.polls.labels("ok").inc

    @property
    def seen(self) -> int:
        """Number of the newest change known here."""
        return self._seen or 0

    @property
    def position(self) -> tuple[int, int]:
        """History and number: equal only when nothing has changed in between."""
        return self.history, self._seen or 0

    async def barrier(self, *, write: bool = False) -> None:
        """Wait until everything acknowledged before this call is known here.

        While Postgres is away, reads pass at once for `stale_seconds` after the last poll that succeeded, with what is
        known; later reads, and writes at once, raise Unavailable.
        """
        if not self._away:
            arrival = asyncio.get_running_loop().create_future()
            self._waiting.append(arrival)
            if self._polling is None:
                self._polling = asyncio.create_task(self._poll_while_waited_for(), name="changes")
            if await arrival:
                return
        # Counted from that poll and not from its failure: who was idle until then knows nothing of what came between.
        if write or time.monotonic() - self._fresh_at > self._stale_seconds:
            raise Unavailable("the database is away")

    async def close(self) -> None:
        """Stop following."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)
        await self._disconnect()

    async def _poll_while_waited_for(self) -> None:
        batch: list[asyncio.Future[bool]] = []
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                try:
                    await self._poll()
                except Unavailable:
                    self._away = True
                    _release([*batch, *self._waiting], fresh=False)
                    self._waiting = []
                    await self._wait_for_postgres()
                else:
                    _release(batch, fresh=True)
                    # Those let through answer now, and what their clients ask next comes into one poll with the others.
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
        finally:
            # Whatever ended this task, nobody waits for it in vain.
            self._polling, self._away = None, False
            _release([*batch, *self._waiting], fresh=False)
            self._waiting = []

    async def _poll(self) -> None:
        try:
            await self._poll_once()
        except Unavailable:
            # A connection may end for reasons of its own, while Postgres is there for the next one.
            if self._connection is None or not self._connection.is_closed():
                raise
            await self._disconnect()
            await self._poll_once()

    async def _poll_once(self) -> None:
        started = time.monotonic()
        try:
            with translated():
                async with asyncio.timeout(POLL_SECONDS):
                    if self._connection is None:
                        self._connection = await self._db.dedicated()
                    if self._seen is None:
                        self._seen = await changes.head(self._connection)
                        # Look-ups made without a barrier, or while this connection could not be had.
                        self._forget(None)
                    glance = await changes.glance(self._connection)
                    if glance != self._glance:
                        self._take_note(await changes.poll(self._connection, self._seen), self._seen)
        except (asyncpg.PostgresError, asyncpg.InternalClientError) as error:
            # No such table while a backup is being restored, no such role: the log is there again when it is readable.
            raise Unavailable("the change log cannot be read") from error
        self._count_poll()
        self._fresh_at = started

    def _take_note(self, rows: Sequence[asyncpg.Record], seen: int) -> None:
        head, trimmed = rows[0]["head"], rows[0]["trimmed"]
        before, self._glance = self._glance, Glance(head, rows[0]["started"], rows[0]["place"])
        restored = head < seen or (before is not None and before != dataclasses.replace(self._glance, head=before.head))
        if restored:
            self.history += 1
        if trimmed > seen or restored:
            # Too far behind, or in another history.
            self._forget(None)
        elif head != seen:
            self._forget([(row["kind"], row["key"]) for row in rows if row["number"] is not None])
        self._seen = head
        metrics.changes_seen.set(head)

    async def _wait_for_postgres(self) -> None:
        """Retry until a poll succeeds. Whoever arrives meanwhile is answered by `barrier` itself."""
        since = time.monotonic()
        log.warning("Postgres is away, reads continue with what is known for %s s", self._stale_seconds)
        metrics.polls.labels("failed").inc()
        while True:
            await self._disconnect()
            await asyncio.sleep(RETRY_SECONDS)
            try:
                await self._poll()
            except Unavailable:
                metrics.polls.labels("failed").inc()
                continue
            log.warning("Postgres is back after %.1f s", time.monotonic() - since)
            self._away = False
            return

    async def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


def _release(batch: Sequence[asyncio.Future[bool]], *, fresh: bool) -> None:
    """Let waiters go on; who was cancelled meanwhile is not waiting any more."""
    for arrival in batch:
        if not arrival.done():
            arrival.set_result(fresh)
