"""Access tokens: the only module that rotates and revokes personal ones, and makes the bots of groups and projects.

A group or project access token is a personal access token of a bot: a user who is a member of that one place.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import date, timedelta

from registry.access import TOKEN_SCOPES, AccessLevel, level_in
from registry.accounts import PERSONAL_ACCESS_TOKEN, check_scopes, check_text, digest, new_token, place_of
from registry.db import accounts, changes, tokens
from registry.db.changes import Change
from registry.db.connection import Database, Db
from registry.db.instance import Author, audit
from registry.db.tokens import LockedToken
from registry.errors import Invalid, NotFound
from registry.memberships import LEVELS
from registry.model import Group, Project

# What a bot's token may hold: GitLab keeps back what speaks for a person or an administrator.
BOT_SCOPES = tuple(scope for scope in TOKEN_SCOPES if scope not in {"read_user", "sudo", "admin_mode"})

# GitLab: a rotated token lives one week when nothing else is asked.
ROTATED = timedelta(weeks=1)


async def create_bot_token(
    db: Database,
    author: Author,
    home: Project | Group,
    *,
    name: str,
    scopes: Sequence[str],
    access_level: int = AccessLevel.MAINTAINER,
    description: str = "",
    expires_at: date | None = None,
) -> tuple[int, str]:
    """Make an access token of a project or group, with its bot: the token's id, and its text, shown once.

    Raises Invalid, also for a level above the author's.
    """
    check_text(name, "name")
    check_scopes(scopes, BOT_SCOPES)
    if access_level not in LEVELS:
        raise Invalid("access_level does not have a valid value")
    if author.actor.kind != "system" and level_in(author.actor, home) < access_level:
        raise Invalid("Access level of the token contains permissions not held by the creating user")
    noun = "project" if isinstance(home, Project) else "group"
    token = new_token(PERSONAL_ACCESS_TOKEN)
    async with db.transaction() as tx:
        username = f"{noun}_{home.id}_bot_{secrets.token_hex(16)}"
        bot = await accounts.insert_user(tx, username=username, name=name, email="", admin=False, kind=f"{noun}_bot")
        await accounts.insert_member(
            tx,
            place_of(home),
            user_id=bot,
            access_level=access_level,
            expires_at=None,
            created_by_id=author.actor.id if author.actor.is_user else None,
        )
        row = await accounts.insert_personal_access_token(
            tx,
            user_id=bot,
            name=name,
            description=description,
            sha256=digest(token),
            scopes=sorted(set(scopes)),
            expires_at=expires_at,
        )
        await audit(
            tx, author, f"{noun}_access_token_created", home, personal_access_token_id=row.id, user_id=bot,
            access_level=access_level, scopes=row.scopes,
        )  # fmt: skip
        await changes.record(tx, [Change("token", digest(token).hex())])
    return row.id, token


async def rotate(
    db: Database, author: Author, token_id: int, expires_at: Callable[[LockedToken], date | None]
) -> tuple[int, str]:
    """Replace a token by a new one with the same name, scopes and limits: its id, and its text, shown once.

    What was made with the old one (`npm login`) ends with it; one that was made with another never outlives that.

    Rotating a revoked token revokes every descendant of the chain, because somebody holds a token that was replaced
    (GitLab: automatic reuse detection), and raises Invalid. Raises NotFound.
    """
    token = new_token(PERSONAL_ACCESS_TOKEN)
    async with db.transaction() as tx:
        old = await _locked(tx, token_id)
        if old.revoked:
            family = await tokens.revoke_family(tx, old.user_id, old.family_id)
            await _note(tx, author, old, "personal_access_token_family_revoked", revoked=len(family))
            await changes.record(tx, [Change("token", sha256.hex()) for sha256 in family])
        else:
            gone = await tokens.revoke_token(tx, old.id)
            row = await accounts.insert_personal_access_token(
                tx,
                user_id=old.user_id,
                name=old.name,
                description=old.description,
                sha256=digest(token),
                scopes=old.scopes,
                expires_at=min(filter(None, (expires_at(old), old.parent_expires_at)), default=None),
                family_id=old.family_id,
                parent_id=old.parent_id,
                networks=old.networks,
                packages=old.packages,
            )
            await _note(tx, author, old, "personal_access_token_rotated", new_token_id=row.id)
            await changes.record(tx, [Change("token", sha256.hex()) for sha256 in (*gone, digest(token))])
    if old.revoked:
        raise Invalid("Token already revoked")
    return row.id, token


async def revoke(db: Database, author: Author, token_id: int) -> None:
    """Revoke a token and those made with it, at once on every replica; a revoked one stays so. Raises NotFound."""
    async with db.transaction() as tx:
        old = await _locked(tx, token_id)
        if old.revoked:
            return
        gone = await tokens.revoke_token(tx, old.id)
        await _note(tx, author, old, "personal_access_token_revoked")
        await changes.record(tx, [Change("token", sha256.hex()) for sha256 in gone])


def expiry(asked: date | None, today: date, *, keep_lifetime: bool = False) -> Callable[[LockedToken], date | None]:
    """When the successor of a token ends: as asked, after the same lifetime, or in a week; never, if it never did."""

    def of(old: LockedToken) -> date | None:
        if asked is not None:
            return asked
        if old.expires_at is None:
            return None
        return today + (old.expires_at - old.created_at.date() if keep_lifetime else ROTATED)

    return of


async def _locked(tx: Db, token_id: int) -> LockedToken:
    token = await tokens.lock_token(tx, token_id)
    if token is None:
        raise NotFound("404 Personal Access Token Not Found")
    return token


async def _note(tx: Db, author: Author, token: LockedToken, event_name: str, **details: object) -> None:
    user = await accounts.find_user(tx, token.user_id)
    username = user.username if user is not None else ""
    await audit(tx, author, event_name, ("User", token.user_id, username), personal_access_token_id=token.id, **details)
