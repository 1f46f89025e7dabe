"""The soak itself: two replicas, clients, faults, samples; at the end a last look, and what is wrong."""

from __future__ import annotations

import asyncio
import itertools
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.histories import checker, cluster
from tests.histories.client import Client, open_session
from tests.histories.cluster import Cluster
from tests.histories.history import Recorder
from tests.histories.readers import Reader, survey
from tests.histories.writers import Writer, set_up
from tests.soak import store, usage
from tests.soak.store import Store
from tests.soak.usage import Sample

WRITERS = 4
READERS = 6
# Between two requests of one client: a soak is long, not hard.
THINK_SECONDS = 0.05
SAMPLE_SECONDS = 1.0
PAUSE_SECONDS = 3.0
# Small, so that caches are soon full and what grows after that should not.
SETTINGS = {"document_cache_bytes": str(8 * 1024**2), "database_pool": "8", "downloads": "proxy"}
REST_SECONDS = 30.0


@dataclass(frozen=True)
class Result:
    """`samples` are of the replica that lives all the time; `left_open` what it holds at rest and did not at first.

    `errors` is what the replicas logged as such.
    """

    operations: int
    outcomes: Counter[str]
    faults: Counter[str]
    violations: list[str]
    samples: list[Sample]
    left_open: list[str]
    errors: list[str]
    seconds: float

    @property
    def not_flat(self) -> list[str]:
        return usage.faults(self.samples)


def run(seconds: float, seed: int, *, fault_every: float) -> Result:
    """Load for so many seconds, and longer until each kind of fault was there. They count from when all is set up."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-", dir="/tmp")))
        directory.chmod(0o755)
        home = directory / "cluster"
        home.mkdir(mode=0o755)
        objects = stack.enter_context(store.running())
        recorder = Recorder(directory / "history.jsonl")
        stack.callback(recorder.close)
        replicas = stack.enter_context(cluster.running(home, workers=(1, 1), storage_url=objects.url, **SETTINGS))
        return _Run(replicas, objects, recorder, seconds, seed, fault_every).drive()


class _Run:
    """Clients in a thread of their own; faults and samples in this one, where the embedded Postgres is started."""

    def __init__(
        self,
        replicas: Cluster,
        objects: Store,
        recorder: Recorder,
        seconds: float,
        seed: int,
        fault_every: float,
    ) -> None:
        self._cluster = replicas
        self._objects = objects
        self._recorder = recorder
        self._seconds = seconds
        self._seed = seed
        self._fault_every = fault_every
        self._steady, self._shaky = replicas.replicas
        self._samples: list[Sample] = []
        self._ready = threading.Event()
        self._over = threading.Event()
        self._failed: BaseException | None = None

    def drive(self) -> Result:
        pid = self._steady.pid
        open_at_first = usage.regular_files(pid)
        clients = threading.Thread(target=self._work)
        clients.start()
        # What the clients rely on is made undisturbed.
        self._ready.wait()
        began = time.monotonic()
        try:
            self._disturb(clients, pid, began)
        finally:
            self._over.set()
            clients.join()
        if self._failed is not None:
            raise self._failed
        operations = self._recorder.operations
        outcomes = Counter(f"{'write' if one.writes else 'read'} {one.outcome}" for one in operations)
        return Result(
            operations=self._recorder.answered,
            outcomes=outcomes,
            faults=Counter(self._recorder.faults),
            violations=[str(one) for one in checker.check(operations)],
            samples=self._samples,
            left_open=_left_open(pid, open_at_first, self._samples[0].files if self._samples else 0),
            errors=self._cluster.errors(),
            seconds=time.monotonic() - began,
        )

    def _disturb(self, clients: threading.Thread, pid: int, began: float) -> None:
        """Faults and samples in turns; a fault takes the time it takes."""
        kinds = self._kinds()
        some = itertools.cycle(kinds)
        due = began + self._fault_every
        while clients.is_alive():
            now = time.monotonic()
            if now - began >= self._seconds and len(self._recorder.faults) >= len(kinds):
                return
            self._samples.append(usage.take(pid, now - began))
            if now >= due:
                self._recorder.fault(next(some)())
                due = time.monotonic() + self._fault_every
            time.sleep(SAMPLE_SECONDS)

    def _kinds(self) -> list[Callable[[], str]]:
        return [
            self._pause_store,
            lambda: self._cluster.kill(self._shaky),
            self._cluster.restart_postgres,
            lambda: self._cluster.replace(self._shaky),
        ]

    def _pause_store(self) -> str:
        self._objects.pause()
        time.sleep(PAUSE_SECONDS)
        self._objects.resume()
        return "the store paused"

    def _work(self) -> None:
        try:
            asyncio.run(self._clients())
        except BaseException as error:  # noqa: BLE001  # raised again where it is seen
            self._failed = error
        finally:
            self._ready.set()

    async def _clients(self) -> None:
        async with open_session() as session:
            world = await set_up(self._client("setup", session))
            self._ready.set()
            async with asyncio.TaskGroup() as group:
                for number in range(WRITERS):
                    one = self._client(f"writer-{number}", session)
                    group.create_task(self._keep_writing(Writer(one, world), Reader(one, world)))
                for number in range(READERS):
                    one = self._client(f"reader-{number}", session)
                    group.create_task(self._keep_reading(Reader(one, world)))
            await survey(Reader(self._client("survey", session), world), world, self._cluster.replicas)

    def _client(self, name: str, session: aiohttp.ClientSession) -> Client:
        chance = random.Random(f"{self._seed} {name}")  # noqa: S311  # choices that a seed repeats
        return Client(name, session, self._cluster.replicas, self._recorder, chance)

    async def _keep_writing(self, writer: Writer, reader: Reader) -> None:
        while not self._over.is_set():
            writer.touched = None
            await writer.act()
            if writer.touched is not None:
                await reader.follow(writer.touched)
            await asyncio.sleep(THINK_SECONDS)

    async def _keep_reading(self, reader: Reader) -> None:
        while not self._over.is_set():
            await reader.act()
            await asyncio.sleep(THINK_SECONDS)


def _left_open(pid: int, at_first: list[str], files_at_first: int) -> list[str]:
    """What the clients left behind in a server that they have all hung up on."""
    deadline = time.monotonic() + REST_SECONDS
    while True:
        files = Counter(usage.regular_files(pid)) - Counter(at_first)
        left = sorted(files.elements())
        now = usage.take(pid, 0).files
        if now > files_at_first + usage.MARGIN_FILES:
            left.append(f"{now} descriptors, {files_at_first} at first")
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.2)
