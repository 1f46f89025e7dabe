"""Failpoints of the clean-up and of migrations: killed, failed or hanging there, the next run finishes the work."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import asyncpg
import pytest

from registry import failpoints
from registry.db.connection import open_database
from registry.db.migrate import Migration, available, migrate, version
from registry.embedded import EmbeddedPostgres
from registry.failpoints import FailpointError
from registry.services import Services
from registry.storage import open_store
from tests.databases import drop
from tests.faults import invariants
from tests.faults.conftest import NewPlace
from tests.faults.deeds import DEEDS, Place, seen
from tests.faults.replicas import run_killed
from tests.faults.test_matrix import reached
from tests.people import People

COLLECTING = [name for name in failpoints.NAMES if name.startswith(("gc.", "trim."))]
MIGRATING = [name for name in failpoints.NAMES if name.startswith("migration.")]
ACTIONS = ("kill", "raise", "hang")
both_stores = pytest.mark.parametrize("storage_url", ["local", "s3"], indirect=True)


# --- the clean-up -----------------------------------------------------------------------------------------------------


async def litter(services: Services, place: Place, port: int) -> None:
    """A published file, a deleted one, and an upload whose server died."""
    publish, delete = DEEDS["npm publish"], DEEDS["npm unpublish"]
    await publish.act(place, port)
    await delete.act(place, port)
    await publish.act(place, port)
    await DEEDS["twine upload"].act(place, port)
    async with services.ingest.upload(limit=100, algorithms=frozenset()) as upload:
        await upload.write(b"never finished")
        await upload._pass_on()
        upload.keep()


async def sweep_with(failpoint: str, database_url: str, storage_url: str) -> None:
    failpoints.arm(failpoint)
    db = await open_database(database_url, pool_size=2)
    async with open_store(storage_url) as store:
        async for _ in invariants.janitor.sweep(db, store, invariants.AT_ONCE):
            pass


def killed_sweep(failpoint: str, database_url: str, storage_url: str, credentials: dict[str, str]) -> None:
    os.environ.update(credentials)
    asyncio.run(sweep_with(failpoint, database_url, storage_url))


@both_stores
@pytest.mark.parametrize("action", ACTIONS)
async def test_a_clean_up_stopped_anywhere_removes_nothing_that_is_needed_and_the_next_one_finishes(
    services: Services,
    people: People,
    new_place: NewPlace,
    database_url: str,
    storage_url: str,
    action: str,
    subtests: pytest.Subtests,
) -> None:
    port = people.client.port or 0
    for point in COLLECTING:
        with subtests.test(point):
            place = await new_place()
            await litter(services, place, port)
            published = [await seen(place, port, kind) for kind in ("pypi", "npm")]
            match action:
                case "kill":
                    credentials = {name: text for name, text in os.environ.items() if name.startswith("AWS_")}
                    arguments = (f"{point}:kill", database_url, storage_url, credentials)
                    assert -signal.SIGKILL == await asyncio.to_thread(run_killed, killed_sweep, *arguments)
                case "raise":
                    failpoints.arm(f"{point}:raise")
                    with pytest.raises(FailpointError):
                        await invariants.clean(services)
                    failpoints.arm(None)
                case _:
                    # The next one does not wait for the one that hangs, which then finds its work done.
                    failpoints.arm(f"{point}#1:hang")
                    hanging = asyncio.create_task(invariants.clean(services))
                    await reached(1)
                    await invariants.clean(services)
                    assert [] == await invariants.left_over(services)
                    failpoints.arm(None)
                    await hanging
            assert published == [await seen(place, port, kind) for kind in ("pypi", "npm")]
            await invariants.clean(services)
            assert [] == await invariants.left_over(services)
            assert [] == await invariants.violations(services, place.project)
            assert published == [await seen(place, port, kind) for kind in ("pypi", "npm")]


# --- migrations -------------------------------------------------------------------------------------------------------


@pytest.fixture
async def empty_url(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    name = f"empty_{os.urandom(6).hex()}"
    connection = await asyncpg.connect(postgres.url)
    await connection.execute(f"CREATE DATABASE {name}")
    yield postgres.url_for(name)
    await drop(connection, name)
    await connection.close()


def migrations() -> list[Migration]:
    """Those of this release, and one more, so that there is something in between."""
    own = available()
    number = len(own) + 1
    return [*own, Migration(number, f"{number:04}_more", "CREATE TABLE more (id int)")]


def killed_migration(failpoint: str, url: str) -> None:
    failpoints.arm(failpoint)
    asyncio.run(migrate(url, migrations()))


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("file", [1, len(migrations())])
@pytest.mark.parametrize("point", MIGRATING)
async def test_a_migration_stopped_anywhere_leaves_whole_files_and_the_next_run_applies_the_rest(
    empty_url: str, point: str, file: int, action: str
) -> None:
    setting = f"{point}#{file}:{action}"
    done = file - 1 + (point == "migration.after-commit")
    match action:
        case "kill":
            assert -signal.SIGKILL == await asyncio.to_thread(run_killed, killed_migration, setting, empty_url)
        case "raise":
            failpoints.arm(setting)
            with pytest.raises(FailpointError):
                await migrate(empty_url, migrations())
            failpoints.arm(None)
        case _:
            failpoints.arm(setting)
            hanging = asyncio.create_task(migrate(empty_url, migrations()))
            await reached(file)
            # Another runner waits for its turn, and finds nothing to do.
            other = asyncio.create_task(migrate(empty_url, migrations()))
            await asyncio.wait([other], timeout=0.05)
            assert not other.done()
            failpoints.arm(None)
            assert (len(migrations()), []) == (len(await hanging), await other)
            done = len(migrations())
    connection = await asyncpg.connect(empty_url)
    assert done == await version(connection)
    assert [one.name for one in migrations()[done:]] == await migrate(empty_url, migrations())
    assert await connection.fetchval("SELECT count(*) FROM more") == 0
    await connection.close()
