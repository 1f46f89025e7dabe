"""The barrier: what was acknowledged before a request arrived is known when the request goes on."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest

from registry import changes as follower
from registry.changes import Changes
from registry.db import changes
from registry.db.changes import Change
from registry.db.connection import Database, open_database
from registry.db.migrate import migrate
from registry.embedded import EmbeddedPostgres
from registry.errors import Unavailable
from tests.outages import Outage, proxied

Moved = Sequence[tuple[str, str]] | None


class Reader:
    """A replica reduced to its follower: what it was told to forget, in order."""

    def __init__(self, db: Database, *, stale_seconds: float = 5) -> None:
        self.forgotten: list[Moved] = []
        self.changes = Changes(db, self.forgotten.append, stale_seconds=stale_seconds)

    async def start(self) -> None:
        await self.changes.barrier()
        self.forgotten.clear()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(follower, "POLL_SECONDS", 0.5)


@pytest.fixture
async def writer(database_url: str) -> AsyncIterator[Database]:
    db = await open_database(database_url, pool_size=4)
    yield db
    await db.close()


@pytest.fixture
async def outage(database_url: str) -> AsyncIterator[Outage]:
    async with proxied(database_url) as outage:
        yield outage


@pytest.fixture
async def db(outage: Outage) -> AsyncIterator[Database]:
    db = await open_database(outage.url, pool_size=4)
    yield db
    await db.close()


@pytest.fixture
async def reader(db: Database) -> AsyncIterator[Reader]:
    reader = Reader(db)
    await reader.start()
    yield reader
    await reader.changes.close()


async def record(db: Database, *moved: tuple[str, str]) -> None:
    async with db.transaction() as tx:
        await changes.record(tx, [Change(kind, key) for kind, key in moved])  # type: ignore[arg-type]


async def passes(reader: Reader, *, write: bool = False) -> bool:
    try:
        async with asyncio.timeout(3):
            await reader.changes.barrier(write=write)
    except Unavailable:
        return False
    return True


async def recovered(reader: Reader) -> None:
    async with asyncio.timeout(5):
        while reader.changes._away:
            await asyncio.sleep(0.01)


async def test_a_read_that_starts_after_an_acknowledged_change_knows_it(writer: Database, reader: Reader) -> None:
    for number in range(30):
        await record(writer, ("name", f"pypi:n{number}"))
        await reader.changes.barrier()
        assert reader.forgotten[-1] == [("name", f"pypi:n{number}")]
    assert reader.changes.seen == 30


async def test_every_reader_among_many_knows_what_was_acknowledged_before_it_came(
    writer: Database, reader: Reader
) -> None:
    acknowledged = 0
    wrong: list[tuple[int, int]] = []
    over = False

    async def write() -> None:
        nonlocal acknowledged, over
        for _ in range(40):
            await record(writer, ("name", "pypi:x"))
            acknowledged += 1
        over = True

    async def read() -> None:
        while not over:
            before = acknowledged
            await reader.changes.barrier()
            if reader.changes.seen < before:
                wrong.append((before, reader.changes.seen))

    await asyncio.gather(write(), *(read() for _ in range(20)))
    assert [] == wrong


async def test_what_moved_together_is_forgotten_together_and_once(writer: Database, reader: Reader) -> None:
    await record(writer, ("name", "pypi:a"), ("name", "pypi:"), ("name", "pypi:a"))
    await record(writer, ("user", "7"))
    await reader.changes.barrier()
    await reader.changes.barrier()
    (forgotten,) = reader.forgotten
    assert forgotten is not None
    assert sorted(forgotten) == [("name", "pypi:"), ("name", "pypi:a"), ("user", "7")]


async def test_those_who_wait_share_polls(db: Database, monkeypatch: pytest.MonkeyPatch, reader: Reader) -> None:
    polls = 0
    real = changes.glance

    async def counted(connection: Database) -> changes.Glance:
        nonlocal polls
        polls += 1
        return await real(connection)

    monkeypatch.setattr(changes, "glance", counted)
    await asyncio.gather(*(reader.changes.barrier() for _ in range(500)))
    # One may be under way when the crowd comes, which is too early for them.
    assert 1 <= polls <= 2


async def test_a_poll_under_way_does_not_release_who_came_after_it_started(
    writer: Database, reader: Reader, outage: Outage
) -> None:
    outage.stall = True
    early = asyncio.create_task(reader.changes.barrier())
    await asyncio.sleep(0.05)
    late = asyncio.create_task(reader.changes.barrier())
    await record(writer, ("name", "pypi:a"))
    outage.stall = False
    await early
    await late
    assert [("name", "pypi:a")] in reader.forgotten


async def test_a_cancelled_waiter_hurts_nobody(writer: Database, reader: Reader, outage: Outage) -> None:
    outage.stall = True
    waiters = [asyncio.create_task(reader.changes.barrier()) for _ in range(6)]
    await asyncio.sleep(0.05)
    waiters += [asyncio.create_task(reader.changes.barrier()) for _ in range(6)]
    await asyncio.sleep(0)
    for waiter in waiters[::2]:
        waiter.cancel()
    outage.stall = False
    ends = await asyncio.gather(*waiters, return_exceptions=True)
    assert [type(end) for end in ends] == [asyncio.CancelledError, type(None)] * 6


async def test_the_first_poll_drops_what_was_looked_up_before_it(db: Database, writer: Database) -> None:
    await record(writer, ("name", "pypi:a"))
    reader = Reader(db)
    await reader.changes.barrier()
    assert ([None], 1) == (reader.forgotten, reader.changes.seen)
    await reader.changes.close()


async def test_postgres_away_reads_go_on_for_the_bound_and_writes_do_not(db: Database, outage: Outage) -> None:
    reader = Reader(db, stale_seconds=0.6)
    await reader.start()
    fresh = time.monotonic()
    outage.fail()
    assert await passes(reader)
    assert not await passes(reader, write=True)
    assert await passes(reader)
    await asyncio.sleep(fresh + 0.65 - time.monotonic())
    assert (False, False) == (await passes(reader), await passes(reader, write=True))
    await reader.changes.close()


async def test_a_write_that_waits_when_postgres_goes_is_refused_and_a_read_passes(
    reader: Reader, outage: Outage
) -> None:
    outage.stall = True
    read = asyncio.create_task(passes(reader))
    write = asyncio.create_task(passes(reader, write=True))
    await asyncio.sleep(0.05)
    late_write = asyncio.create_task(passes(reader, write=True))
    await asyncio.sleep(0.05)
    outage.fail()
    outage.stall = False
    assert (True, False, False) == (await read, await write, await late_write)


async def test_the_bound_counts_from_the_last_good_poll_so_that_an_idle_replica_knows_it_is_behind(
    db: Database, writer: Database, outage: Outage
) -> None:
    reader = Reader(db, stale_seconds=0.3)
    await reader.start()
    await record(writer, ("token", "aa"))
    await asyncio.sleep(0.35)
    outage.fail()
    assert not await passes(reader)
    await reader.changes.close()


async def test_with_no_bound_nothing_passes(db: Database, outage: Outage) -> None:
    reader = Reader(db, stale_seconds=0)
    await reader.start()
    outage.fail()
    assert (False, False) == (await passes(reader), await passes(reader, write=True))
    await reader.changes.close()


async def test_it_recovers_without_restart_and_knows_what_happened_meanwhile(
    writer: Database, reader: Reader, outage: Outage
) -> None:
    outage.fail()
    assert await passes(reader)
    await record(writer, ("name", "npm:a"))
    outage.recover()
    await recovered(reader)
    assert await passes(reader, write=True)
    assert [[("name", "npm:a")]] == reader.forgotten


async def test_a_silent_network_counts_as_away(reader: Reader, outage: Outage) -> None:
    outage.stall = True
    started = time.monotonic()
    assert await passes(reader)
    assert 0.4 < time.monotonic() - started < 1.5
    assert not await passes(reader, write=True)
    outage.recover()
    await recovered(reader)
    assert await passes(reader, write=True)


async def test_a_terminated_backend_costs_nobody_more_than_a_retry(writer: Database, reader: Reader) -> None:
    await writer.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = $1",
        await writer.fetchval("SELECT current_database()"),
    )
    assert await passes(reader)
    await recovered(reader)
    with suppress(Unavailable):  # the pool may hand out the other connection that was cut
        await record(writer, ("name", "pypi:a"))
    assert await passes(reader, write=True)


async def test_away_from_the_start_it_waits_for_postgres_and_lets_nobody_pass(db: Database, outage: Outage) -> None:
    outage.fail()
    reader = Reader(db)
    assert (False, False) == (await passes(reader), await passes(reader, write=True))
    outage.recover()
    await recovered(reader)
    assert await passes(reader, write=True)
    await reader.changes.close()


async def test_a_log_that_cannot_be_read_is_an_outage_that_ends_by_itself(writer: Database, reader: Reader) -> None:
    await writer.execute("ALTER TABLE change_head RENAME TO hidden")
    assert (True, False) == (await passes(reader), await passes(reader, write=True))
    await asyncio.sleep(0.1)
    await writer.execute("ALTER TABLE hidden RENAME TO change_head")
    await recovered(reader)
    assert await passes(reader, write=True)


async def test_a_trimmed_log_forgets_everything(writer: Database, reader: Reader) -> None:
    for number in range(5):
        await record(writer, ("name", f"pypi:n{number}"))
    await writer.execute("DELETE FROM changes WHERE number <= 3")
    await writer.execute("UPDATE change_head SET trimmed = 3")
    await reader.changes.barrier()
    assert ([None], 5, 0) == (reader.forgotten, reader.changes.seen, reader.changes.history)


async def test_a_log_trimmed_up_to_what_was_seen_forgets_only_what_moved(writer: Database, reader: Reader) -> None:
    await record(writer, ("name", "pypi:a"))
    await reader.changes.barrier()
    await record(writer, ("name", "pypi:b"))
    await writer.execute("DELETE FROM changes WHERE number <= 1")
    await writer.execute("UPDATE change_head SET trimmed = 1")
    await reader.changes.barrier()
    assert [[("name", "pypi:a")], [("name", "pypi:b")]] == reader.forgotten


async def test_a_database_restored_to_an_earlier_state_is_another_history(writer: Database, reader: Reader) -> None:
    for _ in range(3):
        await record(writer, ("name", "pypi:a"))
    await reader.changes.barrier()
    reader.forgotten.clear()
    await writer.execute("DELETE FROM changes WHERE number > 1")
    await writer.execute("UPDATE change_head SET number = 1")
    await reader.changes.barrier()
    assert ([None], 1, 1) == (reader.forgotten, reader.changes.seen, reader.changes.history)
    await record(writer, ("name", "pypi:b"))
    await reader.changes.barrier()
    assert [("name", "pypi:b")] == reader.forgotten[-1]


async def test_a_restored_dump_that_caught_up_between_two_polls_is_another_history(
    writer: Database, reader: Reader
) -> None:
    for _ in range(3):
        await record(writer, ("name", "pypi:a"))
    await reader.changes.barrier()
    reader.forgotten.clear()
    # As pg_restore --clean does.
    async with writer.transaction() as tx:
        await tx.execute("ALTER TABLE change_head RENAME TO dumped")
        await tx.execute("CREATE TABLE change_head (LIKE dumped INCLUDING ALL)")
        await tx.execute("DROP TABLE dumped")
        await tx.execute("INSERT INTO change_head (number) VALUES (1)")
        await tx.execute("DELETE FROM changes WHERE number > 1")
    for _ in range(2):
        await record(writer, ("name", "pypi:b"))
    await reader.changes.barrier()
    assert ([None], 3, 1) == (reader.forgotten, reader.changes.seen, reader.changes.history)
    await reader.changes.barrier()
    assert ([None], 1) == (reader.forgotten, reader.changes.history)


def back_up(home: Path) -> None:
    # With owners and modes, which the server insists on.
    subprocess.run(["cp", "-a", home / "cluster", home / "backup"], check=True)


def restore(home: Path) -> None:
    shutil.rmtree(home / "cluster")
    (home / "backup").rename(home / "cluster")


@pytest.fixture
def postgres_home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory) / "data"


async def test_a_restored_data_directory_that_caught_up_between_two_polls_is_another_history(
    postgres_home: Path,
) -> None:
    home = postgres_home
    with EmbeddedPostgres.start(home, unsafe_fast=True) as server:
        await migrate(server.url)
    back_up(home)
    with EmbeddedPostgres.start(home, unsafe_fast=True) as server:
        # The socket is another one after a restart, this link to its directory is not.
        url = server.url.partition("?")[0] + f"?host={quote(str(home / 'sockets'))}&port=5432"
        db = await open_database(url, pool_size=2)
        await record(db, ("name", "pypi:a"))
        reader = Reader(db)
        await reader.start()
    restore(home)
    with EmbeddedPostgres.start(home, unsafe_fast=True):
        other = await open_database(url, pool_size=2)
        await record(other, ("name", "pypi:b"))
        assert await passes(reader)
        await recovered(reader)
        assert await passes(reader, write=True)
        assert ([None], 1, 1) == (reader.forgotten, reader.changes.seen, reader.changes.history)
        await reader.changes.close()
        await other.close()
        await db.close()


async def test_closing_leaves_nobody_waiting(reader: Reader, outage: Outage) -> None:
    outage.stall = True
    waiters = [asyncio.create_task(passes(reader)) for _ in range(3)]
    await asyncio.sleep(0.05)
    waiters += [asyncio.create_task(passes(reader, write=True)) for _ in range(3)]
    await asyncio.sleep(0)
    async with asyncio.timeout(1):
        await reader.changes.close()
        assert [True] * 3 + [False] * 3 == await asyncio.gather(*waiters)
