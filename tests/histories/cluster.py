"""The cluster under test: one Postgres, one directory of objects, several `registry serve`, and the faults they meet.

Everything here blocks and belongs to the main thread, as the embedded Postgres demands; clients run beside it and look
at the ports only.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote

from registry.db.migrate import migrate
from registry.embedded import EmbeddedPostgres
from tests.cli.processes import END_OF_PAGE, SECONDS, TOKEN, Serving, serving, until

# What documents name, as behind a balancer; clients go to a replica of their choice.
EXTERNAL_URL = "http://registry.test"
# Processes of each replica.
WORKERS = (1, 1, 2)
# Below those that the kernel gives to connections going out.
PORTS = range(20_000, 32_000)


class Replica:
    """One `registry serve` and its successors. `port` is None while there is none."""

    def __init__(self, directory: Path, workers: int, settings: dict[str, str]) -> None:
        directory.mkdir()
        self.name = directory.name
        self.port: int | None = None
        self._directory = directory
        self._settings = {**settings, "workers": str(workers), "data_dir": str(directory)}
        self._number = 0
        self._running = ExitStack()
        self._server: Serving | None = None

    @property
    def pid(self) -> int:
        """The process that was started last."""
        assert self._server is not None
        return self._server.process.pid

    def start(self) -> None:
        """Start a process; `wait` tells when it serves."""
        self._number += 1
        self._next = _free_port()
        place = self._directory / str(self._number)
        one = serving(place, wait=False, **self._settings, port=str(self._next))
        self._server = self._running.enter_context(one)

    def wait(self) -> None:
        """Until it serves."""
        server = self._server
        assert server is not None
        until(lambda: server.page.endswith(END_OF_PAGE) or server.process.poll() is not None, 2 * SECONDS)
        assert server.process.poll() is None, (server.directory / "stderr").read_text()
        self.port = self._next

    def stop(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end; answers the exit code."""
        assert self._server is not None
        self.port = None
        code = self._server.stop(number)
        self.close()
        return code

    def close(self) -> None:
        """Kill what runs."""
        self.port = None
        self._running.close()


class Cluster:
    """Postgres and the replicas: so many processes of each, with settings besides what all of them need."""

    def __init__(self, directory: Path, workers: Sequence[int], more: Mapping[str, str]) -> None:
        self._directory = directory
        self._home = directory / "postgres"
        self._postgres = EmbeddedPostgres.start(self._home)
        # The socket of every start is elsewhere; this link always leads to it.
        self._url = f"{self._postgres.url.partition('?')[0]}?host={quote(str(self._home / 'sockets'))}&port=5432"
        settings = {
            "database_url": self._url,
            "storage_url": (directory / "objects").as_uri(),
            "external_url": EXTERNAL_URL,
            "root_token": TOKEN,
            # Strictly fresh or not at all, also while Postgres is away.
            "stale_seconds": "0",
            "log_level": "warning",
            **more,
        }
        self.replicas = [
            Replica(directory / f"replica-{number}", count, settings) for number, count in enumerate(workers, 1)
        ]

    def errors(self) -> list[str]:
        """The lines that replicas logged as errors, all of their processes, with their tracebacks."""
        logs = sorted(self._directory.glob("replica-*/*/stderr"))
        lines = [line for log in logs for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
        return [line for line in lines if '"level":"error"' in line]

    def start(self) -> None:
        """Make the schema, start all replicas."""
        asyncio.run(migrate(self._url))
        # One alone makes the root user.
        for some in (self.replicas[:1], self.replicas[1:]):
            for replica in some:
                replica.start()
            for replica in some:
                replica.wait()

    def close(self) -> None:
        """End everything, at once."""
        for replica in self.replicas:
            replica.close()
        self._postgres.stop()

    def restart_postgres(self) -> str:
        """Immediate stop, as by a crash, and start: what was committed is recovered from the log."""
        os.kill(self._postgres.pid, signal.SIGQUIT)
        self._postgres.stop()
        self._postgres = EmbeddedPostgres.start(self._home)
        return "Postgres stopped at once and started again"

    def kill(self, replica: Replica) -> str:
        """SIGKILL, and another one."""
        assert replica.stop(signal.SIGKILL) == -signal.SIGKILL
        replica.start()
        replica.wait()
        return f"{replica.name} killed and started again"

    def replace(self, replica: Replica) -> str:
        """SIGTERM, which ends in good order, and another one."""
        assert replica.stop(signal.SIGTERM) == 0
        replica.start()
        replica.wait()
        return f"{replica.name} ended and replaced"

    def faults(self, chance: random.Random) -> Iterator[Callable[[], str]]:
        """Faults without end: each kind in turn, the replica at random."""
        while True:
            yield self.restart_postgres
            yield lambda: self.kill(chance.choice(self.replicas))
            yield lambda: self.replace(chance.choice(self.replicas))


def _free_port() -> int:
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


@contextmanager
def running(directory: Path, *, workers: Sequence[int] = WORKERS, **settings: str) -> Iterator[Cluster]:
    """A cluster in a directory that any account may enter."""
    cluster = Cluster(directory, workers, settings)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()
