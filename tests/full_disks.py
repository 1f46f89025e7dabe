"""Disks of some megabytes, which tests can fill: only root may mount them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MIB = 1024 * 1024


class Disk:
    """A small file system at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self, *, leave: int = 0) -> None:
        """Take all room but `leave` bytes."""
        with self._ballast.open("wb", buffering=0) as ballast:
            try:
                while ballast.write(bytes(64 * 1024)):
                    pass
            except OSError:
                ballast.truncate(max(0, self._ballast.stat().st_size - leave))

    def empty(self) -> None:
        """Give it back."""
        self._ballast.unlink()


@contextmanager
def mounted(path: Path, size: int) -> Iterator[Disk]:
    """A file system of `size` bytes at `path`, or a skipped test where it cannot be had."""
    if sys.platform != "linux":
        pytest.skip("small disks are made with Linux' tmpfs")
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
