"""Audit events as the management API lists them, in Postgres. They are written by `db.instance.audit`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from registry.db.connection import Db
from registry.db.listings import PageOfIds, Window
from registry.db.queries import Queries

SQL = Queries("audit_events")


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Conditions of a list of events: what they are about (`Project`, `Group`, `User`, `Instance`), and when."""

    entity_type: str | None = None
    entity_id: int | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Who changed what, when, from where. `author_id` is a user or a deploy token, as `author_kind` says."""

    id: int
    author_kind: str
    author_id: int | None
    author_name: str
    token_id: int | None
    ip_address: str | None
    entity_type: str
    entity_id: int | None
    entity_path: str
    event_name: str
    details: Mapping[str, Any]
    created_at: datetime


async def page_events(db: Db, chosen: EventFilter, window: Window) -> PageOfIds:
    """One page of the events, by id."""
    row = await db.fetchrow(
        SQL.page_events,
        chosen.entity_type,
        chosen.entity_id,
        chosen.created_after,
        chosen.created_before,
        window.id_after,
        window.id_before,
        window.descending,
        window.limit + 1,
        window.offset,
    )
    return PageOfIds(**row)  # type: ignore[arg-type]  # it always answers one row


async def list_events(db: Db, ids: Sequence[int]) -> list[AuditEvent]:
    """Events by id, in that order."""
    return [AuditEvent(**row) for row in await db.fetch(SQL.list_events, ids)]
