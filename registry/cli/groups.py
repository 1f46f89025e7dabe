"""`registry group`: namespaces that own projects."""

from __future__ import annotations

import argparse
from typing import Any

from registry import tree
from registry.access import SYSTEM
from registry.cli.output import Result
from registry.cli.provisioning import OPERATOR, Commands, every, find_group, topic
from registry.db import listings
from registry.db.connection import Database
from registry.db.listings import GroupDetails, GroupFilter, sight_of
from registry.model import Group

VISIBILITIES = ("private", "internal", "public")


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the commands."""
    verb = topic(commands, "group", "make, list and delete groups")
    command = verb("create", create, "make a group; the group above must be there")
    command.add_argument("path", help="full path, such as acme or acme/tools")
    command.add_argument("--name", help="the last part of the path if absent")
    command.add_argument("--visibility", choices=VISIBILITIES, default="private")
    command.add_argument("--description", default="")
    command = verb("list", list_all, "list groups")
    command.add_argument("--search", metavar="TEXT", help="part of a name or path")
    verb("delete", delete, "delete a group with every project and package below it").add_argument("path")


async def create(db: Database, arguments: argparse.Namespace) -> Result:
    """Make a group."""
    above, _, path = arguments.path.strip("/").rpartition("/")
    group = await tree.create_group(
        db,
        OPERATOR,
        name=arguments.name or path,
        path=path,
        parent=await find_group(db, above) if above else None,
        visibility=arguments.visibility,
        description=arguments.description,
    )
    return _row(group)


async def list_all(db: Database, arguments: argparse.Namespace) -> Result:
    """List groups."""
    chosen, sight = GroupFilter(search=arguments.search), sight_of(SYSTEM)
    ids = await every(lambda window: listings.page_groups(db, sight, chosen, window))
    return [_row(group) for group in await listings.list_groups(db, ids)]


async def delete(db: Database, arguments: argparse.Namespace) -> Result:
    """Delete a group."""
    await tree.delete_group(db, OPERATOR, await find_group(db, arguments.path))
    return None


def _row(group: Group | GroupDetails) -> dict[str, Any]:
    return {"id": group.id, "path": group.full_path, "name": group.name, "visibility": group.visibility}
