"""The whole: a cluster, clients beside it, faults meanwhile, a last look, and what the checker says of it."""

from __future__ import annotations

import asyncio
import random
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.histories import checker
from tests.histories.checker import Violation
from tests.histories.client import Client, open_session
from tests.histories.cluster import Cluster, running
from tests.histories.history import Recorder
from tests.histories.readers import Reader, survey
from tests.histories.writers import Writer, set_up

WRITERS = 6
READERS = 8
# Every how many operations something is done to the cluster, and how often at least: each kind of fault once.
FAULT_EVERY = 300
FAULTS = 3


@dataclass(frozen=True)
class Result:
    """What a run was, and what is wrong with it. `operations` were answered; others have an unknown outcome."""

    operations: int
    outcomes: Counter[str]
    faults: Counter[str]
    violations: list[Violation]
    seconds: float


def run(operations: int, seed: int, history: Path, *, faults: bool) -> Result:
    """At least so many answered operations, on a cluster of its own; the history is written to a file."""
    began = time.monotonic()
    recorder = Recorder(history)
    with tempfile.TemporaryDirectory(prefix="histories-", dir="/tmp") as directory:
        Path(directory).chmod(0o755)
        with running(Path(directory)) as cluster:
            _Run(cluster, operations, seed, recorder, least_faults=FAULTS if faults else 0).drive()
    recorder.close()
    outcomes = Counter(f"{'write' if one.writes else 'read'} {one.outcome}" for one in recorder.operations)
    violations = checker.check(recorder.operations)
    return Result(recorder.answered, outcomes, Counter(recorder.faults), violations, time.monotonic() - began)


class _Run:
    """Clients in a thread of their own; faults in this one, where the embedded Postgres wants to be started."""

    def __init__(self, cluster: Cluster, operations: int, seed: int, recorder: Recorder, *, least_faults: int) -> None:
        self._cluster = cluster
        self._operations = operations
        self._seed = seed
        self._recorder = recorder
        self._least_faults = least_faults
        self._calm = threading.Event()
        self._failed: BaseException | None = None

    def drive(self) -> None:
        """Until there was enough of everything."""
        clients = threading.Thread(target=self._work)
        clients.start()
        try:
            if self._least_faults:
                self._disturb(clients)
        finally:
            self._calm.set()
            clients.join()
        if self._failed is not None:
            raise self._failed

    def _disturb(self, clients: threading.Thread) -> None:
        following = self._cluster.faults(random.Random(self._seed))  # noqa: S311  # choices that a seed repeats
        due = FAULT_EVERY
        while clients.is_alive() and not self._enough():
            if self._recorder.answered >= due:
                self._recorder.fault(next(following)())
                due = self._recorder.answered + FAULT_EVERY
            time.sleep(0.02)

    def _enough(self) -> bool:
        return self._recorder.answered >= self._operations and len(self._recorder.faults) >= self._least_faults

    def _work(self) -> None:
        try:
            asyncio.run(self._clients())
        except BaseException as error:  # noqa: BLE001  # raised again where it is seen
            self._failed = error

    async def _clients(self) -> None:
        async with open_session() as session:

            def client(name: str) -> Client:
                chance = random.Random(f"{self._seed} {name}")  # noqa: S311  # choices that a seed repeats
                return Client(name, session, self._cluster.replicas, self._recorder, chance)

            world = await set_up(client("setup"))
            async with asyncio.TaskGroup() as group:
                for number in range(WRITERS):
                    one = client(f"writer-{number}")
                    group.create_task(self._keep_writing(Writer(one, world), Reader(one, world)))
                for number in range(READERS):
                    group.create_task(self._keep_reading(Reader(client(f"reader-{number}"), world)))
            # What was being started serves again.
            await asyncio.to_thread(self._calm.wait)
            await survey(Reader(client("survey"), world), world, self._cluster.replicas)

    async def _keep_writing(self, writer: Writer, reader: Reader) -> None:
        while not self._enough():
            writer.touched = None
            await writer.act()
            if writer.touched is not None:
                await reader.follow(writer.touched)

    async def _keep_reading(self, reader: Reader) -> None:
        while not self._enough():
            await reader.act()
