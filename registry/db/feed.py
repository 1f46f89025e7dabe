"""The feed of changed names in Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from registry.db.connection import Db
from registry.db.queries import Queries

SQL = Queries("feed")


@dataclass(frozen=True, slots=True)
class FedName:
    """A name and the number of its last change; number, type and name are null together, `head` is the newest."""

    head: int
    number: int | None
    package_type: str | None
    name: str | None
    deleted: bool


async def page_names(
    db: Db, projects: Sequence[int], since: int, package_type: str | None, limit: int
) -> list[FedName]:
    """What changed in some projects after a number, as far as one statement sees it; at least one row."""
    return [FedName(*row) for row in await db.fetch(SQL.page_names, projects, since, package_type, limit)]
