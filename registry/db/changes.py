"""The change log in Postgres: append, poll, trim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import asyncpg

from registry.db.connection import Db
from registry.db.queries import Queries
from registry.errors import Unavailable

SQL = Queries("changes")

ChangeKind = Literal["mounts", "namespaces", "project", "settings", "token", "user", "name", "packages"]


@dataclass(frozen=True, slots=True)
class Change:
    """What moved: a kind of look-up and its key."""

    kind: ChangeKind
    key: str = "*"


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """A row of a poll; number, kind and key are null together.

    `started` is when the server was started. `place` is the file that holds the counter, below the server's data
    directory: it names the database and the table, and is another one once either was made anew or truncated.
    """

    head: int
    trimmed: int
    started: datetime
    place: str
    number: int | None
    kind: str | None
    key: str | None


@dataclass(frozen=True, slots=True)
class Glance:
    """What a poll would begin with."""

    head: int
    started: datetime
    place: str


async def record(tx: Db, changes: Sequence[Change], *, project_id: int | None = None) -> None:
    """Log what this transaction moved. Call it last: it serialises commits, which is what orders the numbers.

    `project_id` is the project whose names moved: the feed of changes tells of them.
    """
    await tx.execute(SQL.record, [c.kind for c in changes], [c.key for c in changes], project_id)


async def glance(db: Db) -> Glance:
    """Whether there is anything new: half the work of a poll, and this runs for every few requests."""
    row = await db.fetchrow(SQL.glance)
    if row is None:
        raise Unavailable("the change log has no head")
    return Glance(*row)


async def poll(db: Db, seen: int) -> list[asyncpg.Record]:
    """Rows of ChangeRow's columns, as records."""
    return await db.fetch(SQL.poll, seen)


async def head(db: Db) -> int:
    """The newest number."""
    return int(await db.fetchval(SQL.head))


async def count_old(db: Db, older_than: timedelta) -> int:
    """How many rows `trim` would remove."""
    return int(await db.fetchval(SQL.count_old, older_than))


async def trim(db: Db, older_than: timedelta) -> int:
    """Forget old changes; answers how many rows that were."""
    return int(await db.fetchval(SQL.trim, older_than))
