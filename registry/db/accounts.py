"""Users, members, personal access tokens and deploy tokens, in Postgres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from registry.db.connection import Db
from registry.db.queries import Queries

SQL = Queries("accounts")


@dataclass(frozen=True, slots=True)
class TokenOwner:
    """A personal access token and its owner."""

    token_id: int
    scopes: list[str]
    expires_at: date | None
    revoked: bool
    expired: bool
    user_id: int
    username: str
    name: str
    admin: bool
    state: str
    networks: list[str]
    packages: list[str]


@dataclass(frozen=True, slots=True)
class DeployTokenOwner:
    """A deploy token and its home."""

    id: int
    name: str
    username: str
    scopes: list[str]
    expires_at: datetime | None
    revoked: bool
    expired: bool
    namespace_id: int | None
    project_id: int | None


@dataclass(frozen=True, slots=True)
class Membership:
    """Where a user is a member, and the groups above that place."""

    namespace_id: int | None
    project_id: int | None
    access_level: int
    expires_at: date | None
    ancestry: list[int]


@dataclass(frozen=True, slots=True)
class User:
    """A user account."""

    id: int
    username: str
    name: str
    email: str
    admin: bool
    state: str
    kind: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class PersonalAccessToken:
    """A personal access token as the API shows it; its text is known to its owner alone."""

    id: int
    user_id: int
    name: str
    description: str
    scopes: list[str]
    expires_at: date | None
    revoked: bool
    last_used_at: datetime | None
    created_at: datetime
    family_id: int | None
    networks: list[str]
    packages: list[str]


@dataclass(frozen=True, slots=True)
class DeployToken:
    """A deploy token as the API shows it."""

    id: int
    namespace_id: int | None
    project_id: int | None
    name: str
    username: str
    scopes: list[str]
    expires_at: datetime | None
    revoked: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Person:
    """An active member of a project, direct or of a group above; `expires_at` is when that may be no longer so."""

    username: str
    access_level: int
    expires_at: date | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where members and deploy tokens live: a group or a project, one of the two (None, None: everywhere)."""

    namespace_id: int | None = None
    project_id: int | None = None


async def find_token_owner(db: Db, sha256: bytes) -> TokenOwner | None:
    """A personal access token by the digest of its text, whatever its state."""
    row = await db.fetchrow(SQL.find_token_owner, sha256)
    return TokenOwner(**row) if row else None


async def find_deploy_token(db: Db, sha256: bytes) -> DeployTokenOwner | None:
    """A deploy token by the digest of its text, whatever its state."""
    row = await db.fetchrow(SQL.find_deploy_token, sha256)
    return DeployTokenOwner(**row) if row else None


async def list_memberships(db: Db, user_id: int) -> list[Membership]:
    """Where a user is a member today."""
    return [Membership(**row) for row in await db.fetch(SQL.list_memberships, user_id)]


async def touch_tokens(db: Db, at_by_token: Mapping[int, datetime]) -> None:
    """Note when tokens were last used, one statement for many."""
    await db.execute(SQL.touch_tokens, list(at_by_token), list(at_by_token.values()))


async def find_user(db: Db, user_id: int) -> User | None:
    """A user by id."""
    row = await db.fetchrow(SQL.find_user, user_id)
    return User(**row) if row else None


async def find_user_by_name(db: Db, username: str) -> User | None:
    """A user by user name, without regard to case."""
    row = await db.fetchrow(SQL.find_user_by_name, username)
    return User(**row) if row else None


async def insert_user(tx: Db, *, username: str, name: str, email: str, admin: bool, kind: str = "human") -> int:
    """Make a user; answers the id."""
    return int(await tx.fetchval(SQL.insert_user, username, name, email, admin, kind))


async def set_user_state(tx: Db, user_id: int, state: str) -> str | None:
    """Block or unblock a user; answers the user name, None when there is no such user."""
    username: str | None = await tx.fetchval(SQL.set_user_state, user_id, state)
    return username


