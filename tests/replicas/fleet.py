"""A fleet: `registry serve` several times on one database and one store, replaced one by one."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cli.processes import REPOSITORY, SECONDS, TOKEN, environment, until
from tests.replicas.balancer import ask, balancing, free_ports


class Replica:
    """One process, and its successors on the same port."""

    def __init__(self, port: int, directory: Path, settings: dict[str, str]) -> None:
        self.port = port
        self._log = directory / f"replica-{port}.log"
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it is ready."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "registry", "serve"],
                cwd=REPOSITORY,
                env=environment(port=str(self.port), **self._settings),
                stdout=log,
                stderr=log,
            )
        until(lambda: self.readiness()[0] == 200 or self._ended())
        assert not self._ended(), self._log.read_text()

    def stop(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end; answers the exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(SECONDS)

    def readiness(self) -> tuple[int, bytes]:
        """What its readiness says."""
        return ask(self.port, "GET", "/-/readiness")

    def _ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None


@dataclass
class Fleet:
    """Replicas behind a balancer at `port`."""

    port: int
    replicas: list[Replica]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def make(self, path: str, /, **fields: Any) -> dict[str, Any]:
        """Make something through the API, as its root."""
        headers = {"PRIVATE-TOKEN": TOKEN, "Content-Type": "application/json"}
        status, content = ask(self.port, "POST", path, json.dumps(fields).encode(), headers)
        assert 201 == status, content
        return dict(json.loads(content))

    def replace(self, until_set: threading.Event, number: signal.Signals) -> list[int]:
        """Stop and start one after the other until told to end; answers their exit codes."""
        codes = []
        order = list(self.replicas)
        while not until_set.is_set():
            if number is signal.SIGKILL:
                random.shuffle(order)
            for replica in order:
                codes.append(replica.stop(number))
                replica.start()
                if until_set.wait(0.5):
                    break
        return codes


@contextmanager
def running(database_url: str, directory: Path, *, count: int = 3, **settings: str) -> Iterator[Fleet]:
    """A fleet on a migrated database, with a local directory as its store unless a setting says otherwise."""
    port, *ports = free_ports(count + 1)
    settings = {
        "database_url": database_url,
        "data_dir": str(directory / "data"),
        "root_token": TOKEN,
        "external_url": f"http://127.0.0.1:{port}",
        "database_pool": "5",
        "drain_seconds": "1",
        "shutdown_seconds": "10",
        "shutdown_upload_seconds": "20",
        **settings,
    }
    fleet = Fleet(port, [Replica(one, directory, settings) for one in ports])
    with ExitStack() as stack:
        for replica in fleet.replicas:
            replica.start()
            stack.callback(replica.stop, signal.SIGKILL)
        stack.enter_context(balancing(port, ports))
        yield fleet
