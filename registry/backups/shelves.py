"""Shelves: the directory or tar file that a backup is put into and taken from. All of it blocks."""

from __future__ import annotations

import errno
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Protocol

from registry.backups import DATABASE, DESCRIPTION, OBJECTS
from registry.errors import Invalid
from registry.storage import check_key

# What link(2) says about another file system, and about one that cannot link or has linked enough.
_NO_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP})


class Shelf(Protocol):
    """Where a backup is put. It exists, and is complete, only after `close`."""

    def add(self, name: str, source: Path) -> None:
        """Put a file in, which stays where it is."""

    def close(self, description: bytes) -> None:
        """Put the description in, durably."""


@contextmanager
def written(target: Path) -> Iterator[Shelf]:
    """A new shelf: a tar file if the name ends in `.tar`, else a directory. What is left by a failure is removed.

    Raises Invalid when there is something already.
    """
    if target.suffix == ".tar":
        if target.exists():
            raise Invalid(f"{target} exists already")
        partial = target.with_name(f"{target.name}.partial")
        with _removed_on_failure(partial):
            shelf = _Tar(partial, target)
            try:
                yield shelf
            finally:
                shelf.release()
        return
    if target.exists() and any(target.iterdir()):
        raise Invalid(f"{target} is not empty")
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _removed_on_failure(target):
        yield _Directory(target)


class _Directory:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._made = {root}

    def add(self, name: str, source: Path) -> None:
        target = self._root / name
        if target.parent not in self._made:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._made.add(target.parent)
        try:
            os.link(source, target, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            shutil.copyfile(source, target)
            _fsync(target)

    def close(self, description: bytes) -> None:
        for directory in self._made:
            for path in (directory, *directory.parents):
                _fsync(path)
                if path == self._root:
                    break
        partial = self._root / f"{DESCRIPTION}.partial"
        partial.write_bytes(description)
        _fsync(partial)
        partial.replace(self._root / DESCRIPTION)
        _fsync(self._root)


class _Tar:
    def __init__(self, partial: Path, target: Path) -> None:
        self._partial, self._target = partial, target
        self._file = open(partial, "wb", opener=lambda name, flags: os.open(name, flags, 0o600))  # noqa: SIM115
        self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115

    def add(self, name: str, source: Path) -> None:
        with source.open("rb") as file:
            member = tarfile.TarInfo(name)
            member.size, member.mode = os.fstat(file.fileno()).st_size, 0o600
            self._tar.addfile(member, file)

    def close(self, description: bytes) -> None:
        text = self._partial.with_name(f"{self._partial.name}.json")
        text.write_bytes(description)
        try:
            self.add(DESCRIPTION, text)
        finally:
            text.unlink()
        self._tar.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._partial.replace(self._target)
        _fsync(self._target.parent)

    def release(self) -> None:
        """Let go of the file, whatever happened."""
        self._file.close()


class Source:
    """A complete backup. Raises Invalid when it is none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tar: tarfile.TarFile | None = None
        if path.is_file():
            try:
                self._tar = tarfile.open(path, "r:")  # noqa: SIM115
            except tarfile.TarError as error:
                raise Invalid(f"{path} is no tar file") from error

    def read(self, name: str) -> IO[bytes]:
        """Open a file of the backup."""
        try:
            if self._tar is None:
                return (self._path / name).open("rb")
            member = self._tar.extractfile(name)
        except (KeyError, FileNotFoundError, NotADirectoryError) as error:
            raise Invalid(f"{self._path} holds no complete backup: {name} is missing") from error
        if member is None:
            raise Invalid(f"{self._path}: {name} is not a file")
        return member

    def keys(self) -> Iterator[str]:
        """The keys of the objects. What else lies there is left out: nothing is ever extracted by a name of its own."""
        if self._tar is None:
            root = self._path / OBJECTS
            names: Iterator[str] = (str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
        else:
            prefix = f"{OBJECTS}/"
            names = (m.name.removeprefix(prefix) for m in self._tar if m.isreg() and m.name.startswith(prefix))
        for name in names:
            with suppress(ValueError):
                yield check_key(name)

    def copy_database(self, target: Path) -> None:
        """Copy the dump out."""
        with self.read(DATABASE) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file)

    def close(self) -> None:
        """Close the tar file."""
        if self._tar is not None:
            self._tar.close()


@contextmanager
def _removed_on_failure(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        if path.is_dir():
            for inner in path.iterdir():
                shutil.rmtree(inner, ignore_errors=True) if inner.is_dir() else inner.unlink(missing_ok=True)
        else:
            path.unlink(missing_ok=True)
        raise


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
