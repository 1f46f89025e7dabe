"""Inspection: archives of strangers are read in child processes with limited memory, time and files.

A decompressor or parser that is tricked into using too much ends with its child; the event loop does not notice. The
children live as long as the inspector and are started when first needed. They inherit no environment, and see only the
one object they are asked to read: as a local file when the store has one, else by range through this process.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import orjson

from registry import failpoints
from registry.errors import Invalid, TooBusy, Unavailable
from registry.inspection_child import LENGTH, MAX_RESULT, RANGE

log = logging.getLogger(__name__)

MIB = 1 << 20
TOO_MUCH = "the archive takes too much time or memory to read"
START_SECONDS = 30
END_SECONDS = 5
LEAST_MEMORY = 64 * MIB


class Source(Protocol):
    """The two methods of a BlobStore that are needed here."""

    async def read(self, key: str, start: int, length: int) -> bytes:
        """The bytes of an object in a range, fewer at its end."""

    def path(self, key: str) -> Path | None:
        """The local file of an object, if there is one."""


class Inspector:
    """A pool of child processes that run archive readers.

    children: how many readers run at the same time.
    memory: bytes of address space of a child, at least 64 MiB; interpreter and readers take about 30 MiB of it.
    cpu_seconds, wall_seconds: what one reader may take.
    waiting, wait_seconds: how many callers may wait for a free child, and how long, before they are told TooBusy.
    allowed_prefix: where readers may come from.
    """

    def __init__(
        self,
        children: int = 2,
        *,
        memory: int = 512 * MIB,
        cpu_seconds: int = 20,
        wall_seconds: float = 60,
        waiting: int = 64,
        wait_seconds: float = 30,
        allowed_prefix: str = "registry.",
    ) -> None:
        if memory < LEAST_MEMORY:
            raise ValueError(f"a child needs {LEAST_MEMORY} bytes of memory, not {memory}")
        self._memory = memory
        self._cpu_seconds = cpu_seconds
        self._wall_seconds = wall_seconds
        self._waiting_left = waiting
        self._wait_seconds = wait_seconds
        self._allowed_prefix = allowed_prefix
        # One slot per child, empty until it is started; the child used last is the next one to be used.
        self._slots: asyncio.LifoQueue[_Child | None] = asyncio.LifoQueue()
        for _ in range(children):
            self._slots.put_nowait(None)
        self._children: set[_Child] = set()
        self._ending: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all children. Nobody should be waiting for one any more."""
        for child in tuple(self._children):
            self._end(child)
        await asyncio.gather(*self._ending)

    async def run(self, reader: str, store: Source, key: str, size: int, /, **arguments: Any) -> Any:
        """Call `reader`, `"package.module:function"`, as `function(file, **arguments)` in a child.

        `file` is the seekable object `key` of `size` bytes; `arguments` and the result are JSON, the result at most
        8 MiB of it. Raises Invalid with the text of the Invalid that the reader raised, or when the reader fails or
        takes too much; TooBusy when no child becomes free in time; Unavailable when none can be started or the reader
        raised it; and what `store.read` raises.
        """
        if not reader.startswith(self._allowed_prefix):
            raise ValueError(f"{reader} is not a reader: its module must begin with {self._allowed_prefix}")
        await failpoints.reach("inspection.before-reading")
        path = store.path(key)
        job = {
            "reader": reader,
            "arguments": arguments,
            "size": size,
            "path": None if path is None else str(path.absolute()),
            "cpu": self._cpu_seconds,
        }
        answer = await self._answer(orjson.dumps(job), store, key, size)
        match answer:
            case {"value": value}:
                return value
            case {"invalid": str(text)}:
                raise Invalid(text)
            case {"unavailable": str(text)}:
                log.error("The reader %s: %s", reader, text)
                raise Unavailable(text)
            case _:
                log.error("The archive reader %s failed", reader, extra={"key": key, "failure": answer.get("failed")})
                raise Invalid("the archive cannot be read")

    async def _answer(self, job: bytes, store: Source, key: str, size: int) -> dict[str, Any]:
        """Have a child do the job. A child that does not come to its end in peace is replaced."""
        child = await self._free_slot()
        peace = False
        try:
            if child is not None and child.process.returncode is not None:
                self._end(child)  # something else has killed it while it was idle
                child = None
            if child is None:
                child = await self._start()
            async with asyncio.timeout(self._wall_seconds):
                answer = await child.do(job, store, key, size)
            peace = True
        except (TimeoutError, _Lost) as error:
            raise Invalid(TOO_MUCH) from error
        else:
            return answer
        finally:
            if child is not None and not peace:
                self._end(child)
            self._slots.put_nowait(child if peace else None)

    async def _free_slot(self) -> _Child | None:
        if self._waiting_left <= 0 and self._slots.empty():
            raise TooBusy("too many archives are being read, try again later")
        self._waiting_left -= 1
        try:
            async with asyncio.timeout(self._wait_seconds):
                return await self._slots.get()
        except TimeoutError as error:
            raise TooBusy("too many archives are being read, try again later") from error
        finally:
            self._waiting_left += 1

    async def _start(self) -> _Child:
        """Start a child and wait until its limits are in force."""
        try:
            child = _Child(await _process(self._memory))
        except OSError as error:
            raise _cannot_start(error) from error
        self._children.add(child)
        ready = False
        try:
            async with asyncio.timeout(START_SECONDS):
                await child.receive()
            ready = True
        except (TimeoutError, _Lost) as error:
            raise _cannot_start(error) from error
        finally:
            if not ready:
                self._end(child)
        return child

    def _end(self, child: _Child) -> None:
        """Kill a child; it is awaited in the background, at the latest when the inspector ends."""
        if child not in self._children:
            return
        self._children.remove(child)
        child.kill()
        task = asyncio.create_task(child.gone())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def _cannot_start(error: Exception) -> Unavailable:
    log.error("A process for reading archives cannot be started", exc_info=error)
    return Unavailable("archives cannot be read for the moment")


