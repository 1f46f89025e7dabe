"""A budget: so much of something for all together, given out in the order in which it was asked for."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from registry.errors import TooBusy

RETRY_SECONDS = 10


@dataclass(eq=False, slots=True)
class _Waiting:
    amount: int
    granted: asyncio.Future[None]


class Budget:
    """`amount` for all together; `waiting` callers may stand in line, each for `seconds` at most.

    First come, first served: who wants much is not overtaken for ever by those who want little.
    """

    def __init__(self, amount: int, *, waiting: int, seconds: float, refusal: str) -> None:
        """`refusal` is what a caller is told who gets nothing."""
        self._amount = self._free = amount
        self._most_waiting = waiting
        self._seconds = seconds
        self._refusal = refusal
        self._line: deque[_Waiting] = deque()

    @property
    def taken(self) -> int:
        """How much is given out."""
        return self._amount - self._free

    @asynccontextmanager
    async def share(self, amount: int) -> AsyncIterator[None]:
        """Have `amount` of it, or all there is when that is less, for the length of the block.

        Raises TooBusy at once when too many wait already, and when nothing came free in time.
        """
        amount = min(amount, self._amount)
        await self._take(amount)
        try:
            yield
        finally:
            self._give_back(amount)

    async def _take(self, amount: int) -> None:
        if not self._line and amount <= self._free:
            self._free -= amount
            return
        if len(self._line) >= self._most_waiting:
            raise TooBusy(self._refusal, retry_after=RETRY_SECONDS)
        mine = _Waiting(amount, asyncio.get_running_loop().create_future())
        self._line.append(mine)
        try:
            async with asyncio.timeout(self._seconds):
                await mine.granted
        except BaseException as error:
            if mine in self._line:
                self._line.remove(mine)
                self._serve()  # whoever stood behind may be content with less
            elif not mine.granted.cancelled():
                self._give_back(amount)
            if isinstance(error, TimeoutError):
                raise TooBusy(self._refusal, retry_after=RETRY_SECONDS) from error
            raise

    def _give_back(self, amount: int) -> None:
        self._free += amount
        self._serve()

    def _serve(self) -> None:
        while self._line and self._line[0].amount <= self._free:
            first = self._line.popleft()
            self._free -= first.amount
            if first.granted.cancelled():
                self._free += first.amount
            else:
                first.granted.set_result(None)
