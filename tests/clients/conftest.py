"""Fixtures of the tests that drive real clients."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from tests.clients import corpus, toolbox
from tests.clients.corpus import CorpusFile
from tests.clients.process import Client

Found = TypeVar("Found")


@pytest.fixture(scope="session")
def find_client() -> Callable[[str], Client]:
    """Look up a client of `toolbox.NAMES`; a missing one fails the test under CI and skips it elsewhere."""
    return lambda name: _present(lambda: toolbox.find(name))


@pytest.fixture(scope="session")
def corpus_path() -> Callable[[CorpusFile], Path]:
    """Look up a fetched corpus file, its digest checked; a missing one is treated as a missing client."""
    return lambda file: _present(lambda: corpus.path(file))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home directory to keep between the runs of one test: settings are written to it, caches grow in it."""
    directory = tmp_path / "home"
    directory.mkdir()
    return directory


def _present(look: Callable[[], Found]) -> Found:
    try:
        return look()
    except toolbox.Missing as missing:
        if os.environ.get("CI"):
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))
