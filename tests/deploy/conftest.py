"""Fixtures of the tests of what is deployed: programs, and the chart's manifests for several sets of values."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import pytest

from tests import programs
from tests.clients import toolbox
from tests.clients.process import Client

Found = TypeVar("Found")


@pytest.fixture(scope="session")
def find_client() -> Callable[[str], Client]:
    """Look up a client or tool of the toolbox; a missing one fails the test under CI and skips it elsewhere."""
    return lambda name: present(lambda: toolbox.find(name))


@pytest.fixture(scope="session")
def helm_python(find_client: Callable[[str], Client]) -> str:
    """The interpreter that has Helm."""
    return find_client("helm").command[0]


@pytest.fixture(scope="session")
def promtool() -> str:
    """Prometheus' own checker of rules."""
    return present(lambda: programs.find("promtool"))


@pytest.fixture(scope="session")
def nginx() -> str:
    """The balancer."""
    return present(lambda: programs.find("nginx"))


def present(look: Callable[[], Found]) -> Found:
    """What was looked up; absent, it fails the test under CI and skips it elsewhere."""
    try:
        return look()
    except toolbox.Missing as missing:
        if os.environ.get("CI"):
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))
