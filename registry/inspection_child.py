"""The child process of `registry.inspection`: reads archives of strangers under the kernel's limits.

Started as `python -m registry.inspection_child PARENT MEMORY`: the process id of the parent and the bytes of address
space this process may use. Both sides talk over stdin and stdout in frames: four bytes of length, big-endian, then
JSON.

    child   {"ready": true}                         once the limits are in force
    parent  {"reader": "module:function", "arguments": {...}, "size": n, "path": text or null, "cpu": seconds}
    child   {"read": [start, length]}               any number of times when there is no path
    parent  {"length": n}, then n bytes unframed
    child   {"value": any} or {"invalid": text} or {"unavailable": text} or {"failed": traceback}

The process ends when stdin does, when the parent dies, or when a limit is hit.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import io
import math
import os
import resource
import signal
import struct
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, cast

import orjson

from registry.errors import Invalid, Unavailable

LENGTH = struct.Struct(">I")
MAX_RESULT = 8 << 20
# Bytes of one range: the headers of small members are many, and each range costs the parent a request.
RANGE = 1 << 20
OPEN_FILES = 32
# A reader yields to the server, which may have one core for both: there it gets a quarter of it.
NICENESS = 5
_PR_SET_PDEATHSIG = 1


class HungUp(Exception):
    """The parent has closed its end."""


class Channel:
    """Both directions of the talk with the parent."""

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        self._incoming = incoming
        self._outgoing = outgoing

    def receive(self) -> dict[str, Any]:
        """The next frame. Raises HungUp."""
        (length,) = LENGTH.unpack(self.exactly(LENGTH.size))
        frame: dict[str, Any] = orjson.loads(self.exactly(length))
        return frame

    def exactly(self, length: int) -> bytes:
        """The next `length` bytes."""
        found = self._incoming.read(length)
        if len(found) < length:
            raise HungUp
        return found

    def send(self, frame: bytes) -> None:
        """Send one frame of JSON."""
        self._outgoing.write(LENGTH.pack(len(frame)) + frame)
        self._outgoing.flush()


class RemoteFile(io.RawIOBase):
    """An object of the store, read by range through the parent."""

    def __init__(self, channel: Channel, size: int) -> None:
        self._channel = channel
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move without reading; returns the new position."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError("a position cannot be negative")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Fill `buffer` as far as one range reaches."""
        length = max(0, min(len(buffer), RANGE, self._size - self._at))
        if not length:
            return 0
        self._channel.send(orjson.dumps({"read": [self._at, length]}))
        found = self._channel.exactly(self._channel.receive()["length"])
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)


def restrict(parent: int, memory: int) -> None:
    """Give up what reading an archive does not need. Ends the process if the parent is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # When memory is short the kernel should end this process, not the server.
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    if os.getppid() != parent:
        sys.exit(0)
    with contextlib.suppress(OSError):  # a sandbox may forbid it
        os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def allow_cpu(seconds: int) -> None:
    """Let the kernel end this process after `seconds` more seconds of CPU time. The kernel counts from the start."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used.ru_utime + used.ru_stime) + seconds, hard))


def inspect(channel: Channel, job: dict[str, Any]) -> bytes:
    """Run one job; returns the frame that answers it. Raises MemoryError at the limit."""
    module, _, function = job["reader"].partition(":")
    try:
        reader = cast("Callable[..., Any]", getattr(importlib.import_module(module), function))
        with _open(channel, job) as file:
            answer = orjson.dumps({"value": reader(file, **job["arguments"])})
    except Invalid as error:
        return orjson.dumps({"invalid": error.text})
    except Unavailable as error:
        return orjson.dumps({"unavailable": error.text})
    except (MemoryError, HungUp):
        raise
    except Exception:  # noqa: BLE001 - a mistake of the reader is for the parent to log
        return orjson.dumps({"failed": traceback.format_exc(limit=20)[-8000:]})
    if len(answer) > MAX_RESULT:
        return orjson.dumps({"invalid": f"the archive describes itself in more than {MAX_RESULT} bytes"})
    return answer


def _open(channel: Channel, job: dict[str, Any]) -> BinaryIO:
    if job["path"] is not None:
        return Path(job["path"]).open("rb")
    return io.BufferedReader(RemoteFile(channel, job["size"]), RANGE)


def main() -> NoReturn:
    """Serve jobs until the parent hangs up."""
    parent, memory = (int(text) for text in sys.argv[1:])
    # The channel moves away from stdin and stdout, so that a reader that prints cannot disturb it.
    channel = Channel(os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb"))
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    restrict(parent, memory)
    channel.send(orjson.dumps({"ready": True}))
    while True:
        try:
            job = channel.receive()
            allow_cpu(job["cpu"])
            answer = inspect(channel, job)
        except (HungUp, MemoryError):
            # The parent has gone, or takes the silence for what it is.
            sys.exit(0)
        channel.send(answer)


if __name__ == "__main__":
    main()
