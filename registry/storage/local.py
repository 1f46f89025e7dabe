"""The local directory store: an object with key `ab/cd` is the file `ab/cd` below the root.

A file being written has a hidden name in `.incoming`, derived from its key; it gets its final name by `link`, which
fails when the name is taken, after its bytes are on the disk. Directories are opened one by one, relative to each
other and without following links, so a link planted in the tree leads nowhere. Directories stay when they get empty.

All work happens in threads. It is for one machine: several processes may share the directory, several machines not.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import stat
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import ParamSpec, TypeVar

from registry.errors import FileNotFound, RegistryError, Unavailable
from registry.storage import Opened, StoredObject, UnfinishedUpload, check_key, check_range, local_tree
from registry.storage.local_tree import Tree

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

PIECE = 256 * 1024  # bytes per trip to a thread: less costs more trips, more holds the disk's lock longer


async def connect(root: Path, *, floor: int = 0) -> LocalStore:
    """The store below `root`, which is created if necessary; `floor` bytes of its file system stay free."""
    tree = Tree(root, floor)
    await _in_thread(tree.prepare)
    return LocalStore(tree)


class LocalStore:
    """See `registry.storage.BlobStore`."""

    public_host: str | None = None

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    async def admit(self, size: int) -> None:
        """Raise StorageFull unless there is room for `size` bytes."""
        await _in_thread(self._tree.check_room, size)

    def writer(self, key: str, *, opened: Opened | None = None) -> LocalWriter:
        """Start an object. There are no multipart uploads, so `opened` is never called."""
        del opened
        return LocalWriter(self._tree, check_key(key))

    async def size(self, key: str) -> int:
        """Bytes of the object."""
        return await _in_thread(self._tree.size, check_key(key))

    async def read(self, key: str, start: int, length: int) -> bytes:
        """Exactly the bytes there are in the range."""
        check_range(start, length)
        return await _in_thread(self._tree.read, check_key(key), start, length)

    async def stream(self, key: str, start: int = 0, length: int | None = None) -> AsyncGenerator[bytes]:
        """The bytes of a range, in pieces."""
        check_range(start, length)
        with ExitStack() as files:
            # Opened once: a file deleted meanwhile is still read to its end.
            descriptor, end = await _in_thread(files.enter_context, self._tree.opened(check_key(key)))
            if length is not None:
                end = min(end, start + length)
            while start < end and (
                piece := await _in_thread(local_tree.read, descriptor, start, min(PIECE, end - start))
            ):
                yield piece
                start += len(piece)

    async def delete(self, key: str) -> None:
        """Remove the object; an absent one is fine."""
        await _in_thread(self._tree.delete, check_key(key))

    async def abort_upload(self, key: str, upload_id: str | None) -> None:
        """Remove the temporary files of writers that died. There are no upload ids here."""
        del upload_id
        await _in_thread(self._tree.delete_incoming, _incoming_prefix(check_key(key)))

    async def list(self) -> AsyncGenerator[StoredObject]:
        """Every complete object, ordered by key."""
        entries = [*reversed(await _in_thread(self._tree.scan, ""))]
        while entries:
            entry = entries.pop()
            if isinstance(entry, StoredObject):
                yield entry
            else:
                entries += reversed(await _in_thread(self._tree.scan, entry))

    async def unfinished(self) -> AsyncGenerator[UnfinishedUpload]:
        """The temporary files; `begun` is when one was written to last."""
        for name, modified in await _in_thread(self._tree.scan_incoming):
            with suppress(ValueError):
                yield UnfinishedUpload(_incoming_key(name), None, modified)

    def path(self, key: str) -> Path | None:
        """The file of the object, which may be absent; None when a link is in the way."""
        path = str(self._tree.root)
        for name in check_key(key).split("/"):
            path = f"{path}/{name}"
            # Each download asks, and pathlib takes several times as long. Who cannot tell, raises.
            with suppress(FileNotFoundError, NotADirectoryError):
                if stat.S_ISLNK(os.lstat(path).st_mode):
                    return None
        return Path(path)

    def presign(self, key: str, *, file_name: str, now: datetime) -> str | None:
        """None: a directory has no URLs."""
        del file_name, now
        check_key(key)
        return None

    async def close(self) -> None:
        """Nothing is held open."""


class LocalWriter:
    """See `registry.storage.BlobWriter`."""

    def __init__(self, tree: Tree, key: str) -> None:
        self._tree = tree
        self._key = key
        self._name = f"{_incoming_prefix(key)}{secrets.token_hex(8)}"
        self._descriptor: int | None = None
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._published = False
        self._done = False

    async def write(self, piece: bytes) -> None:
        """Append a piece of any size."""
        self._check_open()
        self._pieces.append(piece)
        self._waiting += len(piece)
        if self._waiting >= PIECE:
            await self._run(self._flush)

    async def commit(self) -> None:
        """Give the complete file its name, durably."""
        self._check_open()
        await self._run(self._publish)
        self._done = True

    async def abort(self) -> None:
        """Remove the temporary file."""
        if not self._done:
            self._done = True
            await _in_thread(self._discard)

    def _check_open(self) -> None:
        if self._done:
            raise RuntimeError(f"the writer of {self._key} is finished")

    async def _run(self, job: Callable[[], object]) -> None:
        try:
            await _in_thread(job)
        except BaseException as error:
            try:
                await self.abort()
            except RegistryError:
                log.warning("A temporary file could not be removed", extra={"key": self._key}, exc_info=True)
            if isinstance(error, FileNotFound):
                raise Unavailable(f"{self._key} cannot be finished: what was sent of it has been removed") from error
            raise

    def _flush(self) -> int:
        self._tree.check_room(self._waiting)
        if self._descriptor is None:
            self._descriptor = self._tree.create_incoming(self._name)
        local_tree.append(self._descriptor, b"".join(self._pieces), self._key)
        self._pieces.clear()
        self._waiting = 0
        return self._descriptor

    def _publish(self) -> None:
        local_tree.finish(self._flush(), self._key)
        self._close()
        self._tree.publish(self._name, self._key)
        self._published = True

    def _discard(self) -> None:
        self._pieces.clear()
        self._close()
        self._tree.delete_incoming(self._name)
        if self._published:  # and the caller of commit was cancelled before it could learn it
            self._tree.delete(self._key)

    def _close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)


def _incoming_prefix(key: str) -> str:
    return f"{key.replace('/', '-')}."  # keys have no dash and no dot: no two keys share a prefix


def _incoming_key(name: str) -> str:
    """The key of an unfinished file. Raises ValueError for a file that is not ours."""
    return check_key(name.rpartition(".")[0].replace("-", "/"))


async def _in_thread(job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a job in a thread. A cancelled caller waits for its end: until then the job uses the caller's descriptors."""
    task = asyncio.ensure_future(asyncio.to_thread(job, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # looked at: the cancellation is what the caller learns
        raise
