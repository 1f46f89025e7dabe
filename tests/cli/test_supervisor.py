"""The supervisor gives up when workers cannot start at all, and backs off when they die later."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from registry.cli import supervisor
from tests.cli.processes import REPOSITORY, environment


async def test_workers_that_cannot_start_end_everything(capfd: pytest.CaptureFixture[str]) -> None:
    told = asyncio.Event()
    async with asyncio.timeout(30):
        code = await supervisor.supervise(
            environment(nonsense="1") | {"PYTHONPATH": str(REPOSITORY)},
            2,
            stop_seconds=1,
            ready=told.set,
            alive=lambda: True,
        )
    assert (1, False) == (code, told.is_set())
    assert "registry: REGISTRY_NONSENSE is not a setting" in capfd.readouterr().err


async def test_a_worker_that_dies_again_and_again_is_started_more_and_more_slowly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A worker that says it is ready and dies; what it is started with is seen by how often it wrote its line.
    script = tmp_path / "worker"
    script.write_text(
        f"#!{sys.executable}\nprint('ready', flush=True)\nopen({str(tmp_path / 'starts')!r}, 'a').write('x')\n"
    )
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.setattr(supervisor, "BACKOFF_SECONDS", (0.1, 0.4))
    ready = asyncio.Event()
    serving = asyncio.create_task(
        supervisor.supervise(dict(os.environ), 1, stop_seconds=1, ready=ready.set, alive=lambda: True)
    )
    async with asyncio.timeout(30):
        await ready.wait()
        await asyncio.sleep(2)
        os.kill(os.getpid(), signal.SIGTERM)
        assert 0 == await serving
    # 0.1 + 0.2 + 0.4 + 0.4 + ...: without the back-off there would be dozens.
    assert 3 <= len((tmp_path / "starts").read_text()) <= 7
