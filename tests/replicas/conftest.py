"""Places for a fleet, and an application of three replicas behind a balancer for the suites of single clients."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer
from yarl import URL

from registry import app
from registry.services import Services
from tests.clients.conftest import corpus_path, find_client, home
from tests.clients.toolbox import Missing
from tests.conftest import ProductionServer
from tests.replicas.balancer import balancing, free_ports

__all__ = ["corpus_path", "find_client", "home"]


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory with a short path for data and logs."""
    with tempfile.TemporaryDirectory(prefix="fleet-", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture
async def server(services: Services, database_url: str) -> AsyncIterator[TestServer]:
    """Three applications, each with caches of its own, on one database and one store."""
    (port,) = free_ports(1)
    settings = services.settings.model_copy(update={"external_url": f"http://127.0.0.1:{port}"})
    object.__setattr__(services.settings, "external_url", settings.external_url)
    async with AsyncExitStack() as stack:
        others = [await stack.enter_async_context(app.open_services(settings, database_url)) for _ in range(2)]
        siblings = []
        for one in others:
            sibling = ProductionServer(app.make_app(one), host="127.0.0.1")
            await stack.enter_async_context(sibling)
            siblings.append(sibling.port or 0)
        first = ProductionServer(app.make_app(services), host="127.0.0.1")
        await stack.enter_async_context(first)
        try:
            stack.enter_context(balancing(port, [first.port or 0, *siblings]))
        except Missing as missing:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(str(missing))
        # What clients are told is the balancer's address.
        first.port, first._root = port, URL(f"http://127.0.0.1:{port}")
        yield first
