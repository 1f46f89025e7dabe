"""`registry grant`: prefixes of PyPI names that are reserved for a group (PEP 752)."""

from __future__ import annotations

import argparse

from registry import app, grants
from registry.api.grants import TYPE
from registry.cli.errors import CommandError
from registry.cli.output import Result, Row
from registry.cli.provisioning import OPERATOR, Commands, find_group, topic
from registry.db.connection import Database
from registry.db.grants import Grant, list_grants


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the commands."""
    verb = topic(commands, "grant", "reserve prefixes of PyPI names for groups")
    command = verb("create", create, "reserve a prefix: acme covers acme and acme-*, for every project of the group")
    command.add_argument("prefix")
    command.add_argument("--group", required=True, metavar="PATH", help="full path of a group")
    verb("list", list_all, "list reserved prefixes with their groups")
    verb("delete", delete, "give a prefix back").add_argument("prefix")


async def create(db: Database, arguments: argparse.Namespace) -> Result:
    """Reserve a prefix."""
    group = await find_group(db, arguments.group)
    return _row(await grants.create(db, OPERATOR, group, TYPE, app.normalize(TYPE, arguments.prefix)))


async def list_all(db: Database, arguments: argparse.Namespace) -> Result:
    """List prefixes."""
    del arguments
    return [_row(grant) for grant in await list_grants(db, TYPE)]


async def delete(db: Database, arguments: argparse.Namespace) -> Result:
    """Give a prefix back."""
    prefix = app.normalize(TYPE, arguments.prefix)
    for grant in await list_grants(db, TYPE):
        if grant.prefix == prefix:
            await grants.delete(db, OPERATOR, grant.id)
            return None
    raise CommandError(f"{arguments.prefix!r} is not reserved")


def _row(grant: Grant) -> Row:
    return {"id": grant.id, "prefix": grant.prefix, "group": grant.full_path}
