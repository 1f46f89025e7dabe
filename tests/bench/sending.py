"""Sending: uploads as twine sends them, of bytes that are made on the way; `python -m tests.bench.sending PORT PATH`
sends 50 MiB one after another until it is ended, and prints a line for each.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import itertools
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.bench import seed
from tests.bench.measuring import MIB
from tests.formats.pypi import forms

SIZE = 50 * MIB
_BLOCK = os.urandom(MIB)
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Content:
    """`size` bytes, the same every time within this process."""

    size: int

    def pieces(self) -> Iterator[bytes]:
        """The bytes, a MiB at a time."""
        for number in range(self.size // MIB):
            yield number.to_bytes(8, "big") + _BLOCK[8:]
        yield _BLOCK[: self.size % MIB]

    def digests(self) -> dict[str, str]:
        """What twine declares."""
        return _digests(self)


@functools.cache
def _digests(content: Content) -> dict[str, str]:
    hashes: dict[str, Any] = {
        "sha256_digest": hashlib.sha256(),
        "md5_digest": hashlib.md5(usedforsecurity=False),
        "blake2_256_digest": hashlib.blake2b(digest_size=32),
    }
    for piece in content.pieces():
        for one in hashes.values():
            one.update(piece)
    return {name: one.hexdigest() for name, one in hashes.items()}


async def upload(port: int, path: str, content: Content, **fields: str) -> None:
    """Send a form with a file under a name that nobody has seen before. Raises RuntimeError when it is refused."""
    version = f"{os.getpid()}.{next(_numbers)}"
    form = forms.upload(version=version, file_name=f"demo-{version}.tar.gz", content=b"@@", **fields)
    head, _, tail = form.partition(b"@@")
    length = len(head) + content.size + len(tail)
    headers = {"Content-Type": forms.CONTENT_TYPE, "Content-Length": str(length)}
    await send("POST", port, path, headers, [head], content.pieces(), [tail])


async def send(
    method: str, port: int, path: str, headers: Mapping[str, str], *parts: Iterator[bytes] | list[bytes]
) -> None:
    """One request on a connection of its own."""
    lines = [f"{method} {path} HTTP/1.1", "Host: bench", f"Authorization: Bearer {seed.TOKEN}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write("\r\n".join([*lines, "", ""]).encode())
        for piece in itertools.chain(*parts):
            writer.write(piece)
            await writer.drain()
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201")):
            raise RuntimeError((answer + await reader.read(1000)).decode())
    finally:
        writer.close()


async def _forever(port: int, path: str) -> None:
    content = Content(SIZE)
    declared = content.digests()
    while True:
        await upload(port, path, content, **declared)
        print("sent", flush=True)


if __name__ == "__main__":
    asyncio.run(_forever(int(sys.argv[1]), sys.argv[2]))
