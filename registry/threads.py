"""Threads: where blocking work is done, and how much of it may wait there."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from registry import metrics
from registry.errors import TooBusy

P = ParamSpec("P")
T = TypeVar("T")

# Jobs that run or wait; each belongs to a request. A job takes a millisecond as a rule, a stuck disk stops them all.
JOBS = 1024


# Of threads that step back: they have a core when nobody else wants it.
NICENESS = 10


def step_back() -> None:
    """Let this thread yield to the others. Without it hashing takes half of a core that serves reads, too."""
    if sys.platform == "linux":  # elsewhere a process has one priority
        thread = threading.get_native_id()
        with contextlib.suppress(OSError):  # a sandbox may forbid it
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)


class BoundedThreads(ThreadPoolExecutor):
    """For `loop.set_default_executor`: a job too many is refused with TooBusy where it is submitted."""

    def __init__(self, threads: int | None = None, *, jobs: int = JOBS) -> None:
        """`threads` are as many as Python thinks right for the machine, unless said otherwise."""
        super().__init__(threads, thread_name_prefix="worker")
        self._most = jobs
        self._jobs = 0
        self._counting = threading.Lock()

    def submit(self, job: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a job done. Raises TooBusy."""
        with self._counting:
            if self._jobs >= self._most:
                metrics.rate_limited.labels("threads").inc()
                raise TooBusy("the server is too busy, try again later")
            self._jobs += 1
        try:
            future = super().submit(job, *args, **kwargs)
        except BaseException:
            self._done()
            raise
        future.add_done_callback(self._done)
        return future

    def _done(self, _: object = None) -> None:
        with self._counting:
            self._jobs -= 1
