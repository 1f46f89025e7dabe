"""Replicas to be killed: serving processes, forked from one that has imported everything, in a tenth of a second."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import multiprocessing
import os
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from registry import failpoints, logs
from registry.cli import worker
from registry.settings import Settings

SECONDS = 30
_forking = multiprocessing.get_context("forkserver")
_forking.set_forkserver_preload(["tests.faults.warm"])


@dataclass(frozen=True)
class Replica:
    """A serving process."""

    process: BaseProcess
    port: int

    async def end(self) -> int | None:
        """Wait for its end; answers the exit code, minus the signal that killed it."""
        await asyncio.to_thread(self.process.join, SECONDS)
        return self.process.exitcode


@contextlib.asynccontextmanager
async def replica(
    settings: Settings, database_url: str, log: Path, *, failpoint: str | None = None, **constants: Any
) -> AsyncIterator[Replica]:
    """A replica with a failpoint, killed at the end of the block if it still runs; its log goes to a file.

    `constants` are set in its modules before it serves: `registry__db__connection__COMMAND_SECONDS=1`.
    """
    ours, theirs = _forking.Pipe(duplex=False)
    credentials = {name: text for name, text in os.environ.items() if name.startswith("AWS_")}
    arguments = (settings, database_url, failpoint, theirs, log, credentials, constants)
    process = _forking.Process(target=_serve, args=arguments, daemon=True)
    await asyncio.to_thread(process.start)
    theirs.close()
    try:
        port: int = await asyncio.to_thread(_receive, ours, log)
        yield Replica(process, port)
    finally:
        process.kill()
        await asyncio.to_thread(process.join, SECONDS)
        ours.close()


def _receive(pipe: Connection, log: Path) -> Any:
    if not pipe.poll(SECONDS):
        raise TimeoutError("the replica does not start")
    try:
        return pipe.recv()
    except EOFError:
        raise RuntimeError(f"the replica did not start:\n{log.read_text()}") from None


def run_killed(target: Any, *arguments: Any) -> int | None:
    """Run a function in a process of its own; answers the exit code, minus the signal that killed it."""
    process = _forking.Process(target=target, args=arguments, daemon=True)
    process.start()
    process.join(SECONDS)
    return process.exitcode


def _serve(
    settings: Settings,
    database_url: str,
    failpoint: str | None,
    pipe: Connection,
    log: Path,
    credentials: Mapping[str, str],
    constants: Mapping[str, Any],
) -> None:
    with log.open("ab") as file:
        os.dup2(file.fileno(), 2)
    os.environ.update(credentials)
    for name, value in constants.items():
        module, _, constant = name.rpartition("__")
        setattr(importlib.import_module(module.replace("__", ".")), constant, value)
    logs.configure("warning")
    failpoints.arm(failpoint)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        worker.run(settings, database_url, [listening], ready=lambda: pipe.send(port), alive=lambda: True)
