"""Hooks: the only module that changes webhooks of projects and groups. One transaction each, with its audit row."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import asyncpg

from registry import outbound, triggers
from registry.accounts import place_of
from registry.db import hooks
from registry.db.connection import Database
from registry.db.hooks import Hook, HookFields
from registry.db.instance import Author, audit
from registry.errors import InvalidField, NotFound
from registry.model import Group, Project
from registry.outbound import Network

# GitLab allows 100 for a project and 50 for a group.
MOST_HOOKS = 100
# Standard Webhooks: a key is base64 with this in front, of 24 to 64 bytes.
_SIGNING = "whsec_"
_TOKEN = re.compile(r"[\x21-\x7e]{0,255}", re.ASCII)


async def create_hook(
    db: Database, author: Author, home: Project | Group, values: Mapping[str, Any], allowed: Sequence[Network]
) -> tuple[Hook, str]:
    """Make a hook of the fields of `HookFields`; answers it with its signing token, which is shown only now.

    Raises InvalidField, NotFound when the place is gone.
    """
    fields = _fields(values, allowed)
    key = fields.signing_token or new_signing_token()
    try:
        async with db.transaction() as tx:
            hook_id = await hooks.insert_hook(tx, place_of(home), replace(fields, signing_token=key), MOST_HOOKS)
            if hook_id is None:
                raise InvalidField("base", f"Maximum number of hooks ({MOST_HOOKS}) exceeded")
            await audit(tx, author, "hook_created", home, hook_id=hook_id, name=fields.name, events=fields.events)
            (made,) = await hooks.list_hooks(tx, place_of(home), hook_id)
    except asyncpg.ForeignKeyViolationError as error:
        raise NotFound(f"404 {'Project' if isinstance(home, Project) else 'Group'} Not Found") from error
    return made, key


async def update_hook(
    db: Database,
    author: Author,
    home: Project | Group,
    hook_id: int,
    changed: Mapping[str, Any],
    allowed: Sequence[Network],
) -> Hook:
    """Change some fields of a hook; a disabled one is told again, and a token does not go along to another URL.

    Raises InvalidField, NotFound.
    """
    async with db.transaction() as tx:
        old = await _locked(tx, home, hook_id)
        known = {name: getattr(old, name) for name in ("url", "name", "description", "events")}
        known["enable_ssl_verification"] = old.enable_ssl_verification
        fields = _fields({**known, **changed}, allowed)
        if fields.url != old.url and fields.token is None:
            # As on GitLab: who may change where it goes need not be who knows it.
            fields = replace(fields, token="")
        await hooks.update_hook(tx, hook_id, fields)
        await audit(tx, author, "hook_updated", home, hook_id=hook_id, changed=sorted(changed))
        return await find_hook(tx, home, hook_id)


async def delete_hook(db: Database, author: Author, home: Project | Group, hook_id: int) -> None:
    """Delete a hook: it is told nothing more, and its log goes a little later, piece by piece. Raises NotFound."""
    async with db.transaction() as tx:
        hook = await _locked(tx, home, hook_id)
        await hooks.delete_hook(tx, hook.id)
        await audit(tx, author, "hook_deleted", home, hook_id=hook.id, name=hook.name)


async def resend_event(db: Database, author: Author, home: Project | Group, hook_id: int, event_id: int) -> None:
    """Tell an event once more, under the same id; a disabled hook is told again. Raises NotFound."""
    async with db.transaction() as tx:
        hook = await _locked(tx, home, hook_id)
        if not await hooks.resend(tx, hook.id, event_id):
            raise NotFound("404 Hook Event Not Found")
        await hooks.revive(tx, hook.id)
        await audit(tx, author, "hook_event_resent", home, hook_id=hook.id, hook_event_id=event_id)


async def test_hook(db: Database, author: Author, home: Project | Group, hook_id: int, trigger: str) -> int:
    """Tell a hook of something that did not happen; a disabled hook is told again. Answers the event's id."""
    async with db.transaction() as tx:
        hook = await _locked(tx, home, hook_id)
        project = {"id": home.id, "name": home.name, "path_with_namespace": home.full_path}
        payload = {
            "object_kind": "package",
            "event_name": trigger,
            "action": "test",
            "project": project if isinstance(home, Project) else None,
            "author": {"kind": author.actor.kind, "id": author.actor.id, "username": author.actor.username,
                       "name": author.actor.name},
            "package": {},
        }  # fmt: skip
        event_id = await hooks.insert_event(tx, hook.id, trigger, payload)
        await hooks.revive(tx, hook.id)
        await audit(tx, author, "hook_tested", home, hook_id=hook.id, trigger=trigger)
    return event_id


async def find_hook(db: Any, home: Project | Group, hook_id: int) -> Hook:
    """A hook of this very place. Raises NotFound."""
    found = await hooks.list_hooks(db, place_of(home), hook_id)
    if not found:
        raise NotFound("404 Hook Not Found")
    return found[0]


async def _locked(tx: Any, home: Project | Group, hook_id: int) -> Hook:
    """The same, which nobody else changes until the end of the transaction."""
    await hooks.lock_hook(tx, place_of(home), hook_id)
    return await find_hook(tx, home, hook_id)


def new_signing_token() -> str:
    """A fresh key for signatures."""
    return _SIGNING + base64.b64encode(secrets.token_bytes(32)).decode()


def signing_key(token: str) -> bytes:
    """The bytes of a signing token. Raises InvalidField."""
    try:
        key = base64.b64decode(token.removeprefix(_SIGNING), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not token.startswith(_SIGNING) or not 24 <= len(key) <= 64:
        raise InvalidField("signing_token", f"must be {_SIGNING} and the base64 of 24 to 64 bytes")
    return key


def _fields(values: Mapping[str, Any], allowed: Sequence[Network]) -> HookFields:
    fault = outbound.problem(values["url"], allowed)
    if fault is not None:
        raise InvalidField("url", fault)
    token, signing_token = values.get("token"), values.get("signing_token")
    if token is not None and not _TOKEN.fullmatch(token):
        raise InvalidField("token", "must be printable ASCII without blanks, at most 255 characters")
    if signing_token is not None:
        signing_key(signing_token)
    for name, most in (("name", 255), ("description", 2000)):
        if len(values.get(name) or "") > most:
            raise InvalidField(name, f"is too long (maximum is {most} characters)")
    chosen = values.get("events") or triggers.NAMES
    return HookFields(
        url=values["url"],
        name=values.get("name") or "",
        description=values.get("description") or "",
        events=[name for name in triggers.NAMES if name in chosen],
        enable_ssl_verification=values.get("enable_ssl_verification", True),
        token=token,
        signing_token=signing_token,
    )
