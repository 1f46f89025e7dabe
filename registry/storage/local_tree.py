"""A tree of files reached through descriptors: the blocking half of the local store.

Directories are opened one by one, each relative to the one above and without following links, so a link planted in the
tree leads nowhere. What the operating system says is raised in the words of `registry.errors`.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from registry import failpoints
from registry.errors import Conflict, FileNotFound, StorageFull, Unavailable
from registry.storage import StoredObject, check_key

INCOMING = ".incoming"
"""The directory of unfinished files. Not a key, so never an object."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP})  # ELOOP, ENOTDIR: a link is in the way

# Non-blocking: a planted pipe must not hang a thread.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Tree:
    """The files below `root`. The root itself, and what is above it, may be links.

    `floor` bytes of the file system stay free: a database may share it, and deleting needs a little, too.
    """

    root: Path
    floor: int = 0

    def prepare(self) -> None:
        """Create what is missing, durably."""
        root = self.root.absolute()
        try:
            missing = [path for path in (root / INCOMING, root, *root.parents) if not path.exists()]
            for path in reversed(missing):
                path.mkdir(mode=0o750, exist_ok=True)
                _fsync(path.parent)
        except OSError as error:
            raise Unavailable(f"The directory of the object store cannot be created: {error.strerror}") from error

    def check_room(self, size: int) -> None:
        """Raise StorageFull when `size` bytes more would go below the floor."""
        if not self.floor:
            return
        try:
            room = os.statvfs(self.root)
        except OSError as error:
            raise Unavailable(f"The object store is away: {error.strerror}") from error
        if room.f_bavail * room.f_frsize - size < self.floor:
            raise StorageFull

    @contextmanager
    def opened(self, key: str) -> Iterator[tuple[int, int]]:
        """A descriptor of the object's file, and its size."""
        parents, _, name = key.rpartition("/")
        with _translated(key), self._directory(parents) as directory:
            descriptor = os.open(name, _READ, dir_fd=directory)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise FileNotFound(f"{key} is not stored")
            yield descriptor, status.st_size
        finally:
            os.close(descriptor)

    def size(self, key: str) -> int:
        """Bytes of the object."""
        with self.opened(key) as (_, size):
            return size

    def read(self, key: str, start: int, length: int) -> bytes:
        """The bytes there are in a range."""
        with self.opened(key) as (descriptor, size):
            return read(descriptor, start, min(length, max(0, size - start)))

    def delete(self, key: str) -> None:
        """Remove the object if it is there, durably."""
        parents, _, name = key.rpartition("/")
        with suppress(FileNotFound), _translated(key), self._directory(parents) as directory:
            os.unlink(name, dir_fd=directory)
            os.fsync(directory)

    def scan(self, path: str) -> list[StoredObject | str]:
        """One directory: objects as such, directories as their path, ordered so that all keys come in order."""
        found: dict[str, StoredObject | str] = {}
        with (
            suppress(FileNotFound),
            _translated(path or "the root"),
            self._directory(path) as directory,
            os.scandir(directory) as entries,
        ):
            for entry in entries:
                key = f"{path}/{entry.name}" if path else entry.name
                try:
                    check_key(key)
                    status = entry.stat(follow_symlinks=False)
                except (ValueError, FileNotFoundError):
                    continue  # not ours, or deleted just now
                if stat.S_ISDIR(status.st_mode):
                    found[f"{key}/"] = key
                elif stat.S_ISREG(status.st_mode):
                    found[key] = StoredObject(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))
        return [found[key] for key in sorted(found)]

    def scan_incoming(self) -> list[tuple[str, datetime]]:
        """The names of the unfinished files, and when each was written to last."""
        found = []
        with _translated(INCOMING), self._directory(INCOMING) as directory, os.scandir(directory) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    modified = entry.stat(follow_symlinks=False).st_mtime
                    found.append((entry.name, datetime.fromtimestamp(modified, UTC)))
        return sorted(found)

    def create_incoming(self, name: str) -> int:
        """A descriptor of a new unfinished file."""
        with _translated(name), self._directory(INCOMING) as directory:
            return os.open(name, _CREATE, 0o640, dir_fd=directory)

    def publish(self, incoming: str, key: str) -> None:
        """Give a finished file its name, durably. Raises Conflict when it is taken."""
        parents, _, name = key.rpartition("/")
        with _translated(key), self._directory(INCOMING) as source, self._directory(parents, create=True) as target:
            os.link(incoming, name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
            try:
                failpoints.reach_in_thread("local.after-link")
                os.fsync(target)
                os.unlink(incoming, dir_fd=source)
            except OSError:
                os.unlink(name, dir_fd=target)
                raise

    def delete_incoming(self, prefix: str) -> None:
        """Remove the unfinished files whose names start so."""
        with _translated(prefix), self._directory(INCOMING) as directory:
            for name in os.listdir(directory):  # noqa: PTH208 - a path can be replaced, a descriptor not
                if name.startswith(prefix):
                    with suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=directory)

    @contextmanager
    def _directory(self, path: str, *, create: bool = False) -> Iterator[int]:
        """A descriptor of a directory; what is created on the way is durable before it is given out."""
        try:
            descriptor = os.open(self.root, _DIRECTORY)
        except OSError as error:
            raise Unavailable(f"The object store is away: {error.strerror}") from error
        try:
            for name in path.split("/") if path else ():
                if create:
                    with suppress(FileExistsError):
                        os.mkdir(name, 0o750, dir_fd=descriptor)
                    # Always: another writer may have made the name and not have come to its fsync.
                    os.fsync(descriptor)
                inner = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)


def read(descriptor: int, start: int, length: int) -> bytes:
    """The bytes there are in a range of an open file."""
    pieces = []
    with _translated("an open object"):
        while length and (piece := os.pread(descriptor, length, start)):
            pieces.append(piece)
            start += len(piece)
            length -= len(piece)
    return b"".join(pieces)


def append(descriptor: int, content: bytes, key: str) -> None:
    """Write all of it."""
    rest = memoryview(content)
    with _translated(key):
        failpoints.reach_in_thread("local.before-write")
        while rest:
            rest = rest[os.write(descriptor, rest) :]


def finish(descriptor: int, key: str) -> None:
    """Put an open file on the disk."""
    with _translated(key):
        failpoints.reach_in_thread("local.before-sync")
        os.fsync(descriptor)


def _fsync(directory: Path) -> None:
    descriptor = os.open(directory, _DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _translated(key: str) -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        raise Conflict(f"{key} is already stored") from error
    except OSError as error:
        if error.errno in ABSENT:
            raise FileNotFound(f"{key} is not stored") from error
        if error.errno in FULL:
            raise StorageFull from error
        raise Unavailable(f"The object store failed at {key}: {error.strerror}") from error
