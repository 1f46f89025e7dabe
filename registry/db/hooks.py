"""Webhooks in Postgres, and what they are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from registry.db.accounts import Place
from registry.db.connection import Db
from registry.db.listings import PageOfIds, Window
from registry.db.queries import Queries

SQL = Queries("hooks")

State = Literal["pending", "delivered", "failed"]


@dataclass(frozen=True, slots=True)
class Hook:
    """A hook without its secrets; `token` says whether it has one. `failures` are those in a row, until now."""

    id: int
    namespace_id: int | None
    project_id: int | None
    url: str
    name: str
    description: str
    events: list[str]
    enable_ssl_verification: bool
    token: bool
    failures: int
    disabled: bool
    next_attempt_at: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HookFields:
    """What a hook is made of. In an update None leaves a secret as it is, and an empty token takes it away."""

    url: str
    name: str
    description: str
    events: Sequence[str]
    enable_ssl_verification: bool
    token: str | None
    signing_token: str | None


@dataclass(frozen=True, slots=True)
class HookEvent:
    """Something a hook was told or is to be told; the answer is that of the last attempt, `duration` in seconds."""

    id: int
    message_id: UUID
    trigger: str
    payload: Mapping[str, Any]
    state: State
    attempts: int
    response_status: int | None
    response_body: str
    error: str
    duration: float
    attempted_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """The next thing to tell, with everything that it takes; the turn lasts until `busy_until`.

    The `revision` is another one as soon as somebody changes the hook or has it told again.
    """

    hook_id: int
    url: str
    token: str | None
    signing_token: str
    enable_ssl_verification: bool
    failures: int
    busy_until: datetime
    revision: int
    event_id: int
    message_id: UUID
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of an attempt: of the event, and of the hook, whose next turn comes after `pause`."""

    state: State
    status: int | None
    body: str
    error: str
    duration: float
    failures: int
    disabled: bool
    pause: timedelta


async def list_hooks(db: Db, place: Place, hook_id: int | None = None) -> list[Hook]:
    """The hooks of a project or group, oldest first, or one of them."""
    return [Hook(**row) for row in await db.fetch(SQL.list_hooks, place.namespace_id, place.project_id, hook_id)]


async def lock_hook(tx: Db, place: Place, hook_id: int) -> None:
    """Lock a hook of a project or group until the end of the transaction: before its events, as deliveries do."""
    await tx.execute(SQL.lock_hook, place.namespace_id, place.project_id, hook_id)


async def insert_hook(tx: Db, place: Place, fields: HookFields, most: int) -> int | None:
    """Make a hook; None when there are `most` of them already."""
    hook_id: int | None = await tx.fetchval(
        SQL.insert_hook,
        place.namespace_id,
        place.project_id,
        fields.url,
        fields.name,
        fields.description,
        fields.events,
        fields.token,
        fields.signing_token,
        fields.enable_ssl_verification,
        most,
    )
    return hook_id


async def update_hook(tx: Db, hook_id: int, fields: HookFields) -> None:
    """Change a hook, which is told again at once if it was disabled."""
    await tx.execute(
        SQL.update_hook,
        hook_id,
        fields.url,
        fields.name,
        fields.description,
        fields.events,
        fields.token,
        fields.signing_token,
        fields.enable_ssl_verification,
    )


async def delete_hook(tx: Db, hook_id: int) -> None:
    """Take a hook out of sight and tell it nothing more; it is removed with its events by `bury`."""
    await tx.execute(SQL.delete_hook, hook_id)


async def bury(db: Db) -> int:
    """Remove deleted hooks with their events, a thousand of these at most; answers how many rows that were."""
    return int(await db.fetchval(SQL.bury))


async def page_events(db: Db, hook_id: int, state: str | None, window: Window) -> PageOfIds:
    """One page of a hook's events, newest first."""
    row = await db.fetchrow(SQL.page_events, hook_id, state, window.limit + 1, window.offset)
    return PageOfIds(**row)  # type: ignore[arg-type]  # it always answers one row


async def list_events(db: Db, hook_id: int, ids: Sequence[int]) -> list[HookEvent]:
    """Events of a hook by id, in that order."""
    return [HookEvent(**row) for row in await db.fetch(SQL.list_events, hook_id, ids)]


async def insert_event(tx: Db, hook_id: int, trigger: str, payload: Mapping[str, object]) -> int:
    """Add something to be told to one hook."""
    return int(await tx.fetchval(SQL.insert_event, hook_id, trigger, payload))


async def resend(tx: Db, hook_id: int, event_id: int) -> bool:
    """Have an event of a locked hook told once more; False when it has none of this id."""
    return await tx.fetchval(SQL.resend, hook_id, event_id) is not None


async def revive(tx: Db, hook_id: int) -> None:
    """Have a hook told again, at once, whatever it did before."""
    await tx.execute(SQL.revive, hook_id)


async def claim(db: Db, turn: timedelta, most: int) -> Claim | None:
    """Take the next turn of any hook, for a time after which somebody else may; None when there is nothing to tell.

    No hook gets a turn while `most` others of its top-level group or user have theirs.
    """
    row = await db.fetchrow(SQL.claim, turn, most)
    return Claim(**row) if row else None


async def settle(db: Db, claimed: Claim, outcome: Outcome) -> None:
    """Write down what became of an attempt, unless the turn was over and somebody else's has begun.

    A failure does not count against a hook that was changed or had told again since the turn began.
    """
    await db.execute(
        SQL.settle,
        claimed.hook_id,
        claimed.event_id,
        outcome.state,
        outcome.status,
        outcome.body,
        outcome.error,
        outcome.duration,
        outcome.failures,
        outcome.disabled,
        outcome.pause,
        claimed.busy_until,
        claimed.revision,
    )


async def put_off(db: Db, claimed: Claim, pause: timedelta) -> None:
    """End a turn in which nothing was tried; the next one comes after a pause."""
    await db.execute(SQL.put_off, claimed.hook_id, claimed.busy_until, pause)


async def disable_full(db: Db, most: int) -> list[int]:
    """Disable the hooks for which more than `most` events wait, and give these up; answers which."""
    return [row["id"] for row in await db.fetch(SQL.disable_full, most)]


async def trim(db: Db, older_than: timedelta) -> int:
    """Forget old events, a thousand at most; answers how many that were."""
    return int(await db.fetchval(SQL.trim, older_than))
