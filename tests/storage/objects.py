"""Objects to store, and the shortest ways to store and see them."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path

from registry.storage import BlobStore

MIB = 1024 * 1024
KEY = "ab/cd/ef0123456789"


def pattern(size: int, seed: int = 0) -> bytes:
    return (hashlib.shake_128(str(seed).encode()).digest(64 * 1024 + 1) * (size // 65537 + 1))[:size]


async def put(store: BlobStore, key: str, content: bytes, *, pieces: int = MIB) -> None:
    writer = store.writer(key)
    for start in range(0, len(content), pieces):
        await writer.write(content[start : start + pieces])
    await writer.commit()


async def content_of(store: BlobStore, key: str) -> bytes:
    async with aclosing(store.stream(key)) as pieces:
        return b"".join([piece async for piece in pieces])


async def listed(store: BlobStore) -> list[tuple[str, int]]:
    async with aclosing(store.list()) as objects:
        return [(found.key, found.size) async for found in objects]


KILLED_WRITER = """
import asyncio, os, signal, sys
from registry.storage import open_store

async def main():
    async def opened(upload_id):
        print(upload_id, flush=True)
    async with open_store(sys.argv[1]) as store:
        writer = store.writer(sys.argv[2], opened=opened)
        await writer.write(b"x" * (18 << 20))
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def killed_writer(url: str) -> str:
    command = [sys.executable, "-c", KILLED_WRITER, url, KEY]
    done = await asyncio.to_thread(
        subprocess.run, command, stdout=subprocess.PIPE, check=False, timeout=60, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == -signal.SIGKILL
    return done.stdout.decode().strip()
