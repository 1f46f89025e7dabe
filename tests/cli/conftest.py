"""Places for registries in processes of their own, and commands run inside this one."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from registry import cli, failpoints


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that the account of root's embedded Postgres may enter, which tmp_path is not."""
    yield from a_place()


@pytest.fixture(scope="module")
def shared_place() -> Iterator[Path]:
    """One for several tests, which saves making a cluster for each."""
    yield from a_place()


def a_place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="serve-", dir="/tmp") as directory:  # sockets need short paths
        Path(directory).chmod(0o755)
        yield Path(directory)


@dataclass(frozen=True)
class Ran:
    """What became of a command."""

    code: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[str]:
        return self.stdout.splitlines()


Run = Callable[..., Ran]


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database_url: str
) -> Iterator[Run]:
    """Run a command here: `run("user", "list", storage_url=...)`; on a database and local objects of its own."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    # The S3 server of the tests is a thread of this process.
    monkeypatch.setattr(logging.getLogger("werkzeug"), "disabled", True)
    for name in [name for name in os.environ if name.startswith("REGISTRY_")]:
        monkeypatch.delenv(name)

    def one(*arguments: str, **settings: str) -> Ran:
        with monkeypatch.context() as patch:
            for name, value in {"database_url": database_url, "data_dir": str(tmp_path), **settings}.items():
                patch.setenv(f"REGISTRY_{name.upper()}", value)
            capsys.readouterr()
            code = cli.main(arguments)
            return Ran(code, *capsys.readouterr())

    yield one
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    failpoints.arm(None)
