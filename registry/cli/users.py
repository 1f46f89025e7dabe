"""`registry user`: who may sign in."""

from __future__ import annotations

import argparse
from typing import Any

from registry import accounts
from registry.cli.output import Result
from registry.cli.provisioning import OPERATOR, Commands, every, find_user, topic
from registry.db import listings
from registry.db.accounts import User
from registry.db.connection import Database
from registry.db.listings import UserDetails, UserFilter


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the commands."""
    verb = topic(commands, "user", "make, list and block users")
    command = verb("create", create, "make a user with a personal namespace")
    command.add_argument("username")
    command.add_argument("--name", help="full name; the user name if absent")
    command.add_argument("--email", help="address; USERNAME@localhost if absent")
    command.add_argument("--admin", action="store_true", help="may do everything")
    command = verb("list", list_all, "list users")
    command.add_argument("--search", metavar="TEXT", help="part of a name, user name or address")
    for name, summary in (("block", "refuse every token of a user, at once"), ("unblock", "undo block")):
        verb(name, block if name == "block" else unblock, summary).add_argument("username")


async def create(db: Database, arguments: argparse.Namespace) -> Result:
    """Make a user."""
    user = await accounts.create_user(
        db,
        OPERATOR,
        username=arguments.username,
        name=arguments.name or arguments.username,
        email=arguments.email or f"{arguments.username}@localhost",
        admin=arguments.admin,
    )
    return _row(user)


async def list_all(db: Database, arguments: argparse.Namespace) -> Result:
    """List users."""
    chosen = UserFilter(search=arguments.search, by_email=True)
    ids = await every(lambda window: listings.page_users(db, chosen, window))
    return [_row(user) for user in await listings.list_users(db, ids)]


async def block(db: Database, arguments: argparse.Namespace) -> Result:
    """Block a user."""
    return await _set_state(db, arguments.username, "blocked")


async def unblock(db: Database, arguments: argparse.Namespace) -> Result:
    """Unblock a user."""
    return await _set_state(db, arguments.username, "active")


async def _set_state(db: Database, username: str, state: str) -> Result:
    user = await find_user(db, username)
    await accounts.set_user_state(db, OPERATOR, user.id, state)
    return _row(await find_user(db, username))


def _row(user: User | UserDetails) -> dict[str, Any]:
    return {
        "id": user.id,
        "username": user.username,
        "name": user.name,
        "email": user.email,
        "admin": user.admin,
        "state": user.state,
    }
