"""Threads: what is too much to wait there is refused where it is asked for."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from registry.errors import TooBusy
from registry.threads import NICENESS, BoundedThreads, step_back


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


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a priority of their own on Linux")
def test_a_thread_that_steps_back_does_so_alone() -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = niceness()
    with ThreadPoolExecutor(1, initializer=step_back) as threads:
        assert min(19, before + NICENESS) == threads.submit(niceness).result()
    assert before == niceness()
