"""The janitor, against a real database and both stores; what it removes is compared with all there is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from datetime import timedelta

import pytest

from registry import catalog, failpoints, janitor, metrics
from registry.access import AccessLevel
from registry.db import blobs
from registry.errors import Unavailable
from registry.failpoints import FailpointError
from registry.ingest import Upload
from registry.janitor import Grace, Step
from registry.model import Blob
from registry.services import Services
from tests import inventory
from tests.inventory import Inventory
from tests.people import OPERATOR, People

NOW = timedelta()
AT_ONCE = Grace(abandoned=NOW, unreferenced=NOW)
# More than the S3 writer sends in one request.
LARGE = 17 * 1024**2

both_stores = pytest.mark.parametrize("storage_url", ["local", "s3"], indirect=True)


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    failpoints.arm(None)


async def dead_upload(services: Services, content: bytes, *, finish: bool = False) -> Blob | None:
    """An upload whose process was killed: nobody cleans up behind it."""
    async with services.ingest.upload(limit=2**40, algorithms=frozenset()) as upload:
        await upload.write(content)
        blob = await upload.finish() if finish else None
        await _at_rest(upload)
        upload.keep()
    return blob


async def _at_rest(upload: Upload) -> None:
    if upload._writer is None:
        await upload._pass_on()
    # A dead process sends no more parts.
    await asyncio.gather(*getattr(upload._writer, "_flying", ()))


async def age(services: Services, seconds: float) -> None:
    await services.db.execute("UPDATE blobs SET state_at = state_at - $1::interval", timedelta(seconds=seconds))


async def until(happened: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(10):
        while not await happened():  # a database sets no event
            await asyncio.sleep(0.01)


async def sweep(services: Services, grace: Grace = janitor.DEFAULT) -> list[Step]:
    return [step async for step in janitor.sweep(services.db, services.store, grace)]


async def plan(services: Services, grace: Grace = janitor.DEFAULT) -> list[Step]:
    return [step async for step in janitor.plan(services.db, services.store, grace)]


async def unfinished(services: Services) -> list[str]:
    """The keys of temporary files or multipart uploads in the store."""
    async with aclosing(services.store.unfinished()) as uploads:
        return [upload.key async for upload in uploads]


@both_stores
async def test_what_dead_writers_left_goes_and_published_files_stay(services: Services, people: People) -> None:
    project = await people.project()
    developer = await people.member(project, AccessLevel.DEVELOPER)
    await developer.upload(project, "demo-1.0.tar.gz", b"kept", name="demo", version="1.0")
    before = await inventory.take(services)
    await dead_upload(services, b"x" * 1000)
    await dead_upload(services, b"x" * LARGE)
    await dead_upload(services, b"x" * LARGE, finish=True)
    assert [] != await unfinished(services)

    planned = await plan(services, AT_ONCE)
    done = await sweep(services, AT_ONCE)

    assert planned == done
    assert ["doom", "remove"] * 3 == [step.action for step in done]
    assert before == await inventory.take(services)
    assert [] == await unfinished(services)


async def test_an_upload_is_given_up_after_a_day_and_removed_an_hour_later(services: Services) -> None:
    await dead_upload(services, b"x" * 1000)
    await age(services, 24 * 3600 - 60)
    assert [] == await sweep(services)

    await age(services, 120)
    planned = await plan(services)
    doomed = await sweep(services)
    assert planned == doomed
    assert ["doom"] == [step.action for step in doomed]
    await age(services, 3600 - 60)
    assert [] == await sweep(services)

    await age(services, 120)
    planned = await plan(services)
    removed = await sweep(services)
    assert planned == removed
    assert [("remove", doomed[0].key)] == [(step.action, step.key) for step in removed]
    assert inventory.EMPTY == await inventory.take(services)


async def test_a_deleted_file_can_be_restored_for_a_week(services: Services, people: People) -> None:
    project = await people.project()
    developer = await people.member(project, AccessLevel.DEVELOPER)
    await developer.upload(project, "demo-1.0.tar.gz", b"gone", name="demo", version="1.0")
    package_id = await services.db.fetchval("SELECT id FROM packages")
    await catalog.delete_packages(services.db, OPERATOR, project, [package_id])
    deleted = await inventory.take(services)

    await age(services, 7 * 24 * 3600 - 60)
    assert [] == await sweep(services)
    assert deleted == await inventory.take(services)

    await age(services, 120)
    steps = await sweep(services)
    assert [("remove", deleted.objects[0], 4)] == [(step.action, step.key, step.size) for step in steps]
    assert Inventory() == await inventory.take(services)


async def test_a_publish_whose_blob_was_given_up_fails_and_leaves_nothing(services: Services, people: People) -> None:
    project = await people.project()
    async with services.ingest.upload(limit=100, algorithms=frozenset()) as upload:
        await upload.write(b"slow")
        blob = await upload.finish()
        await sweep(services, AT_ONCE)
        with pytest.raises(Unavailable, match="cleaned away, try again"):
            await catalog.publish(services.db, OPERATOR, project, publication(blob))

    assert inventory.EMPTY == await inventory.take(services)


@both_stores
async def test_an_unfinished_upload_without_a_row_is_aborted_after_a_day(services: Services) -> None:
    """As after a restore of the database to a state before the upload began."""
    await dead_upload(services, b"x" * LARGE)
    assert [] == await sweep(services)
    await services.db.execute("DELETE FROM blobs")
    if services.store.path("0") is not None:  # the moto server says 2010 of all of them
        assert [] == await sweep(services)
    (left,) = await unfinished(services)

    planned = await plan(services, AT_ONCE)
    done = await sweep(services, AT_ONCE)

    assert planned == done
    assert ["abort"] == [step.action for step in done]
    assert left not in await unfinished(services)
    assert inventory.EMPTY == await inventory.take(services)


async def test_a_blob_published_while_the_janitor_looks_stays(services: Services, people: People) -> None:
    project = await people.project()
    async with services.ingest.upload(limit=100, algorithms=frozenset()) as upload:
        await upload.write(b"just in time")
        blob = await upload.finish()
        planned = await plan(services, AT_ONCE)
        await catalog.publish(services.db, OPERATOR, project, publication(blob))
        upload.keep()

    assert ["doom", "remove"] == [step.action for step in planned]
    assert [] == await sweep(services, AT_ONCE)
    assert (blob.key,) == (await inventory.take(services)).objects


async def test_a_doomed_blob_that_a_file_refers_to_is_left_alone(services: Services, people: People) -> None:
    project = await people.project()
    developer = await people.member(project, AccessLevel.DEVELOPER)
    await developer.upload(project, "demo-1.0.tar.gz", b"kept", name="demo", version="1.0")
    await services.db.execute("UPDATE blobs SET state = 'doomed', sha256 = NULL")
    await age(services, 30 * 24 * 3600)

    assert [] == await sweep(services)
    assert 1 == len((await inventory.take(services)).objects)


def publication(blob: Blob) -> catalog.Publication:
    return catalog.Publication(
        package_type="pypi",
        name="demo",
        normalized_name="demo",
        version="1.0",
        file_name="demo-1.0.tar.gz",
        blob=blob,
        one_file=False,
    )


@both_stores
@pytest.mark.parametrize("name", [name for name in failpoints.NAMES if name.startswith("gc.")])
async def test_a_run_that_was_stopped_anywhere_is_finished_by_the_next(services: Services, name: str) -> None:
    await dead_upload(services, b"x" * LARGE)
    failpoints.arm(f"{name}:raise")
    with pytest.raises(FailpointError):
        await sweep(services, AT_ONCE)
    failpoints.arm(None)

    steps = await sweep(services, AT_ONCE)

    assert ["remove"] == [step.action for step in steps]
    assert inventory.EMPTY == await inventory.take(services)
    assert [] == await unfinished(services)


async def test_a_row_outlives_an_object_that_cannot_be_deleted(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        await dead_upload(services, b"x" * 1000, finish=True)
    await age(services, 25 * 3600)
    await sweep(services)
    await age(services, 7200)
    root = inventory.root_of(services)
    root.rename(root.with_name("away"))

    steps = await sweep(services)

    # After three refusals in a row the store is taken to be away.
    assert ["failed"] * 3 == [step.action for step in steps]
    assert 5 == len(await blobs.list_doomed(services.db, grace=NOW, abandoned_grace=NOW, after=0, limit=10))
    root.with_name("away").rename(root)
    assert ["remove"] * 5 == [step.action for step in await sweep(services)]


async def test_changes_older_than_a_day_are_forgotten_and_counted(services: Services, people: People) -> None:
    await people.project()
    rows = await services.db.fetchval("SELECT count(*) FROM changes")
    head = await services.db.fetchval("SELECT number FROM change_head")
    await services.db.execute("UPDATE changes SET created_at = created_at - interval '25 hours'")

    planned = await plan(services)
    done = await sweep(services)

    assert [Step("trim", rows=rows)] == planned == done
    assert [] == await sweep(services)
    assert (0, head) == (
        await services.db.fetchval("SELECT count(*) FROM changes"),
        await services.db.fetchval("SELECT trimmed FROM change_head"),
    )


async def test_one_replica_at_a_time_has_the_turn(services: Services) -> None:
    await dead_upload(services, b"x" * 1000)
    failpoints.arm("gc.before-object:hang")
    first = asyncio.create_task(janitor.take_turn(services.db, services.store, AT_ONCE))
    await until(lambda: services.db.fetchval("SELECT count(*) > 0 FROM blobs WHERE state = 'doomed'"))

    assert await janitor.take_turn(services.db, services.store, AT_ONCE) is False

    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    failpoints.arm(None)
    # What was given up has an hour to go; the turn is free again at once.
    assert await janitor.take_turn(services.db, services.store, AT_ONCE) is True
    assert inventory.EMPTY == await inventory.take(services)


async def test_the_janitor_comes_again_whatever_it_met(services: Services) -> None:
    def runs(result: str) -> float:
        return metrics.REGISTRY.get_sample_value("registry_janitor_runs_total", {"result": result}) or 0

    async def has_run(result: str, before: float) -> bool:
        return runs(result) > before

    failed, done = runs("failed"), runs("done")
    await dead_upload(services, b"x" * 1000)
    await age(services, 25 * 3600)
    await sweep(services)
    await age(services, 7200)
    failpoints.arm("gc.before-object:raise")
    work = asyncio.create_task(janitor.work(services.db, services.store, every_seconds=0.02))
    await until(lambda: has_run("failed", failed))
    failpoints.arm(None)
    await until(lambda: has_run("done", done))
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)

    assert inventory.EMPTY == await inventory.take(services)
