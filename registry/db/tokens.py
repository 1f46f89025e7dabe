"""Access tokens and deploy tokens as they are listed, rotated and revoked, in Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from registry.db.accounts import Place
from registry.db.connection import Db
from registry.db.listings import PageOfIds, Window
from registry.db.queries import Queries

SQL = Queries("tokens")

EVERYWHERE = Place()


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A personal, project or group access token; `access_level` is its bot's in the place asked about, if any."""

    id: int
    user_id: int
    name: str
    description: str
    scopes: list[str]
    expires_at: date | None
    revoked: bool
    last_used_at: datetime | None
    created_at: datetime
    active: bool
    access_level: int | None


@dataclass(frozen=True, slots=True)
class LockedToken:
    """An access token as a rotation needs it; `family_id` is the first token of its chain, itself if need be."""

    id: int
    user_id: int
    name: str
    description: str
    scopes: list[str]
    created_at: datetime
    expires_at: date | None
    revoked: bool
    family_id: int
    parent_id: int | None
    parent_expires_at: date | None
    networks: list[str]
    packages: list[str]


@dataclass(frozen=True, slots=True)
class OwnToken:
    """A usable token as its owner sees it."""

    id: int
    name: str
    sha256: bytes
    scopes: list[str]
    expires_at: date | None
    created_at: datetime
    networks: list[str]
    packages: list[str]


@dataclass(frozen=True, slots=True)
class OwnTokenId:
    """Which token a text is; `derived` ones were made with another."""

    id: int
    derived: bool


@dataclass(frozen=True, slots=True)
class DeployTokenDetails:
    """A deploy token as the API shows it."""

    id: int
    name: str
    username: str
    scopes: list[str]
    expires_at: datetime | None
    revoked: bool
    expired: bool


@dataclass(frozen=True, slots=True)
class TokenFilter:
    """Conditions of a list of access tokens: of one user, of the bots of a place, or (neither) of all people."""

    user_id: int | None = None
    place: Place = EVERYWHERE
    active: bool | None = None
    revoked: bool | None = None
    search: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    last_used_after: datetime | None = None
    last_used_before: datetime | None = None
    expires_after: date | None = None
    expires_before: date | None = None


async def page_tokens(db: Db, chosen: TokenFilter, window: Window) -> PageOfIds:
    """One page of access tokens; `order_by` is `created`, `expires`, `last_used`, `name` or `id`."""
    row = await db.fetchrow(
        SQL.page_tokens,
        chosen.user_id,
        chosen.place.namespace_id,
        chosen.place.project_id,
        chosen.active,
        chosen.revoked,
        chosen.search,
        chosen.created_after,
        chosen.created_before,
        chosen.last_used_after,
        chosen.last_used_before,
        chosen.expires_after,
        chosen.expires_before,
        window.limit + 1,
        window.offset,
        window.order_by,
        window.descending,
    )
    return PageOfIds(**row)  # type: ignore[arg-type]  # it always answers one row


async def list_tokens(db: Db, ids: Sequence[int], place: Place = EVERYWHERE) -> list[AccessToken]:
    """Access tokens by id, in that order, with the levels of their bots in a place."""
    return [AccessToken(**row) for row in await db.fetch(SQL.list_tokens, ids, place.namespace_id, place.project_id)]


async def lock_token(tx: Db, token_id: int) -> LockedToken | None:
    """An access token, locked until the end of the transaction."""
    row = await tx.fetchrow(SQL.lock_token, token_id)
    return LockedToken(**row) if row else None


async def revoke_token(tx: Db, token_id: int) -> list[bytes]:
    """Revoke an access token and those made with it; answers the digests of those that were still good."""
    return await _until_none_is_left(tx, SQL.revoke_token, token_id)


async def revoke_family(tx: Db, user_id: int, family_id: int) -> list[bytes]:
    """Revoke a chain of rotations and what was made with it; answers the digests of those that were still good."""
    return await _until_none_is_left(tx, SQL.revoke_family, user_id, family_id)


async def list_own(db: Db, user_id: int, *, limit: int, offset: int) -> list[OwnToken]:
    """The usable tokens of a user, newest first."""
    return [OwnToken(**row) for row in await db.fetch(SQL.list_own, user_id, limit, offset)]


async def count_own(db: Db, user_id: int) -> int:
    """How many usable tokens a user has."""
    return int(await db.fetchval(SQL.count_own, user_id))


async def find_own(db: Db, user_id: int, sha256: bytes) -> OwnTokenId | None:
    """A token of a user by the digest of its text, whatever its state."""
    row = await db.fetchrow(SQL.find_own, user_id, sha256)
    return OwnTokenId(**row) if row else None


async def delete_bots(tx: Db, *, groups: Sequence[int] = (), projects: Sequence[int] = ()) -> list[int]:
    """Delete the bots of groups and projects; answers their user ids."""
    return [row["id"] for row in await tx.fetch(SQL.delete_bots, groups, projects)]


async def page_deploy_tokens(db: Db, place: Place, *, active: bool, window: Window) -> PageOfIds:
    """One page of the deploy tokens of a place; `active` leaves out the unusable ones."""
    row = await db.fetchrow(
        SQL.page_deploy_tokens, place.namespace_id, place.project_id, active, window.limit + 1, window.offset
    )
    return PageOfIds(**row)  # type: ignore[arg-type]  # it always answers one row


async def list_deploy_tokens(db: Db, ids: Sequence[int], place: Place = EVERYWHERE) -> list[DeployTokenDetails]:
    """Deploy tokens by id, those of the place."""
    rows = await db.fetch(SQL.list_deploy_tokens, ids, place.namespace_id, place.project_id)
    return [DeployTokenDetails(**row) for row in rows]


async def _until_none_is_left(tx: Db, query: str, *values: object) -> list[bytes]:
    """Revoke until nothing is found: while one run waits for a token, another may be made with it, unseen by that."""
    digests: list[bytes] = []
    while found := await tx.fetch(query, *values):
        digests += (row["sha256"] for row in found)
    return digests
