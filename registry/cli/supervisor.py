"""Several serving processes on one port: started, watched, replaced when they die, stopped together."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from registry.cli.worker import running, stop_when, stopped_by_signals

log = logging.getLogger(__name__)

READY = b"ready\n"
BACKOFF_SECONDS = (0.5, 30.0)
# A worker that lived this long is replaced without much delay.
STEADY_SECONDS = 60.0
# On top of the time that requests under way have.
KILL_SECONDS = 15.0


async def supervise(
    environment: Mapping[str, str],
    count: int,
    *,
    stop_seconds: float,
    ready: Callable[[], None],
    alive: Callable[[], bool],
) -> int:
    """Keep `count` workers running until told to stop; answers the exit code.

    `ready` is called once all of them listen. A worker that does not even start the first time stops everything, with
    exit code 1; so does `alive` saying no.
    """
    stop = asyncio.Event()
    directory = Path(tempfile.mkdtemp(prefix="registry-workers-"))
    workers = [_Worker(number, environment, stop, directory) for number in range(1, count + 1)]

    def end_at_once() -> None:
        for worker in workers:
            worker.signal(signal.SIGKILL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)

    with stopped_by_signals(stop, second=end_at_once):
        keeping = [asyncio.create_task(worker.keep()) for worker in workers]
        async with running(stop_when(stop, lambda: not alive())), running(_announce(workers, ready)):
            await stop.wait()
            for worker in workers:
                worker.signal(signal.SIGTERM)
            _, late = await asyncio.wait(keeping, timeout=stop_seconds + KILL_SECONDS)
            for worker in workers:
                worker.signal(signal.SIGKILL)
            await asyncio.gather(*keeping)
    shutil.rmtree(directory, ignore_errors=True)
    if late:
        log.error("%d workers did not stop in time and were killed", len(late))
    return 0 if alive() and not any(worker.failed for worker in workers) else 1


async def _announce(workers: list[_Worker], ready: Callable[[], None]) -> None:
    for worker in workers:
        await worker.up.wait()
    ready()


class _Worker:
    """One of the processes, and its successors."""

    def __init__(self, number: int, environment: Mapping[str, str], stop: asyncio.Event, directory: Path) -> None:
        self._number = number
        self._directory = directory  # where workers find each other
        self._environment = environment
        self._stop = stop
        self._process: asyncio.subprocess.Process | None = None
        self.up = asyncio.Event()
        self.failed = False

    async def keep(self) -> None:
        """Have one running until everything stops."""
        delay = BACKOFF_SECONDS[0]
        while not self._stop.is_set():
            started = time.monotonic()
            code = await self._run()
            if self._stop.is_set():
                return
            if not self.up.is_set():
                log.error("Worker %d did not start: exit code %d", self._number, code)
                self.failed = True
                self._stop.set()
                return
            delay = BACKOFF_SECONDS[0] if time.monotonic() - started > STEADY_SECONDS else delay
            log.error("Worker %d ended with %d, the next one starts in %.1f s", self._number, code, delay)
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._stop.wait()
            delay = min(2 * delay, BACKOFF_SECONDS[1])

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, if there is one."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _run(self) -> int:
        self._process = process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "registry", "worker", "--parent", str(os.getpid())),
            *("--number", str(self._number), "--siblings", str(self._directory)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            env=dict(self._environment),
            start_new_session=True,  # Ctrl-C in a terminal is for the parent, which then stops the workers
        )
        if self._stop.is_set():
            self.signal(signal.SIGTERM)
        if process.stdout is not None and await process.stdout.readline() == READY:
            self.up.set()
        return await process.wait()
