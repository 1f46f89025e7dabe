"""The janitor: removes what nobody refers to any more.

Stages whose time is over are dropped, abandoned uploads are doomed, doomed blobs leave the store and then the database,
old changes leave the log, and unfinished uploads without a row, which a database restored to an earlier state has
forgotten, are aborted. Of complete objects only that of a blob seen `doomed` is touched, and nothing leads from there
back to `stored`: a publish that meets its blob doomed fails and says so, and an object that a file refers to is out of
reach here.

Each blob goes in the same order, whatever stops in between is continued by the next run: unfinished uploads, the
object, the row.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from registry import failpoints, metrics, staging
from registry.db import blobs, changes, janitor, stages
from registry.db.blobs import DoomedBlob
from registry.db.connection import Database
from registry.errors import RegistryError
from registry.storage import BlobStore, UnfinishedUpload

log = logging.getLogger(__name__)

EVERY_SECONDS = 600.0
# One turn; what is left over is there for the next.
TURN_SECONDS = 300.0
PAGE = 100
# Stages dropped in one run; the rest is there for the next.
STAGES = 1_000
# A store that refuses this many in a row is away: the next run tries again.
MAX_FAILURES = 3

_NOTHING = timedelta()


@dataclass(frozen=True, slots=True)
class Grace:
    """How long what looks useless is left alone.

    `abandoned`: an upload still open after this has lost its writer. `unreferenced`: from being doomed to being
    removed, for what no file ever referred to. `restore`: the same for what a file referred to; longer than the age of
    any backup of the database that may be restored. `changes`: rows of the change log.
    """

    abandoned: timedelta = timedelta(hours=24)
    unreferenced: timedelta = timedelta(hours=1)
    restore: timedelta = timedelta(days=7)
    changes: timedelta = timedelta(hours=24)


DEFAULT = Grace()


@dataclass(frozen=True, slots=True)
class Step:
    """One thing done, or in a plan one to be done.

    `expire`: a stage is dropped. `doom`: an abandoned upload is given up. `remove`: a blob leaves store and database.
    `abort`: an unfinished upload without a row leaves the store. `trim`: `rows` of the change log are forgotten.
    `failed`: something could not be removed, and `why`. `size` is in bytes, None for what never became complete.
    """

    action: Literal["expire", "doom", "remove", "abort", "trim", "failed"]
    stage: str | None = None
    blob: int | None = None
    key: str | None = None
    size: int | None = None
    rows: int | None = None
    why: str | None = None

    def facts(self) -> dict[str, object]:
        """The fields that say something, for a line of JSON."""
        return {name: value for name, value in asdict(self).items() if value is not None}


async def plan(db: Database, store: BlobStore, grace: Grace = DEFAULT) -> AsyncGenerator[Step]:
    """What `sweep` would do now, in its order, if nothing failed. Changes nothing.

    Raises Unavailable when the database or the store is away.
    """

    def abandoned(after: int) -> Awaitable[list[DoomedBlob]]:
        return blobs.list_abandoned(db, grace.abandoned, after=after, limit=PAGE)

    for stage in await stages.list_expired(db, STAGES):
        yield Step("expire", stage=str(stage.id))
    async for blob in _pages(_due(db, grace)):
        yield _step("remove", blob)
    async for blob in _pages(abandoned):
        yield _step("doom", blob)
        if grace.unreferenced == _NOTHING:
            yield _step("remove", blob)
    rows = await changes.count_old(db, grace.changes)
    if rows:
        yield Step("trim", rows=rows)
    async with aclosing(_strays(db, store, grace)) as strays:
        async for upload in strays:
            yield Step("abort", key=upload.key)


async def sweep(db: Database, store: BlobStore, grace: Grace = DEFAULT) -> AsyncGenerator[Step]:
    """Clean up, telling each step once it is done. Raises Unavailable when the database or the store is away."""
    for stage in await stages.list_expired(db, STAGES):
        if await staging.expire(db, stage):
            yield Step("expire", stage=str(stage.id))
    failures = 0
    async for blob in _pages(_due(db, grace)):
        step = await _remove(db, store, blob)
        yield step
        failures = failures + 1 if step.action == "failed" else 0
        if failures == MAX_FAILURES:
            break
    while doomed := await blobs.doom_abandoned(db, grace.abandoned, limit=PAGE):
        await failpoints.reach("gc.after-doom")
        for blob in doomed:
            yield _step("doom", blob)
            if grace.unreferenced == _NOTHING:
                yield await _remove(db, store, blob)
    await failpoints.reach("trim.before-delete")
    rows = await changes.trim(db, grace.changes)
    if rows:
        yield Step("trim", rows=rows)
    if failures == MAX_FAILURES:
        return
    async with aclosing(_strays(db, store, grace)) as strays:
        async for upload in strays:
            yield await _abort(store, upload)


async def take_turn(db: Database, store: BlobStore, grace: Grace = DEFAULT) -> bool:
    """Sweep, unless another replica is at it (False). Raises what `sweep` raises, TimeoutError after a turn's time."""
    # The transaction stays open all the while, because its lock is the turn; it reads and writes nothing itself.
    async with asyncio.timeout(TURN_SECONDS), db.transaction() as tx:
        if not await janitor.take_turn(tx):
            return False
        async with aclosing(sweep(db, store, grace)) as steps:
            async for step in steps:
                _count(step)
    return True