async def _process(memory: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-B", "-m", "registry.inspection_child", str(os.getpid()), str(memory)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PYTHONPATH": _module_path()},
        start_new_session=True,  # the terminal's Ctrl-C is for the parent
    )


def _module_path() -> str:
    """Where this process finds its modules; the child is to find the same ones."""
    return os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)


class _Lost(Exception):
    """The child has ended, or says what it must not say."""


class _Child:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("a child is talked to over stdin and stdout")
        self.process = process
        self._to = process.stdin
        self._from = process.stdout

    async def do(self, job: bytes, store: Source, key: str, size: int) -> dict[str, Any]:
        """Hand over the job and serve its reads until it answers."""
        await self._send(job)
        while True:
            frame = await self.receive()
            match frame:
                case {"read": [int(start), int(length)]}:
                    if not (0 <= start < size and 0 < length <= RANGE):
                        raise _Lost
                    content = await store.read(key, start, length)
                    await self._send(orjson.dumps({"length": len(content)}), content)
                case {"value": _} | {"invalid": str()} | {"unavailable": str()} | {"failed": str()}:
                    return frame
                case _:
                    raise _Lost

    async def receive(self) -> dict[str, Any]:
        """The next frame. Raises _Lost."""
        try:
            (length,) = LENGTH.unpack(await self._from.readexactly(LENGTH.size))
            if length > MAX_RESULT:
                raise _Lost
            frame = orjson.loads(await self._from.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError, orjson.JSONDecodeError) as error:
            raise _Lost from error
        if not isinstance(frame, dict):
            raise _Lost
        return frame

    async def _send(self, frame: bytes, content: bytes = b"") -> None:
        try:
            self._to.writelines((LENGTH.pack(len(frame)), frame, content))
            await self._to.drain()
        except ConnectionError as error:
            raise _Lost from error

    def kill(self) -> None:
        """End the process, unless it has hung up and is ending: asyncio warns when it kills one that is dead."""
        if not self._from.at_eof():
            with suppress(ProcessLookupError):
                self.process.kill()

    async def gone(self) -> None:
        """Wait for the end of the process, emptying its pipe: with a full one the end would not be noticed."""
        self._to.close()
        try:
            async with asyncio.timeout(END_SECONDS):
                await self.process.communicate()
        except TimeoutError:
            with suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
