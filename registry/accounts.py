"""Accounts: the only module that changes users, tokens and instance settings. One transaction each, with its audit row.

Tokens are shown once and stored as SHA-256 of their text; 256 random bits need no slower hash.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import asyncpg

from registry.access import DEPLOY_TOKEN_SCOPES, TOKEN_SCOPES
from registry.db import accounts, changes, instance, namespaces
from registry.db.accounts import DeployToken, PersonalAccessToken, Place, User
from registry.db.changes import Change
from registry.db.connection import Database
from registry.db.instance import Author, audit
from registry.errors import Conflict, InvalidField, NotFound
from registry.model import Group, Project

# Prefixes that secret scanners know (GitLab: token overview).
PERSONAL_ACCESS_TOKEN = "glpat-"  # noqa: S105  # the prefix, not a token
DEPLOY_TOKEN = "gldt-"  # noqa: S105

ROOT = "root"

_TOKEN_CREATED = "personal_access_token_created"  # noqa: S105  # the event

_USERNAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,253}[A-Za-z0-9_-])?", re.ASCII)
_DEPLOY_USERNAME = re.compile(r"[A-Za-z0-9+._-]{1,255}", re.ASCII)
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}", re.ASCII)


def new_token(prefix: str) -> str:
    """A fresh token text."""
    return prefix + secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).digest()


async def create_user(
    db: Database, author: Author, *, username: str, name: str, email: str, admin: bool = False
) -> User:
    """Make a user with their personal namespace. Raises Invalid, or Conflict when the name or address is taken."""
    if not _USERNAME.fullmatch(username) or username.isdigit() or username.endswith((".git", ".atom", ".")):
        raise InvalidField("username", "can contain only letters, digits, '_', '-' and '.', and is not a number")
    if not _EMAIL.fullmatch(email):
        raise InvalidField("email", "is invalid")
    check_text(name, "name")
    try:
        async with db.transaction() as tx:
            user_id = await accounts.insert_user(tx, username=username, name=name, email=email, admin=admin)
            namespace_id = await namespaces.insert_personal_namespace(tx, owner_id=user_id, name=name, path=username)
            await accounts.insert_member(
                tx,
                Place(namespace_id=namespace_id),
                user_id=user_id,
                access_level=50,
                expires_at=None,
                created_by_id=None,
            )
            await audit(tx, author, "user_created", ("User", user_id, username), admin=admin)
            await changes.record(tx, [Change("namespaces")])
    except asyncpg.UniqueViolationError as error:
        taken = {"users_email_key": "Email"}.get(error.constraint_name or "", "Username")
        raise Conflict(f"{taken} has already been taken") from error
    user = await accounts.find_user(db, user_id)
    if user is None:
        raise NotFound("404 User Not Found")
    return user


async def set_user_state(db: Database, author: Author, user_id: int, state: str) -> None:
    """Block (`blocked`) or unblock (`active`) a user; every token of theirs follows at once. Raises NotFound."""
    async with db.transaction() as tx:
        user = await accounts.set_user_state(tx, user_id, state)
        if user is None:
            raise NotFound("404 User Not Found")
        await audit(tx, author, f"user_{state}", ("User", user_id, user))
        await changes.record(tx, [Change("user", str(user_id))])


async def create_personal_access_token(
    db: Database,
    author: Author,
    user: User,
    *,
    name: str,
    scopes: Sequence[str],
    description: str = "",
    expires_at: date | None = None,
) -> tuple[PersonalAccessToken, str]:
    """Make a token of a user: its row, and its text, which nobody can see again. Raises Invalid."""
    check_text(name, "name")
    check_scopes(scopes, TOKEN_SCOPES)
    token = new_token(PERSONAL_ACCESS_TOKEN)
    async with db.transaction() as tx:
        row = await accounts.insert_personal_access_token(
            tx,
            user_id=user.id,
            name=name,
            description=description,
            sha256=digest(token),
            scopes=sorted(set(scopes)),
            expires_at=expires_at,
        )
        await audit(
            tx,
            author,
            _TOKEN_CREATED,
            ("User", user.id, user.username),
            personal_access_token_id=row.id,
            scopes=row.scopes,
        )
        await changes.record(tx, [Change("token", digest(token).hex())])
    return row, token


async def ensure_root(db: Database, token: str | None) -> str | None:
    """Make sure that the admin `root` exists and holds `token`.

    Without a given token one is made together with the account, and answered; later calls answer None.
    """
    author = Author(instance.SYSTEM)
    user = await accounts.find_user_by_name(db, ROOT)
    made = user is None
    if user is None:
        try:
            user = await create_user(
                db, author, username=ROOT, name="Administrator", email="root@localhost", admin=True
            )
        except Conflict:
            # Another replica starts at the same time.
            return await ensure_root(db, token)
    if token is None:
        if not made:
            return None
        _, text = await create_personal_access_token(db, author, user, name="root token", scopes=["api"])
        return text
    async with db.transaction() as tx:
        token_id = await accounts.ensure_personal_access_token(
            tx, user_id=user.id, name="REGISTRY_ROOT_TOKEN", sha256=digest(token), scopes=["api"]
        )
        if token_id is not None:
            facts = {"personal_access_token_id": token_id, "scopes": ["api"]}
            await audit(tx, author, _TOKEN_CREATED, ("User", user.id, user.username), **facts)
            await changes.record(tx, [Change("token", digest(token).hex())])
    return None


async def create_deploy_token(
    db: Database,
    author: Author,
    home: Project | Group,
    *,
    name: str,
    scopes: Sequence[str],
    username: str | None = None,
    expires_at: datetime | None = None,
) -> tuple[DeployToken, str]:
    """Make a deploy token of a project or group: its row, and its text. Raises Invalid."""
    check_text(name, "name")
    if username and not _DEPLOY_USERNAME.fullmatch(username):
        raise InvalidField("username", "can contain only letters, digits, '_', '-', '+', and '.'")
    check_scopes(scopes, DEPLOY_TOKEN_SCOPES)
    token = new_token(DEPLOY_TOKEN)
    async with db.transaction() as tx:
        row = await accounts.insert_deploy_token(
            tx,
            place_of(home),
            name=name,
            username=username or "",
            sha256=digest(token),
            scopes=sorted(set(scopes)),
            expires_at=expires_at,
            creator_id=author.actor.id if author.actor.is_user else None,
        )
        await audit(tx, author, "deploy_token_created", home, deploy_token_id=row.id, scopes=row.scopes)
        await changes.record(tx, [Change("token", digest(token).hex())])
    return row, token


async def revoke_deploy_token(db: Database, author: Author, home: Project | Group, token_id: int) -> None:
    """Revoke a deploy token of this project or group, at once on every replica. Raises NotFound."""
    async with db.transaction() as tx:
        sha256 = await accounts.revoke_deploy_token(tx, place_of(home), token_id)
        if sha256 is None:
            raise NotFound("404 Deploy Token Not Found")
        await audit(tx, author, "deploy_token_revoked", home, deploy_token_id=token_id)
        await changes.record(tx, [Change("token", sha256.hex())])


async def update_settings(db: Database, author: Author, changed: Mapping[str, Any]) -> dict[str, Any]:
    """Change instance settings that were validated before; answers all that differ from the defaults."""
    async with db.transaction() as tx:
        settings = await instance.update_settings(tx, changed)
        await audit(tx, author, "application_settings_updated", ("Instance", None, ""), changed=dict(changed))
        await changes.record(tx, [Change("settings")])
    return settings


def place_of(home: Project | Group) -> Place:
    """Where members and deploy tokens of a project or group are kept."""
    return Place(project_id=home.id) if isinstance(home, Project) else Place(namespace_id=home.id)


def check_text(text: str, what: str) -> None:
    """Raise InvalidField for text that is empty, longer than 255 characters or holds control characters."""
    if not text.strip():
        raise InvalidField(what, "can't be blank")
    if len(text) > 255:
        raise InvalidField(what, "is too long (maximum is 255 characters)")
    if any(ord(character) < 32 or 0xD800 <= ord(character) < 0xE000 for character in text):
        raise InvalidField(what, "holds control characters")


def check_scopes(scopes: Sequence[str], known: Sequence[str]) -> None:
    """Raise InvalidField for scopes that do not exist, or none at all."""
    unknown = [scope for scope in scopes if scope not in known]
    if unknown or not scopes:
        raise InvalidField("scopes", f"can only contain available scopes: {', '.join(known)}")
