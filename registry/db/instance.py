"""The instance's settings and the audit table, in Postgres."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from registry.access import SYSTEM, Actor
from registry.db.connection import Db
from registry.db.queries import Queries
from registry.model import Group, Project
from registry.triggers import TRIGGERS

__all__ = ["SYSTEM", "Author", "audit", "find_settings", "update_settings"]

SQL = Queries("instance")


@dataclass(frozen=True, slots=True)
class Author:
    """Who makes a change: the actor and the address the request came from (None: the command line)."""

    actor: Actor
    address: str | None = None


async def find_settings(db: Db) -> dict[str, Any]:
    """What was changed of the instance's settings; the defaults are the code's."""
    return dict(await db.fetchval(SQL.find_settings))


async def update_settings(tx: Db, changed: Mapping[str, Any]) -> dict[str, Any]:
    """Change some settings; answers all that were ever changed."""
    return dict(await tx.fetchval(SQL.update_settings, changed))


async def audit(
    tx: Db,
    author: Author,
    event_name: str,
    entity: Project | Group | tuple[Literal["User", "Instance", "Project"], int | None, str],
    **details: object,
) -> None:
    """Write the audit row of a change, in the transaction of that change. `details` never hold a secret.

    What `registry.triggers` names is told to the hooks of the project and of the groups above it.
    """
    match entity:
        case Project():
            where: tuple[str, int | None, str] = ("Project", entity.id, entity.full_path)
        case Group():
            where = ("Group", entity.id, entity.full_path)
        case _:
            where = entity
    actor = author.actor
    await tx.execute(
        SQL.insert_audit_event,
        actor.kind,
        actor.id,
        actor.name or actor.username or actor.kind,
        actor.token_id,
        author.address,
        *where,
        event_name,
        details,
        *_news(actor, event_name, entity, details),
    )


def _news(
    actor: Actor, event_name: str, entity: object, details: Mapping[str, object]
) -> tuple[str | None, Mapping[str, object] | None, tuple[int, ...]]:
    """What hooks are told of a change: the trigger, the payload, and the groups whose hooks are meant, too."""
    trigger = TRIGGERS.get(event_name)
    if trigger is None or not isinstance(entity, Project):
        return None, None, ()
    payload = {
        "object_kind": "package",
        "event_name": trigger,
        "action": event_name,
        "project": {"id": entity.id, "name": entity.name, "path_with_namespace": entity.full_path},
        "author": {"kind": actor.kind, "id": actor.id, "username": actor.username, "name": actor.name},
        "package": details,
    }
    return trigger, payload, entity.ancestry
