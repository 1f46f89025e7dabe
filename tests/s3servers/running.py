"""Programs of a server: found, started, waited for, ended in the reverse order."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.clients.process import SYSTEM_PATH
from tests.clients.toolbox import Missing

SECONDS = 60


def find(name: str, advice: str) -> str:
    """The path of a program. Raises Missing with what would install it."""
    found = shutil.which(name, path=SYSTEM_PATH)
    if found is None:
        raise Missing(f"{name} is not installed: {advice}")
    return found


def run(*command: str | Path) -> str:
    """Run a program that must succeed; what it printed."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@contextmanager
def started(command: Sequence[str | Path], log: Path, *, port: int | None = None) -> Iterator[None]:
    """A program for the length of the block, which begins once its port accepts connections."""
    with log.open("wb") as output:
        process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            deadline = time.monotonic() + SECONDS
            while port is not None and not _accepts(port):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
