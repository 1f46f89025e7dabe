"""What a process holds while it runs, and whether that stays flat."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MIB = 1024**2
# The last third may hold so much more than the third before it.
MARGIN_PERCENT = 10
MARGIN_BYTES = 16 * MIB
# Connections come and go; what leaks with each request or each fault is soon more than this.
MARGIN_FILES = 16


@dataclass(frozen=True, slots=True)
class Sample:
    """`seconds` since the start; `resident` in bytes; `files` are all open descriptors; `children` all descendants."""

    seconds: float
    resident: int
    files: int
    children: int


def take(pid: int, seconds: float) -> Sample:
    """Look at a process now."""
    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return Sample(seconds, resident, len(list(Path(f"/proc/{pid}/fd").iterdir())), len(_descendants(pid)))


def regular_files(pid: int) -> list[str]:
    """The files, not sockets or pipes, that a process has open."""
    found = []
    for one in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(one.readlink())
        except FileNotFoundError:  # closed meanwhile
            continue
        if target.startswith("/") and not target.startswith("/dev/"):
            found.append(target)
    return sorted(found)


def faults(samples: Sequence[Sample]) -> list[str]:
    """Where the last third of the samples holds more than the middle third allows: medians, for load comes in waves."""
    if len(samples) < 9:
        return ["too few samples to tell"]
    third = len(samples) // 3
    middle, last = samples[third : 2 * third], samples[2 * third :]
    found = []
    for name, margin in (("resident", MARGIN_BYTES), ("files", MARGIN_FILES), ("children", 1)):
        before, after = (statistics.median(getattr(one, name) for one in some) for some in (middle, last))
        allowed = before * (100 + MARGIN_PERCENT) / 100 + margin
        if after > allowed:
            found.append(f"{name} grows: {after:.0f} in the last third, {before:.0f} in the middle one")
    return found


def _descendants(pid: int) -> list[int]:
    found = []
    try:
        text = "".join(one.read_text() for one in Path(f"/proc/{pid}/task").glob("*/children"))
    except FileNotFoundError:  # it ended meanwhile
        return []
    for child in map(int, text.split()):
        found += [child, *_descendants(child)]
    return found
