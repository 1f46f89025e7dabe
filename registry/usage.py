"""Usage: when packages were last downloaded and tokens last used, written in batches.

A download costs a dictionary entry; the rows are written every few seconds, one statement for many. What a killed
process had not written yet is lost, and nobody relies on it to the second.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from registry.db import accounts, packages
from registry.db.connection import Database
from registry.errors import Unavailable

log = logging.getLogger(__name__)

FLUSH_SECONDS = 10.0


class Usage:
    """What was used since the last flush."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._downloads: dict[int, datetime] = {}
        self._tokens: dict[int, datetime] = {}

    def downloaded(self, package_id: int) -> None:
        """A file of this package was sent, or the client was sent to it."""
        self._downloads[package_id] = datetime.now(UTC)

    def token_used(self, token_id: int) -> None:
        """A request came with this personal access token."""
        self._tokens[token_id] = datetime.now(UTC)

    async def flush(self) -> None:
        """Write what there is. While Postgres is away it is kept for the next time."""
        downloads, self._downloads = self._downloads, {}
        tokens, self._tokens = self._tokens, {}
        try:
            if downloads:
                await packages.touch_downloads(self._db, dict(sorted(downloads.items())))
                downloads = {}
            if tokens:
                await accounts.touch_tokens(self._db, dict(sorted(tokens.items())))
        except Unavailable as error:
            log.warning("Last uses are not written: %s", error.text)
            self._downloads = {**downloads, **self._downloads}
            self._tokens = {**tokens, **self._tokens}

    async def _flush_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self.flush()

    @contextlib.asynccontextmanager
    async def flushing(self) -> AsyncIterator[None]:
        """Flush regularly inside the block, and once at its end."""
        task = asyncio.create_task(self._flush_now_and_then(), name="usage")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await self.flush()
