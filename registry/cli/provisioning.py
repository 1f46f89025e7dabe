"""Commands that work on the database, without a running server and without a token: users, groups, projects, ..."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, time

from registry import logs
from registry.access import SYSTEM
from registry.cli import database, output
from registry.cli.errors import CommandError
from registry.cli.output import Result
from registry.db import accounts, namespaces
from registry.db.accounts import User
from registry.db.connection import Database
from registry.db.instance import Author
from registry.db.listings import PageOfIds, Window
from registry.model import Group, Project
from registry.settings import Settings

Command = Callable[[Database, argparse.Namespace], Awaitable[Result]]
Commands = argparse._SubParsersAction  # noqa: SLF001  # the type of what add_subparsers answers

# Who the audit rows of these commands name.
OPERATOR = Author(SYSTEM)

_PAGE = 1000


def topic(
    commands: Commands[argparse.ArgumentParser], name: str, description: str
) -> Callable[[str, Command, str], argparse.ArgumentParser]:
    """A group of commands; the answer adds one: `add(verb, function, description)`."""
    verbs = commands.add_parser(name, help=description).add_subparsers(title="commands", metavar="VERB", required=True)

    def add(verb: str, command: Command, summary: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = verbs.add_parser(verb, help=summary)
        parser.add_argument("--json", action="store_true", help="print JSON")
        parser.set_defaults(run=run, command=command)
        return parser

    return add


def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Carry out a command and print what it answers. A running server notices the change at once."""
    logs.configure("error")

    async def work(database_url: str) -> Result:
        async with database.opened(settings, database_url) as db:
            command: Command = arguments.command
            return await command(db, arguments)

    with database.url(settings) as database_url:
        result = asyncio.run(work(database_url))
    if getattr(arguments, "quiet", None) and isinstance(result, dict):
        output.line(str(result[arguments.quiet]))
    else:
        output.show(result, as_json=arguments.json)
    return 0


def add_home(parser: argparse.ArgumentParser) -> None:
    """Options that name a project or a group, one of the two."""
    home = parser.add_mutually_exclusive_group(required=True)
    home.add_argument("--project", metavar="PATH", help="full path of a project")
    home.add_argument("--group", metavar="PATH", help="full path of a group")


def day(text: str) -> date:
    """Read a date such as 2027-01-01. Raises ValueError."""
    return date.fromisoformat(text)


def midnight(last: date | None) -> datetime | None:
    """The beginning of a day, UTC."""
    return None if last is None else datetime.combine(last, time.min, UTC)


async def find_user(db: Database, username: str) -> User:
    """A user by name. Raises CommandError."""
    user = await accounts.find_user_by_name(db, username)
    if user is None:
        raise CommandError(f"there is no user {username!r}")
    return user


async def find_namespace(db: Database, path: str) -> Group:
    """A group or personal namespace by full path. Raises CommandError."""
    route = await namespaces.find_route(db, path.strip("/"))
    found = None
    if route is not None and route.namespace_id is not None:
        found = await namespaces.find_group(db, route.namespace_id)
    if found is None:
        raise CommandError(f"there is no group {path!r}")
    return found


async def find_group(db: Database, path: str) -> Group:
    """A group by full path. Raises CommandError."""
    found = await find_namespace(db, path)
    if found.kind != "group":
        raise CommandError(f"{path!r} is the personal namespace of a user, not a group")
    return found


async def find_project(db: Database, path: str) -> Project:
    """A project by full path. Raises CommandError."""
    route = await namespaces.find_route(db, path.strip("/"))
    found = None
    if route is not None and route.project_id is not None:
        found = await namespaces.find_project(db, route.project_id)
    if found is None:
        raise CommandError(f"there is no project {path!r}")
    return found


async def find_home(db: Database, arguments: argparse.Namespace) -> Project | Group:
    """What `add_home` asked for. Raises CommandError."""
    if arguments.project is not None:
        return await find_project(db, arguments.project)
    return await find_group(db, arguments.group)


async def every(page: Callable[[Window], Awaitable[PageOfIds]]) -> list[int]:
    """The ids of a whole list."""
    ids: list[int] = []
    while True:
        found = await page(Window(limit=_PAGE, offset=len(ids)))
        ids += found.ids[:_PAGE]
        if len(found.ids) <= _PAGE:
            return ids
