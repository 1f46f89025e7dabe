"""Threads: what is too much to wait there is refused where it is asked for."""

from __future__ import annotations

import asyncio
import threading

import pytest

from registry.errors import TooBusy
from registry.threads import BoundedThreads


async def test_a_job_too_many_is_refused_and_the_next_one_is_not() -> None:
    asyncio.get_running_loop().set_default_executor(BoundedThreads(2, jobs=5))
    going_on = threading.Event()
    jobs = [asyncio.create_task(asyncio.to_thread(going_on.wait, 5)) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(TooBusy):
        await asyncio.to_thread(len, "")
    going_on.set()
    assert [True] * 5 == await asyncio.gather(*jobs)
    assert [0] * 5 == await asyncio.gather(*(asyncio.to_thread(len, "") for _ in range(5)))
