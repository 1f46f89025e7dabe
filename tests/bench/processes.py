"""The processes a benchmark is made of: small servers for one application each, and what a process takes."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.bench.measuring import MIB
from tests.cli.processes import REPOSITORY

_SERVE = """\
import importlib, socket, sys
from aiohttp import web
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
web.run_app(importlib.import_module(sys.argv[1]).make_app(), sock=listener, print=None, access_log=None)
"""


@contextlib.contextmanager
def serving_app(module: str) -> Iterator[tuple[int, int]]:
    """The application of a module's `make_app` in a process of its own: its port and process id."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE, module], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline()), process.pid
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


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
