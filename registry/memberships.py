"""Memberships: who may change whose access level in a group or project; checked before anything is written."""

from __future__ import annotations

from registry.access import AccessLevel, Actor, level_in
from registry.db import accounts, namespaces
from registry.db.accounts import Place
from registry.db.connection import Db
from registry.errors import Forbidden, Invalid, InvalidField, NotFound
from registry.model import Group, Project

LEVELS = tuple(int(level) for level in AccessLevel if AccessLevel.NONE < level < AccessLevel.ADMIN)


def check_level(actor: Actor, home: Project | Group, access_level: int) -> None:
    """Raise Forbidden when somebody would hand out more than they have, Invalid for what is no level."""
    if access_level not in LEVELS:
        raise Invalid("access_level does not have a valid value")
    if actor.kind != "system" and level_in(actor, home) < access_level:
        raise Forbidden


async def check_standing(tx: Db, actor: Actor, home: Project | Group, user_id: int) -> None:
    """Raise NotFound when the user is no direct member, Forbidden when the member's level is above the actor's."""
    place = Place(project_id=home.id) if isinstance(home, Project) else Place(namespace_id=home.id)
    level = await accounts.lock_member(tx, place, user_id)
    if level is None:
        raise NotFound("404 Member Not Found")
    if actor.kind != "system" and level_in(actor, home) < level:
        raise Forbidden


async def check_inherited(tx: Db, home: Project | Group, user_id: int, access_level: int) -> None:
    """Raise InvalidField when the user has more than `access_level` from a group above: it could never take effect."""
    above = home.ancestry if isinstance(home, Project) else home.ancestry[:-1]
    inherited = await accounts.inherited_level(tx, above, user_id)
    if inherited > access_level:
        role = AccessLevel(inherited).name.title()
        raise InvalidField("access_level", f"should be greater than or equal to {role} inherited membership")


async def check_last_owner(tx: Db, actor: Actor, home: Project | Group, user_id: int) -> None:
    """Raise Forbidden when a group would be left without an owner. Holds the group until the transaction ends."""
    if isinstance(home, Project) or actor.kind == "system":
        return
    await namespaces.lock_group(tx, home.id)
    level = await accounts.lock_member(tx, Place(namespace_id=home.id), user_id)
    if level == AccessLevel.OWNER and not await accounts.has_other_owner(tx, home.ancestry, user_id):
        raise Forbidden
