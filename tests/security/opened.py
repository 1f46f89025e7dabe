"""What this process does to the file system, as the interpreter's audit events tell it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

_EVENTS = frozenset({
    "open", "os.chmod", "os.link", "os.listdir", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.scandir",
    "os.symlink", "os.truncate",
})  # fmt: skip


# What the metrics of the process are read from, at /metrics.
_OF_THE_PROCESS = {"/proc/self/fd", "/proc/self/limits", "/proc/self/stat"}


class _Watch:
    """What was touched while somebody looked. One for the process: an audit hook cannot be taken back."""

    def __init__(self) -> None:
        self.noted: set[str] | None = None
        self.hooked = False

    def hook(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.noted is not None and event in _EVENTS:
            self.noted.update(os.fsdecode(one) for one in arguments[:2] if isinstance(one, str | bytes | os.PathLike))


_watch = _Watch()


@contextlib.contextmanager
def paths_outside(root: Path) -> Iterator[set[str]]:
    """The paths that are touched in the block and lie neither below `root` nor among the code and its templates."""
    if not _watch.hooked:
        sys.addaudithook(_watch.hook)
        _watch.hooked = True
    noted: set[str] = set()
    outside: set[str] = set()
    _watch.noted = noted
    try:
        yield outside
    finally:
        _watch.noted = None
        allowed = [root, *map(Path, (sys.prefix, sys.base_prefix)), Path(__file__).parents[2]]
        allowed = [directory.resolve() for directory in allowed]
        # The second argument of `open` is its mode; children are started with nothing to read.
        paths = [path for path in noted - _OF_THE_PROCESS - {os.devnull} if "/" in path or ".." in path or "\\" in path]
        outside.update(p for p in paths if not any(Path(p).resolve().is_relative_to(one) for one in allowed))
