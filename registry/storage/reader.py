"""A file view of a stored object, for code that runs in a thread and needs to seek."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING

from registry.storage import BlobStore

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

LONGEST_READ = 1024 * 1024  # bytes fetched at a time, whatever is asked for


class BlobFile(io.RawIOBase):
    """The object `key` of `size` bytes, read by range through the loop that owns the store.

    For another thread than the loop's. Wrap it: `io.BufferedReader(BlobFile(...), 256 * 1024)`.
    Reading raises what the store raises.
    """

    def __init__(self, store: BlobStore, key: str, size: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._store = store
        self._key = key
        self._size = size
        self._loop = loop
        self._position = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Bytes from the start."""
        self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move, possibly past the end, where there is nothing to read."""
        self._check_open()
        origins = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}
        if whence not in origins:
            raise ValueError(f"whence is 0, 1 or 2, not {whence}")
        position = origins[whence] + offset
        if position < 0:
            raise ValueError(f"there is nothing before the start, at {position}")
        self._position = position
        return position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill the buffer, or less of it: 0 only at the end."""
        self._check_open()
        with memoryview(buffer).cast("B") as view:
            length = min(len(view), self._size - self._position, LONGEST_READ)
            if length <= 0:
                return 0
            piece = self._fetch(self._position, length)
            view[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def _fetch(self, start: int, length: int) -> bytes:
        try:
            running: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is self._loop:
            raise RuntimeError("a BlobFile is read in a thread: here it would wait for itself")
        return asyncio.run_coroutine_threadsafe(self._store.read(self._key, start, length), self._loop).result()

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")
