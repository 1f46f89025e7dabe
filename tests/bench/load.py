"""Load: a server process on one core, wrk on another, and what both did."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SERVER_CORE = {0}
LOAD_CORE = {1}
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Case:
    """One request, many times, over `connections` connections."""

    name: str
    path: str
    headers: Mapping[str, str]
    connections: int = 64


@dataclass(frozen=True)
class Measure:
    """What one round gave: requests per second, per CPU second of the server, latencies in milliseconds."""

    per_second: float
    per_cpu_second: float
    p50: float
    p99: float
    errors: int


def pin(pid: int, cores: set[int]) -> None:
    """Keep a process and its threads on some cores, where the machine has them."""
    if len(os.sched_getaffinity(0)) < 2:
        return
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), cores)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_bytes(pid: int) -> int:
    """Resident memory of a process now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def run_wrk(url: str, case: Case, pid: int, seconds: float) -> Measure:
    """One round of wrk against the process `pid`."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise SystemExit("wrk is missing: apt-get install wrk")
    command = [wrk, "-t1", f"-c{case.connections}", f"-d{max(1, round(seconds))}s", "--latency"]
    for name, value in case.headers.items():
        command += ["-H", f"{name}: {value}"]
    before, started = cpu_seconds(pid), time.monotonic()
    process = subprocess.Popen([*command, url + case.path], stdout=subprocess.PIPE, text=True)
    pin(process.pid, LOAD_CORE)
    text = process.communicate()[0]
    used = cpu_seconds(pid) - before
    elapsed = time.monotonic() - started
    count = int(re.search(r"(\d+) requests in", text)[1])  # type: ignore[index]
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return Measure(
        per_second=count / elapsed,
        per_cpu_second=count / used if used else 0.0,
        p50=_milliseconds(text, "50%"),
        p99=_milliseconds(text, "99%"),
        errors=int(bad[1]) if bad else 0,
    )


def _milliseconds(text: str, quantile: str) -> float:
    found = re.search(rf"{quantile}\s+([\d.]+)(us|ms|s)", text)
    if found is None:
        return 0.0
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]]


def median(measures: Sequence[Measure]) -> Measure:
    """The median of each figure."""
    fields = ("per_second", "per_cpu_second", "p50", "p99")
    medians = (statistics.median(getattr(measure, field) for measure in measures) for field in fields)
    return Measure(*medians, errors=sum(measure.errors for measure in measures))


async def wait_for(port: int, seconds: float = 20) -> None:
    """Until something listens."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise TimeoutError(f"nothing listens on port {port}")
