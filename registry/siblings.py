"""Siblings: the workers that share a port, and what they tell each other, which is metrics.

Each listens on a Unix socket, named by its number, in a directory that only their user can enter; who connects gets
the text of that worker's metrics. So nothing is shared, and counting costs what it costs one process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from registry import metrics

log = logging.getLogger(__name__)

# A worker that does not answer within this is left out: its event loop is stuck, or it is just being replaced.
ASK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Siblings:
    """Worker `number`, and where the others are."""

    number: int
    directory: Path

    @contextlib.asynccontextmanager
    async def telling(self) -> AsyncIterator[None]:
        """Tell whoever asks, for the length of the block."""
        path = self._path(self.number)
        path.unlink(missing_ok=True)  # of a predecessor that was killed
        server = await asyncio.start_unix_server(_tell, path)
        try:
            yield
        finally:
            server.close()
            path.unlink(missing_ok=True)

    async def exposition(self) -> bytes:
        """The metrics of all workers that answer, this one included."""
        others = sorted(int(path.stem) for path in self.directory.glob("*.sock") if path.stem != str(self.number))
        answers = await asyncio.gather(*(_ask(self._path(number)) for number in others))
        found = {number: answer for number, answer in zip(others, answers, strict=True) if answer is not None}
        return metrics.merged(dict(sorted({**found, self.number: metrics.exposition()}.items())))

    def _path(self, number: int) -> Path:
        return self.directory / f"{number}.sock"


async def _tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(ASK_SECONDS):
            writer.write(metrics.exposition())
            await writer.drain()
    writer.close()


async def _ask(path: Path) -> bytes | None:
    try:
        async with asyncio.timeout(ASK_SECONDS):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                return await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        log.warning("A worker does not tell its metrics", extra={"worker": path.stem})
        return None
