"""A replica cut off from Postgres or from its object store: what clients are told, what goes on, how it recovers.

The replica is a process of its own behind two proxies. All the while somebody asks whether its event loop turns.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest
from aiohttp import ClientError

from registry.db.connection import ACQUIRE_SECONDS
from registry.services import Services
from registry.storage.s3_client import Deadlines
from tests import pooler
from tests.faults import invariants
from tests.faults.conftest import Fork, NewPlace
from tests.faults.deeds import DEEDS, Place, Seen, seen
from tests.faults.proxy import Proxy, before_postgres, before_store
from tests.people import ROOT_TOKEN, People

pytestmark = pytest.mark.parametrize("storage_url", ["s3"], indirect=True)

# The loop of a replica is to turn every 50 ms; other processes of this machine may keep it from the processor longer.
LAG_SECONDS = 0.05 * 40
TWINE, LARGE, NPM = DEEDS["twine upload"], DEEDS["twine upload of a large file"], DEEDS["npm publish"]


@dataclass
class Cut:
    """A replica and what it is cut off from. `slowest` is the longest time in seconds that its loop did not answer."""

    port: int
    postgres: Proxy
    store: Proxy
    place: Place
    slowest: float = 0

    async def beat(self) -> None:
        while True:
            started = time.monotonic()
            async with self.place.session.get(f"http://127.0.0.1:{self.port}/-/liveness") as answer:
                assert 200 == answer.status
            self.slowest = max(self.slowest, time.monotonic() - started)
            await asyncio.sleep(0.02)

    async def refused(self, act: Callable[[Place, int], Awaitable[int]], *, within: float) -> None:
        """Told to come back, in time, or in four times that where tests compete for the processors."""
        started = time.monotonic()
        assert 503 == await act(self.place, self.port)
        assert time.monotonic() - started < 4 * within

    async def recovers(self, after: Callable[[Place, int], Awaitable[int]], status: int) -> None:
        """By itself, soon."""
        async with asyncio.timeout(20):
            while status != await after(self.place, self.port):
                await asyncio.sleep(0.1)


@pytest.fixture
async def cut(
    fork: Fork,
    new_place: NewPlace,
    people: People,
    services: Services,
    database_url: str,
    storage_url: str,
    request: pytest.FixtureRequest,
) -> AsyncIterator[Cut]:
    options = dict(getattr(request, "param", {}))
    public = "&public_endpoint_url=http://objects.test" if options.pop("redirects", False) else ""
    place = await new_place()
    async with (
        before_postgres(database_url) as (postgres, database),
        before_store(storage_url) as (store, objects),
        fork(database_url=database, storage_url=objects + public, **options) as replica,
    ):
        cut = Cut(replica.port, postgres, store, place)
        assert 201 == await TWINE.act(place, cut.port)  # everything is connected, every child started
        beating = asyncio.create_task(cut.beat())
        yield cut
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        print(f"the loop turned within {cut.slowest * 1000:.0f} ms")  # shown with -s
        assert cut.slowest < LAG_SECONDS
    # Whatever happened: nothing is damaged, and the clean-up leaves nothing over.
    await invariants.clean(services)
    assert [] == await invariants.violations(services) + await invariants.left_over(services)


async def page(place: Place, port: int) -> int:
    """The status of an index page."""
    return (await place.ask(port, "GET", "packages/pypi/simple/demo/"))[0]


async def another(place: Place, port: int) -> int:
    """Publish something for npm."""
    return await NPM.act(place, port)


async def status_of(place: Place, port: int, method: str, path: str) -> tuple[int, str | None]:
    """Status and Retry-After."""
    url = f"http://127.0.0.1:{port}/api/v4/projects/{place.project.id}/{path}"
    headers = {"PRIVATE-TOKEN": ROOT_TOKEN}
    async with place.session.request(method, url, headers=headers, allow_redirects=False) as answer:
        return answer.status, answer.headers.get("Retry-After")


# --- the object store -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [{"redirects": True}], indirect=True)
async def test_a_store_that_refuses_stops_publishes_within_five_seconds_and_neither_pages_nor_redirects(
    cut: Cut,
) -> None:
    await cut.store.refuse()
    await cut.refused(another, within=5)
    assert 200 == await page(cut.place, cut.port)
    content = await cut.place.read(cut.port, "packages/pypi/simple/demo/", Accept="application/vnd.pypi.simple.v1+json")
    path = "packages/pypi/" + content.decode().partition("/packages/pypi/")[2].partition('"')[0].partition("#")[0]
    assert 302 == (await cut.place.ask(cut.port, "GET", path))[0]
    await cut.store.heal()
    await cut.recovers(another, 200)


async def test_a_store_that_hangs_is_given_up_within_its_deadline_and_pages_go_on(cut: Cut) -> None:
    """The deadline counts for the request, and once more for the attempt to leave nothing behind."""
    cut.store.blackhole()
    publishing = asyncio.create_task(cut.refused(another, within=2 * Deadlines().operation + 8))
    assert 200 == await page(cut.place, cut.port)
    await publishing
    await cut.store.heal()
    await cut.recovers(another, 200)


async def test_a_slow_store_takes_longer_and_pages_do_not(cut: Cut) -> None:
    cut.store.requests.rate = 100_000
    publishing = asyncio.create_task(another(cut.place, cut.port))
    assert 200 == await page(cut.place, cut.port)
    assert 200 == await publishing


async def test_a_store_that_answers_late_is_waited_for(cut: Cut) -> None:
    cut.store.answers.delay = 0.3
    assert 200 == await another(cut.place, cut.port)


async def test_the_lost_answer_to_a_put_is_found_out_and_there_is_one_object(cut: Cut, services: Services) -> None:
    cut.store.answers.cut_after = 0
    assert 200 == await another(cut.place, cut.port)
    assert cut.store.answers.cut_after is None
    assert 2 == await services.db.fetchval("SELECT count(*) FROM blobs WHERE state = 'stored'")


async def test_an_upload_cut_off_on_its_way_into_the_store_is_sent_again(cut: Cut) -> None:
    cut.store.requests.cut_after = 700
    assert 200 == await another(cut.place, cut.port)
    assert cut.store.requests.cut_after is None


async def test_a_download_cut_short_in_the_store_is_no_short_file(cut: Cut, services: Services) -> None:
    place = cut.place
    expected: Seen = await seen(place, cut.port, "pypi")
    cut.store.answers.cut_after = 900  # the head, and a part of the content
    with pytest.raises((ClientError, AssertionError)):
        await seen(place, cut.port, "pypi")
    assert expected == await seen(place, cut.port, "pypi")


async def test_an_object_that_is_missing_is_not_found_and_other_files_are_served(cut: Cut, services: Services) -> None:
    assert 200 == await another(cut.place, cut.port)
    row = await services.db.fetchrow(
        "SELECT b.key FROM package_files AS f JOIN blobs AS b ON b.id = f.blob_id WHERE f.package_type = 'pypi'"
    )
    assert row is not None
    content = await services.store.read(row["key"], 0, 10**6)
    await services.store.delete(row["key"])
    with pytest.raises(AssertionError, match="404"):
        await seen(cut.place, cut.port, "pypi")
    assert {"latest": "1.0.0"} == (await seen(cut.place, cut.port, "npm"))["tags"]
    assert [f"{row['key']} is a row without object"] == await invariants.left_over(services)
    # Brought back from a backup.
    writer = services.store.writer(row["key"])
    await writer.write(content)
    await writer.commit()
    assert ["1.0"] == (await seen(cut.place, cut.port, "pypi"))["versions"]


# --- Postgres ---------------------------------------------------------------------------------------------------------


async def test_a_postgres_that_is_away_stops_writes_at_once_and_known_pages_go_on_until_it_is_back(cut: Cut) -> None:
    assert 200 == await page(cut.place, cut.port)
    await cut.postgres.refuse()
    assert 200 == await page(cut.place, cut.port)
    await cut.refused(another, within=5)
    assert (503, "5") == await status_of(cut.place, cut.port, "GET", "packages")  # a page that must ask
    await cut.postgres.heal()
    await cut.recovers(another, 200)


@pytest.mark.parametrize("cut", [{"stale_seconds": 0}], indirect=True)
async def test_a_replica_that_may_not_be_stale_answers_nothing_from_memory_while_postgres_is_away(cut: Cut) -> None:
    assert 200 == await page(cut.place, cut.port)
    await cut.postgres.refuse()
    assert (503, "5") == await status_of(cut.place, cut.port, "GET", "packages/pypi/simple/demo/")
    await cut.postgres.heal()
    await cut.recovers(page, 200)


async def test_a_silent_postgres_is_away_within_seconds_and_back_when_it_answers(cut: Cut) -> None:
    assert 200 == await page(cut.place, cut.port)
    cut.postgres.blackhole()
    await cut.refused(another, within=10)
    assert 200 == await page(cut.place, cut.port)
    await cut.postgres.heal()
    await cut.recovers(another, 200)


@pytest.mark.parametrize("cut", [{"registry__db__connection__COMMAND_SECONDS": 1.0}], indirect=True)
async def test_a_postgres_that_falls_silent_in_the_middle_of_a_publish_ends_it_in_time(cut: Cut) -> None:
    """The time for a command, once: neither the roll-back nor the clean-up waits for as long again."""
    cut.store.answers.delay = 0.5
    publishing = asyncio.create_task(cut.refused(another, within=1 + ACQUIRE_SECONDS + 8))
    await asyncio.sleep(0.3)
    cut.postgres.blackhole()
    await publishing
    await cut.postgres.heal()
    await cut.store.heal()
    await cut.recovers(another, 200)


@pytest.mark.parametrize("cut", [{"stale_seconds": 0}], indirect=True)
async def test_connections_that_are_reset_are_made_anew_and_nobody_notices(cut: Cut) -> None:
    for _ in range(3):
        cut.postgres.reset()
        await asyncio.sleep(0.05)
        assert 200 == await page(cut.place, cut.port)
    cut.postgres.reset()
    await asyncio.sleep(0.05)
    assert 200 == await another(cut.place, cut.port)


@pytest.mark.parametrize("cut", [{"database_pool": 2}], indirect=True)
async def test_without_a_free_connection_requests_are_told_so_and_health_is_not_concerned(
    cut: Cut, services: Services
) -> None:
    """Somebody holds the lock on the name that two publishes want; a third finds no connection."""
    async with services.db.transaction() as tx:
        await tx.execute("LOCK TABLE package_names IN ACCESS EXCLUSIVE MODE")
        started = time.monotonic()
        answers = await asyncio.gather(*(another(cut.place, cut.port) for _ in range(4)))
        assert [503] * 4 == answers
        assert time.monotonic() - started < 20
    await cut.recovers(another, 200)


@pytest.mark.skipif(pooler.wanted(os.environ), reason="a pooler keeps connections that a failover would end")
async def test_after_a_failover_to_a_standby_writes_are_refused_until_it_is_promoted(
    cut: Cut, services: Services, database_url: str
) -> None:
    """Connections made to the standby stay read-only; they are given up, so that the promotion is noticed."""
    name = await services.db.fetchval("SELECT current_database()")
    await services.db.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    cut.postgres.reset()
    await cut.refused(another, within=5)
    assert 200 == await page(cut.place, cut.port)
    async with services.db.transaction() as tx:
        await tx.execute("SET TRANSACTION READ WRITE")
        await tx.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = off")
    await cut.recovers(another, 200)
