"""Advisories that the operator loaded, in Postgres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from registry.db.connection import Db
from registry.db.queries import Queries

SQL = Queries("advisories")


@dataclass(frozen=True, slots=True)
class AdvisoryCount:
    """How many advisories there are of one severity, and when the newest was changed."""

    severity: str
    advisories: int
    newest: datetime


@dataclass(frozen=True, slots=True)
class PackageAdvisory:
    """An advisory about a package. `ranges` are intervals: introduced, fixed or None, last affected or None."""

    name: str
    id: int
    osv_id: str
    title: str
    details: str
    severity: str
    cvss_vector: str | None
    cvss_score: float
    cwes: list[str]
    url: str
    published: datetime
    modified: datetime
    ranges: list[list[str | None]]
    versions: list[str]


async def put(tx: Db, rows: Sequence[Mapping[str, object]]) -> dict[str, int]:
    """Put advisories in place, each id once; answers the ids of those that are not older than what was there."""
    return {row["osv_id"]: row["id"] for row in await tx.fetch(SQL.put, rows)}


async def put_packages(tx: Db, advisory_ids: Sequence[int], rows: Sequence[Mapping[str, object]]) -> None:
    """Say anew what packages some advisories are about."""
    await tx.execute(SQL.clear_packages, advisory_ids)
    await tx.execute(SQL.put_packages, rows)


async def delete(tx: Db, osv_ids: Sequence[str]) -> int:
    """Forget advisories; answers how many there were."""
    return int(await tx.fetchval(SQL.delete, osv_ids))


async def delete_others(tx: Db, osv_ids: Sequence[str], prefixes: Sequence[str]) -> int:
    """Forget all advisories but some, and but those whose ids begin with one of the prefixes; answers how many."""
    return int(await tx.fetchval(SQL.delete_others, osv_ids, prefixes))


async def exist(db: Db) -> bool:
    """Whether any advisory was loaded."""
    return bool(await db.fetchval(SQL.exist))


async def count(db: Db) -> list[AdvisoryCount]:
    """How many advisories there are, by severity."""
    return [AdvisoryCount(**row) for row in await db.fetch(SQL.count)]


async def list_about(
    db: Db, ecosystem: str, names: Sequence[str], *, details: int, limit: int
) -> list[PackageAdvisory]:
    """What is known against some packages, in the order of their names: `limit` advisories at most.

    `details` is how many characters of the details of each are wanted.
    """
    return [PackageAdvisory(**row) for row in await db.fetch(SQL.list_about, ecosystem, names, details, limit)]
