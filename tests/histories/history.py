"""What is recorded of each operation. Everything that clients change or see is a register: a name that holds a text.

A register is called `listing#item`, and holds None at first and after a delete:

    files/PROJECT/NAME#FILE          sha256 of the content of a file of PyPI
    versions/PROJECT/NAME#VERSION    sha1 of the tarball of an npm version
    names/TYPE/PROJECT#NAME          `listed`
    tags/PROJECT/NAME#TAG            version
    deprecations/PROJECT/NAME#VERSION  message
    visibility/PROJECT#              `public` or `private`
    members/PROJECT#USER             `member`
    tokens/#NUMBER                   `live` or `revoked`
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

# Of a write: `ok` was acknowledged, `refused` certainly changed nothing, `unknown` may have happened, at any time
# since. Of a read: `ok` saw something. `broken` is an answer that nobody should ever get.
Outcome = Literal["ok", "refused", "unknown", "broken"]
Value = str | None

# What a read saw where it cannot tell which value it is, only that there is one.
SOMETHING = "*"
# The registers of these are written once: what is created is never replaced, only deleted.
ONCE = ("files/", "versions/")


@dataclass(slots=True)
class Operation:
    """One request and its answer. Times are seconds of one monotonic clock; `end` is None when none came.

    `writes` and `reads` are (register, value). `whole` are the listings a read saw completely: of these it saw None
    in every register that is not in `reads`.
    """

    what: str
    client: str = ""
    replica: str = ""
    start: float = 0.0
    end: float | None = None
    outcome: Outcome = "unknown"
    status: int | None = None
    writes: list[tuple[str, Value]] = field(default_factory=list)
    reads: list[tuple[str, Value]] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)

    @property
    def stop(self) -> float:
        """When it was certainly over."""
        return math.inf if self.end is None or self.outcome == "unknown" else self.end


class Recorder:
    """Writes a history down while it happens, and counts."""

    def __init__(self, path: Path) -> None:
        self.operations: list[Operation] = []
        self.answered = 0
        self.faults: list[str] = []
        self._file = path.open("w")
        self._lock = threading.Lock()

    def add(self, operation: Operation) -> None:
        """An operation that is over."""
        self.operations.append(operation)
        self.answered += operation.outcome != "unknown"
        self._write(asdict(operation))

    def fault(self, what: str) -> None:
        """What was just done to the cluster."""
        self.faults.append(what)
        self._write({"fault": what, "at": time.monotonic()})

    def close(self) -> None:
        self._file.close()

    def _write(self, line: dict[str, object]) -> None:
        with self._lock:
            self._file.write(json.dumps(line) + "\n")


def load(path: Path) -> Iterator[Operation]:
    """The operations of a file that a Recorder wrote."""
    with path.open() as file:
        for line in file:
            found = json.loads(line)
            if "fault" not in found:
                for key in ("writes", "reads"):
                    found[key] = [(register, value) for register, value in found[key]]
                yield Operation(**found)