async def work(db: Database, store: BlobStore, *, every_seconds: float = EVERY_SECONDS) -> None:
    """Take a turn now and then, for ever; replicas started together drift apart."""
    while True:
        await asyncio.sleep(every_seconds * random.uniform(0.5, 1.5))  # noqa: S311  # not a secret
        try:
            mine = await take_turn(db, store)
        except (RegistryError, OSError) as error:
            # TimeoutError is an OSError.
            metrics.janitor_runs.labels("failed").inc()
            log.warning("The clean-up stopped, it goes on in a while: %s", str(error) or type(error).__name__)
        except Exception:
            # Nobody waits for this task: whatever one turn met is told, and the next turn comes.
            metrics.janitor_runs.labels("failed").inc()
            log.exception("The clean-up failed")
        else:
            metrics.janitor_runs.labels("done" if mine else "skipped").inc()


def _due(db: Database, grace: Grace) -> Callable[[int], Awaitable[list[DoomedBlob]]]:
    def page(after: int) -> Awaitable[list[DoomedBlob]]:
        return blobs.list_doomed(db, grace=grace.restore, abandoned_grace=grace.unreferenced, after=after, limit=PAGE)

    return page


async def _pages(fetch: Callable[[int], Awaitable[list[DoomedBlob]]]) -> AsyncGenerator[DoomedBlob]:
    """All rows of a listing that begins after an id."""
    after = 0
    while page := await fetch(after):
        for blob in page:
            yield blob
        after = page[-1].id


async def _strays(db: Database, store: BlobStore, grace: Grace) -> AsyncGenerator[UnfinishedUpload]:
    """Old unfinished uploads without a row: an upload writes its row first and keeps it until it is complete."""
    before = datetime.now(UTC) - grace.abandoned
    async with aclosing(store.unfinished()) as uploads:
        found = [upload async for upload in uploads if upload.begun < before]
    for start in range(0, len(found), PAGE):
        page = found[start : start + PAGE]
        unknown = await blobs.list_unknown(db, [upload.key for upload in page])
        for upload in page:
            if upload.key in unknown:
                yield upload


async def _abort(store: BlobStore, upload: UnfinishedUpload) -> Step:
    try:
        await store.abort_upload(upload.key, upload.upload_id)
    except RegistryError as error:
        return Step("failed", key=upload.key, why=error.text)
    return Step("abort", key=upload.key)


async def _remove(db: Database, store: BlobStore, blob: DoomedBlob) -> Step:
    try:
        if blob.upload_id is not None or blob.size is None:
            await store.abort_upload(blob.key, blob.upload_id)
            await failpoints.reach("gc.after-abort")
        await failpoints.reach("gc.before-object")
        await store.delete(blob.key)
        await failpoints.reach("gc.after-object")
    except RegistryError as error:
        log.warning("An object could not be removed: %s", error.text, extra={"key": blob.key})
        return _step("failed", blob, why=error.text)
    await blobs.delete(db, blob.id)
    return _step("remove", blob)


def _step(action: Literal["doom", "remove", "failed"], blob: DoomedBlob, *, why: str | None = None) -> Step:
    return Step(action, blob=blob.id, key=blob.key, size=blob.size, why=why)


def _count(step: Step) -> None:
    match step.action:
        case "expire":
            metrics.janitor_removed.labels("stage").inc()
        case "doom":
            metrics.janitor_removed.labels("upload").inc()
        case "remove":
            metrics.janitor_removed.labels("blob").inc()
        case "abort":
            metrics.janitor_removed.labels("stray").inc()
        case "trim":
            metrics.janitor_removed.labels("change").inc(step.rows or 0)
        case "failed":
            metrics.janitor_removed.labels("failed").inc()
