"""Readers that run in the children of tests/test_inspection.py, most of them badly behaved."""

import os
import resource
import signal
import sys
import time
from typing import Any, BinaryIO

from registry.archives import open_zip, tar_members
from registry.errors import Invalid, Unavailable


def tar_names(file: BinaryIO) -> list[str]:
    return [member.name for member in tar_members(file)]


def zip_entry(file: BinaryIO, *, name: str) -> str:
    return open_zip(file).read(name, 1 << 20).decode()


def scattered(file: BinaryIO, *, positions: list[int], length: int) -> list[str]:
    found = []
    for position in positions:
        file.seek(position)
        found.append(file.read(length).hex())
    return found


def echo(file: BinaryIO, **arguments: Any) -> dict[str, Any]:
    return {"first": file.read(5).decode(), **arguments}


def pid(file: BinaryIO) -> int:
    return os.getpid()


def surroundings(file: BinaryIO) -> dict[str, Any]:
    return {
        "environment": sorted(os.environ),
        "memory": resource.getrlimit(resource.RLIMIT_AS)[0],
        "file size": resource.getrlimit(resource.RLIMIT_FSIZE),
        "core": resource.getrlimit(resource.RLIMIT_CORE),
        "files": resource.getrlimit(resource.RLIMIT_NOFILE),
        "niceness": os.getpriority(os.PRIO_PROCESS, 0),
        "server modules": sorted({"asyncio", "aiohttp", "asyncpg"} & sys.modules.keys()),
    }


def refuse(file: BinaryIO, *, text: str) -> None:
    raise Invalid(text)


def despair(file: BinaryIO, *, text: str) -> None:
    raise Unavailable(text)


def fail(file: BinaryIO) -> None:
    raise KeyError("a mistake in the reader")


def unserializable(file: BinaryIO) -> object:
    return "\ud800"


def burn_processor(file: BinaryIO) -> None:
    while True:
        pass


def work(file: BinaryIO, *, seconds: float) -> str:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return "done"


def nap(file: BinaryIO, *, seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def hold_memory(file: BinaryIO) -> int:
    held = []
    while True:
        held.append(bytes(16 << 20))


def crash(file: BinaryIO) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def leave(file: BinaryIO) -> None:
    os._exit(0)


def print_much(file: BinaryIO) -> str:
    print("x" * 100_000, flush=True)
    return "unharmed"


def write_a_file(file: BinaryIO, *, path: str) -> str:
    try:
        with open(path, "wb") as target:  # noqa: PTH123
            target.write(b"x")
    except OSError as error:
        return type(error).__name__
    return "written"


def long_answer(file: BinaryIO, *, size: int) -> str:
    return "x" * size


def wild_range(file: BinaryIO) -> None:
    raw: Any = file
    raw.raw._size = 1 << 40
    file.seek(1 << 30)
    file.read(1)


def overlong_frame(file: BinaryIO) -> None:
    raw: Any = file
    raw.raw._channel._outgoing.write(b"\xff\xff\xff\xff")
    raw.raw._channel._outgoing.flush()
    time.sleep(60)
