"""`registry member`: who may do what in a project or group."""

from __future__ import annotations

import argparse

from registry import tree
from registry.access import AccessLevel
from registry.cli.output import Result
from registry.cli.provisioning import OPERATOR, Commands, add_home, day, every, find_home, find_user, topic
from registry.db import listings
from registry.db.connection import Database
from registry.db.listings import Homes
from registry.model import Project

LEVELS = {level.name.lower(): level for level in AccessLevel if AccessLevel.NONE < level < AccessLevel.ADMIN}


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the commands."""
    verb = topic(commands, "member", "add, list and remove members of projects and groups")
    command = verb("add", add_one, "make a user a member")
    add_home(command)
    command.add_argument("--user", required=True, metavar="USERNAME")
    command.add_argument("--level", required=True, choices=LEVELS, help="developers publish, maintainers delete")
    command.add_argument("--expires", type=day, metavar="YYYY-MM-DD", help="first day without access")
    add_home(verb("list", list_all, "list direct members"))
    command = verb("remove", remove, "end a membership, at once")
    add_home(command)
    command.add_argument("--user", required=True, metavar="USERNAME")


async def add_one(db: Database, arguments: argparse.Namespace) -> Result:
    """Add a member."""
    user = await find_user(db, arguments.user)
    await tree.add_member(
        db,
        OPERATOR,
        await find_home(db, arguments),
        user_id=user.id,
        access_level=LEVELS[arguments.level],
        expires_at=arguments.expires,
    )
    return {"username": user.username, "level": arguments.level, "expires_at": arguments.expires}


async def list_all(db: Database, arguments: argparse.Namespace) -> Result:
    """List members."""
    home = await find_home(db, arguments)
    homes = Homes(project=home.id) if isinstance(home, Project) else Homes(groups=(home.id,))
    ids = await every(lambda window: listings.page_members(db, homes, query=None, user_ids=(), window=window))
    return [
        {
            "username": member.username,
            "level": AccessLevel(member.access_level).name.lower(),
            "expires_at": member.expires_at,
        }
        for member in await listings.list_members(db, homes, ids)
    ]


async def remove(db: Database, arguments: argparse.Namespace) -> Result:
    """Remove a member."""
    user = await find_user(db, arguments.user)
    await tree.remove_member(db, OPERATOR, await find_home(db, arguments), user.id)
    return None