async def insert_personal_access_token(
    tx: Db,
    *,
    user_id: int,
    name: str,
    description: str,
    sha256: bytes,
    scopes: Sequence[str],
    expires_at: date | None,
    family_id: int | None = None,
    parent_id: int | None = None,
    networks: Sequence[str] = (),
    packages: Sequence[str] = (),
) -> PersonalAccessToken:
    """Make a personal access token, of itself or with another (`parent_id`), with its limits."""
    row = await tx.fetchrow(
        SQL.insert_personal_access_token,
        user_id,
        name,
        description,
        sha256,
        scopes,
        expires_at,
        family_id,
        parent_id,
        networks,
        packages,
    )
    return PersonalAccessToken(**row)  # type: ignore[arg-type]  # RETURNING answers a row


async def ensure_personal_access_token(
    tx: Db, *, user_id: int, name: str, sha256: bytes, scopes: Sequence[str]
) -> int | None:
    """Put the operator's own token in force; answers its id, None when it was in force already."""
    token_id: int | None = await tx.fetchval(SQL.ensure_personal_access_token, user_id, name, sha256, scopes)
    return token_id


async def insert_deploy_token(
    tx: Db,
    place: Place,
    *,
    name: str,
    username: str,
    sha256: bytes,
    scopes: Sequence[str],
    expires_at: datetime | None,
    creator_id: int | None,
) -> DeployToken:
    """Make a deploy token of a group or a project; an empty user name becomes `gitlab+deploy-token-<id>`."""
    row = await tx.fetchrow(
        SQL.insert_deploy_token,
        place.namespace_id,
        place.project_id,
        name,
        username,
        sha256,
        scopes,
        expires_at,
        creator_id,
    )
    if row is not None and not username:
        row = await tx.fetchrow(SQL.name_deploy_token, row["id"])
    return DeployToken(**row)  # type: ignore[arg-type]  # RETURNING answers a row


async def revoke_deploy_token(tx: Db, place: Place, token_id: int) -> bytes | None:
    """Revoke a deploy token of this place; answers its digest, None when there is no such usable token."""
    digest: bytes | None = await tx.fetchval(SQL.revoke_deploy_token, token_id, place.namespace_id, place.project_id)
    return digest


async def insert_member(
    tx: Db, place: Place, *, user_id: int, access_level: int, expires_at: date | None, created_by_id: int | None
) -> None:
    """Make a user a member."""
    await tx.execute(
        SQL.insert_member, place.namespace_id, place.project_id, user_id, access_level, expires_at, created_by_id
    )


async def update_member(tx: Db, place: Place, *, user_id: int, access_level: int, expires_at: date | None) -> bool:
    """Change a member's level; False when the user is no direct member."""
    changed = await tx.fetchval(
        SQL.update_member, place.namespace_id, place.project_id, user_id, access_level, expires_at
    )
    return changed is not None


async def delete_member(tx: Db, place: Place, user_id: int) -> bool:
    """Remove a member; False when the user is no direct member."""
    return await tx.fetchval(SQL.delete_member, place.namespace_id, place.project_id, user_id) is not None


async def list_people(db: Db, project_id: int) -> list[Person]:
    """Who works on a project today, by user name."""
    return [Person(**row) for row in await db.fetch(SQL.list_people, project_id)]


async def lock_member(tx: Db, place: Place, user_id: int) -> int | None:
    """The level of a direct member, locked until the end of the transaction; None when the user is none."""
    level: int | None = await tx.fetchval(SQL.lock_member, place.namespace_id, place.project_id, user_id)
    return level


async def inherited_level(db: Db, groups: Sequence[int], user_id: int) -> int:
    """The highest level a user has in any of some groups; 0 for none."""
    return await db.fetchval(SQL.inherited_level, groups, user_id) or 0


async def has_other_owner(db: Db, groups: Sequence[int], user_id: int) -> bool:
    """Whether an active person other than this user is an owner of any of some groups."""
    return bool(await db.fetchval(SQL.has_other_owner, groups, user_id))
