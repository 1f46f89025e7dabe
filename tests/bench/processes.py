"""The processes a benchmark is made of: registries, bare servers for one application each, and what a process takes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry.db.migrate import migrate
from registry.embedded import EmbeddedPostgres
from tests.bench import load, seed
from tests.bench.measuring import MIB
from tests.cli.processes import REPOSITORY

START_SECONDS = 60.0
_SERVE = """\
import importlib, socket, sys
from aiohttp import web
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
web.run_app(importlib.import_module(sys.argv[1]).make_app(), sock=listener, print=None, access_log=None)
"""


class NotListening(Exception):
    """A server ended, or took too long, before it listened."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: where it listens, and the processes whose CPU time is its own."""

    port: int
    pids: tuple[int, ...]

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The only process, or the first."""
        return self.pids[0]


@dataclass(frozen=True, slots=True)
class Stage:
    """A migrated Postgres on the load generator's core, and a directory that everybody may enter."""

    postgres: EmbeddedPostgres
    directory: Path

    @property
    def database_url(self) -> str:
        """The only database, for most."""
        return self.postgres.url


@contextlib.contextmanager
def stage() -> Iterator[Stage]:
    """What a benchmark stands on."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        with load.on(load.LOAD_CORE):
            postgres = EmbeddedPostgres.start(directory / "pg", unsafe_fast=True)
        with postgres:
            asyncio.run(migrate(postgres.url))
            yield Stage(postgres, directory)


def free_port() -> int:
    """A port nobody has."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def registry(
    database_url: str, directory: Path, *, cores: set[int] | None = load.SERVER_CORE, **settings: str
) -> Iterator[Server]:
    """`registry serve` with its own process, or with `workers` several; the settings are named as in Settings."""
    port = free_port()
    chosen = {
        "database_url": database_url,
        "data_dir": str(directory),
        "port": str(port),
        "root_token": seed.TOKEN,
        "log_level": "error",
        **settings,
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
    environment |= {f"REGISTRY_{name.upper()}": value for name, value in chosen.items()}
    command = [sys.executable, "-m", "registry", "serve"]
    with running(command, port, cores=cores, cwd=REPOSITORY, env=environment) as pid:
        workers = int(settings.get("workers", "1"))
        yield Server(port, (pid,) if workers == 1 else _children(pid, workers))


@contextlib.contextmanager
def bare(directory: Path, loop: str) -> Iterator[Server]:
    """Bare aiohttp with the answers kept in a directory; `loop` is `uvloop` or `asyncio`."""
    port = free_port()
    script = Path(__file__).with_name("bare.py")
    with running([sys.executable, str(script), str(port), loop, str(directory)], port) as pid:
        yield Server(port, (pid,))


@contextlib.contextmanager
def running(
    command: list[str], port: int, *, cores: set[int] | None = load.SERVER_CORE, **options: Any
) -> Iterator[int]:
    """A server process, from when it listens on `port` to the end of the block: its pid."""
    options.setdefault("stdout", subprocess.DEVNULL)
    with load.on(cores):
        process = subprocess.Popen(command, **options)
    try:
        _wait_for(process, port, command)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(process: subprocess.Popen[Any], port: int, command: list[str]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise NotListening(f"nothing listens on port {port}: {command}")


def _children(pid: int, count: int) -> tuple[int, ...]:
    """The worker processes of a supervisor, once all of them are there."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        found = tuple(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
        if len(found) >= count:
            return found
        time.sleep(0.05)
    raise TimeoutError(f"process {pid} has no {count} children")


@contextlib.contextmanager
def serving_app(module: str, *, cores: set[int] | None = None) -> Iterator[Server]:
    """The application of a module's `make_app` in a process of its own."""
    with load.on(cores):
        process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, module], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
        )
    try:
        assert process.stdout is not None
        yield Server(int(process.stdout.readline()), (process.pid,))
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def s3(port: int) -> str:
    """The URL of a store behind a small server here. Its host name differs from the registry's: redirects are safe.

    Any credentials do, but the registry wants some.
    """
    os.environ |= {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
    return f"s3://bench/?endpoint_url=http://localhost:{port}&region=us-east-1"


@contextlib.contextmanager
def peak_growth(pid: int) -> Iterator[list[float]]:
    """How much a process grows within the block, at its peak: appended in MiB at the end."""
    found: list[float] = []
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew (Linux, proc_pid_clear_refs(5))
    before = _memory(pid, "VmRSS")
    yield found
    found.append((_memory(pid, "VmHWM") - before) / MIB)


def _memory(pid: int, name: str) -> int:
    """A line of the process's status, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    match = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
    if match is None:
        raise ProcessLookupError(f"{pid} has no {name}: it has ended")
    return int(match[1]) * 1024
