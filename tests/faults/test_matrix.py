"""Every failpoint, every format, every store: a fault, the client's retry, and then nothing is lost or left over.

A cell is one deed of a client that comes by one failpoint. Whatever happens there, everybody sees the state before it
or the state after it and nothing in between, a retry leads to the state after it, the invariants hold, and the clean-up
leaves exactly what is referred to.
"""

from __future__ import annotations

import asyncio
import signal

import aiohttp
import pytest

from registry import failpoints
from registry.services import Services
from tests.faults import invariants
from tests.faults.conftest import Fork, NewPlace
from tests.faults.deeds import DEEDS, PART, Deed, Place, Seen, seen
from tests.faults.matrix import STORES, Cell, cells
from tests.people import People

# A retry that meets the hanging request's locks gets this long before that one may go on.
MEANWHILE_SECONDS = 0.1
SMALL_PARTS = {"registry__storage__s3_writer__PART": PART}

everywhere = pytest.mark.parametrize(
    ("storage_url", "package_type"),
    [pytest.param(store, kind, id=f"{kind}-{store}") for store in STORES for kind in ("pypi", "npm")],
    indirect=["storage_url"],
)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry.storage.s3_writer.PART", PART)
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", PART)


@pytest.fixture
def store(services: Services) -> str:
    return "s3" if services.store.path("0") is None else "local"


async def states(deed: Deed, new_place: NewPlace, port: int) -> tuple[Seen, Seen]:
    """What everybody sees before and after a deed that nothing goes wrong with."""
    place = await new_place()
    for ready in deed.ready:
        await ready(place, port)
    before = await seen(place, port, deed.package_type)
    assert await deed.act(place, port) in deed.done
    after = await seen(place, port, deed.package_type)
    assert deed.changes == (before != after)
    return before, after


class Trial:
    """The trials of the cells of one store and format; what deeds do undisturbed is looked up once."""

    def __init__(self, services: Services, people: People, new_place: NewPlace) -> None:
        self.services = services
        self.port = people.client.port or 0
        self.new_place = new_place
        self._states: dict[str, tuple[Seen, Seen]] = {}

    async def begin(self, cell: Cell) -> tuple[Place, Deed, Seen, Seen]:
        deed = DEEDS[cell.deed]
        if cell.deed not in self._states:
            self._states[cell.deed] = await states(deed, self.new_place, self.port)
        place = await self.new_place()
        for ready in deed.ready:
            await ready(place, self.port)
        return place, deed, *self._states[cell.deed]

    async def fails(self, cell: Cell, action: str, status: int) -> None:
        """A cell in which the client is told of the fault, and tries again."""
        place, deed, before, after = await self.begin(cell)
        failpoints.arm(f"{cell.point}#{cell.time}:{action}")
        assert status == await deed.act(place, self.port)
        failpoints.arm(None)
        assert (after if cell.committed else before) == await seen(place, self.port, deed.package_type)
        assert [] == await invariants.violations(self.services, place.project)
        assert await deed.act(place, self.port) in deed.done | deed.again
        await self.end(place, deed, after)

    async def end(self, place: Place, deed: Deed, after: Seen, *ports: int) -> None:
        """The deed is done: so says every replica, now and after the clean-up, which leaves nothing behind."""
        await invariants.clean(self.services)
        assert [] == await invariants.left_over(self.services)
        assert [] == await invariants.violations(self.services, place.project)
        for port in (self.port, *ports):
            assert after == await seen(place, port, deed.package_type)


@pytest.fixture
def trial(services: Services, people: People, new_place: NewPlace) -> Trial:
    return Trial(services, people, new_place)


@everywhere
async def test_a_server_killed_anywhere_leaves_nothing_half_done_and_a_retry_converges(
    trial: Trial, fork: Fork, store: str, package_type: str, subtests: pytest.Subtests
) -> None:
    async with fork(**SMALL_PARTS) as restarted:
        for cell in cells(store, package_type):
            with subtests.test(str(cell)):
                place, deed, before, after = await trial.begin(cell)
                async with fork(f"{cell.point}#{cell.time}:kill", **SMALL_PARTS) as victim:
                    with pytest.raises(aiohttp.ClientError):
                        await deed.act(place, victim.port)
                    assert -signal.SIGKILL == await victim.end()
                # Committed is committed, though nobody was told.
                assert (after if cell.committed else before) == await seen(place, trial.port, package_type)
                assert [] == await invariants.violations(trial.services, place.project)
                assert await deed.act(place, restarted.port) in deed.done | deed.again
                await trial.end(place, deed, after, restarted.port)


@everywhere
async def test_an_exception_anywhere_is_an_error_of_the_server_and_a_retry_converges(
    trial: Trial, store: str, package_type: str, subtests: pytest.Subtests
) -> None:
    for cell in cells(store, package_type):
        with subtests.test(str(cell)):
            await trial.fails(cell, "raise", 500)


@pytest.mark.parametrize("package_type", ["pypi", "npm"])
async def test_a_full_disk_anywhere_is_told_and_a_retry_converges_once_there_is_room(
    trial: Trial, package_type: str, subtests: pytest.Subtests
) -> None:
    for cell in cells("local", package_type):
        if cell.point.startswith("local."):
            with subtests.test(str(cell)):
                await trial.fails(cell, "full", 507)


@everywhere
async def test_a_request_that_hangs_anywhere_stops_nobody_and_may_end_later(
    trial: Trial, store: str, package_type: str, subtests: pytest.Subtests
) -> None:
    for cell in cells(store, package_type):
        with subtests.test(str(cell)):
            place, deed, before, after = await trial.begin(cell)
            failpoints.arm(f"{cell.point}#{cell.time}:hang")
            hanging = asyncio.create_task(deed.act(place, trial.port))
            await reached(cell.time)
            # Everybody else is served meanwhile.
            assert (after if cell.committed else before) == await seen(place, trial.port, package_type)
            retry = asyncio.create_task(deed.act(place, trial.port))
            await asyncio.wait([retry], timeout=MEANWHILE_SECONDS)
            failpoints.arm(None)
            # Both are told that it is done, or one of them that the other was faster.
            assert {await hanging, await retry} <= deed.done | deed.again | {409}
            await trial.end(place, deed, after)


async def reached(times: int) -> None:
    """Wait until the armed failpoint has been come to so many times."""
    async with asyncio.timeout(30):
        while failpoints.reached() < times:
            await asyncio.sleep(0.005)
