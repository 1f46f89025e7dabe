"""Cache: answers by key that are forgotten when they are told to be, and never because of their age."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from registry import metrics

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def _one(_value: object) -> int:
    return 1


class Cache(Generic[K, V]):
    """Answers by key, the oldest dropped first when they weigh `limit` together; concurrent misses share one fill.

    Every answer weighs 1 unless `weigh` says otherwise; one that is heavier than the limit is not kept.
    """

    def __init__(self, kind: str, limit: int, *, weigh: Callable[[V], int] = _one) -> None:
        self._limit = limit
        self._weigh = weigh
        self._weight = 0
        self._values: dict[K, V] = {}
        self._filling: dict[K, asyncio.Task[V]] = {}
        self._hits = metrics.lookups.labels(kind, "hit")
        self._misses = metrics.lookups.labels(kind, "miss")

    async def get(self, key: K, fill: Callable[[], Awaitable[V]]) -> V:
        """The answer for a key, filled when it is missing."""
        try:
            value = self._values[key]
        except KeyError:
            self._misses.inc()
        else:
            self._hits.inc()
            return value
        task = self._filling.get(key)
        if task is None:
            task = self._filling[key] = asyncio.ensure_future(fill())
            task.add_done_callback(lambda done: self._keep(key, done))
        return await asyncio.shield(task)

    def forget(self, key: K) -> None:
        """Drop an answer, and do not keep the one being filled."""
        self._drop(key)
        self._filling.pop(key, None)

    def forget_if(self, moved: Callable[[K, V], bool]) -> None:
        """Drop every answer for which `moved` says so, and every fill under way."""
        for key in [k for k, v in self._values.items() if moved(k, v)]:
            self._drop(key)
        self._filling.clear()

    def clear(self) -> None:
        """Drop everything."""
        self._values.clear()
        self._weight = 0
        self._filling.clear()

    def _drop(self, key: K) -> None:
        if key in self._values:
            self._weight -= self._weigh(self._values.pop(key))

    def _keep(self, key: K, done: asyncio.Task[V]) -> None:
        if done.cancelled() or done.exception() is not None:
            if self._filling.get(key) is done:
                del self._filling[key]
            return
        if self._filling.get(key) is not done:
            return
        del self._filling[key]
        value = done.result()
        weight = self._weigh(value)
        if weight > self._limit:
            return
        if self._weight + weight > self._limit:
            # More than is needed at the moment, so that this does not happen each time.
            enough = self._weight - max(weight, self._limit // 8)
            for old in list(self._values):
                if self._weight <= enough:
                    break
                self._drop(old)
        self._values[key] = value
        self._weight += weight
