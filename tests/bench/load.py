"""Load: a server process on one core, wrk on another, and what both did."""

from __future__ import annotations

import contextlib
import os
import re
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests import programs

SERVER_CORE = {0}
LOAD_CORE = {1}
_ALLOWED = os.sched_getaffinity(0)
_SIZES = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}
_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True)
class Case:
    """One request, many times, over `connections` connections."""

    name: str
    path: str
    headers: Mapping[str, str]
    connections: int = 64


@dataclass(frozen=True)
class Measure:
    """What one round gave: requests per second, per CPU second of the server, latencies in milliseconds.

    `errors` counts answers outside 2xx and 3xx, and connections that failed or got no answer in time.
    """

    per_second: float
    per_cpu_second: float
    p50: float
    p99: float
    cpu_seconds_per_gb: float
    errors: int


@contextlib.contextmanager
def on(cores: set[int] | None) -> Iterator[None]:
    """This thread, and every process it starts, on some cores within the block; None changes nothing."""
    before = os.sched_getaffinity(0)
    if cores is not None and cores <= _ALLOWED:
        os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far, all its threads, to the nanosecond.

    The id of a process's CPU clock is what clock_getcpuclockid(3) makes of its pid on Linux.
    """
    return time.clock_gettime((~pid << 3) | 2)


def settle(pid: int, seconds: float = 10) -> None:
    """Until the process has worked off what it was given, so that the next one is not charged for it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        before = cpu_seconds(pid)
        time.sleep(0.05)
        if cpu_seconds(pid) - before < 0.002:
            return


def run_wrk(
    url: str, case: Case, pids: Sequence[int], seconds: float, *, cores: set[int] | None = LOAD_CORE
) -> Measure:
    """One round of wrk against a server's processes; `cores` None leaves wrk where the kernel puts it."""
    command = [programs.find("wrk"), "-t1", f"-c{case.connections}", f"-d{max(1, round(seconds))}s", "--latency"]
    for name, value in case.headers.items():
        command += ["-H", f"{name}: {value}"]
    before = sum(map(cpu_seconds, pids))
    with on(cores):
        process = subprocess.Popen([*command, url + case.path], stdout=subprocess.PIPE, text=True)
    text = process.communicate()[0]
    used = sum(map(cpu_seconds, pids)) - before
    for pid in pids:
        settle(pid)
    return measure(text, used)


def measure(text: str, used: float) -> Measure:
    """What wrk printed, and the CPU seconds of the server meanwhile. Raises RuntimeError when wrk got no answer."""
    found = re.search(r"(\d+) requests in ([\d.]+)(ms|s|m), ([\d.]+)(B|KB|MB|GB) read", text)
    if found is None or not int(found[1]):
        raise RuntimeError(f"wrk got no answer:\n{text}")
    count = int(found[1])
    elapsed = float(found[2]) * _MILLISECONDS[found[3]] / 1000
    size = float(found[4]) * _SIZES[found[5]]
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    return Measure(
        per_second=count / elapsed,
        per_cpu_second=count / used,
        p50=_quantile(text, "50%"),
        p99=_quantile(text, "99%"),
        cpu_seconds_per_gb=used * 1e9 / size,
        errors=(int(bad[1]) if bad else 0) + (sum(map(int, broken.groups())) if broken else 0),
    )


def _quantile(text: str, quantile: str) -> float:
    found = re.search(rf"{quantile}\s+([\d.]+)(us|ms|s|m)\b", text)
    return float(found[1]) * _MILLISECONDS[found[2]] if found else 0.0


def median(measures: Sequence[Measure]) -> Measure:
    """The median of each figure, and all errors."""

    def middle(field: str) -> float:
        return float(statistics.median(getattr(one, field) for one in measures))

    return Measure(
        per_second=middle("per_second"),
        per_cpu_second=middle("per_cpu_second"),
        p50=middle("p50"),
        p99=middle("p99"),
        cpu_seconds_per_gb=middle("cpu_seconds_per_gb"),
        errors=sum(one.errors for one in measures),
    )
