"""`registry package`: what may still be done with a PyPI name and its files."""

from __future__ import annotations

import argparse
import functools

from registry import app, standings
from registry.cli.output import Result
from registry.cli.provisioning import OPERATOR, Commands, find_project, topic
from registry.db.connection import Database

_PYPI = next(one for one in app.FORMATS if one.package_type == "pypi")


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the commands."""
    verb = topic(commands, "package", "yank PyPI releases, set the status of PyPI names")
    _add_name(verb("show", show, "show the status of a name and its files"))
    command = verb("yank", yank, "make installers pass over a release, or one file, unless it is pinned")
    _add_files(command)
    command.add_argument("--reason", help="why, in one line; shown to who installs")
    _add_files(verb("unyank", unyank, "take a yank back"))
    command = verb(
        "status", set_status, "archive a name (no uploads), quarantine it (no files either), or deprecate it"
    )
    _add_name(command)
    command.add_argument("status", choices=standings.STATUSES)
    command.add_argument("--reason", help="why, in one line; shown to who installs")


async def show(db: Database, arguments: argparse.Namespace) -> Result:
    """Show a name."""
    project = await find_project(db, arguments.project)
    return await standings.find(db, project, "pypi", _PYPI.normalize(arguments.name))


async def yank(db: Database, arguments: argparse.Namespace) -> Result:
    """Yank a release or a file of it."""
    return await _yank(db, arguments, yanked=True, reason=arguments.reason)


async def unyank(db: Database, arguments: argparse.Namespace) -> Result:
    """Take a yank back."""
    return await _yank(db, arguments, yanked=False, reason=None)


async def set_status(db: Database, arguments: argparse.Namespace) -> Result:
    """Give a name a status."""
    project = await find_project(db, arguments.project)
    name, status = _PYPI.normalize(arguments.name), arguments.status
    await standings.set_status(db, OPERATOR, project, "pypi", name, status=status, reason=arguments.reason)
    return await show(db, arguments)


async def _yank(db: Database, arguments: argparse.Namespace, *, yanked: bool, reason: str | None) -> Result:
    project = await find_project(db, arguments.project)
    await standings.yank(
        db,
        OPERATOR,
        project,
        "pypi",
        _PYPI.normalize(arguments.name),
        is_version=functools.partial(_PYPI.same_version, arguments.version),
        file_name=arguments.file,
        yanked=yanked,
        reason=reason,
    )
    return await show(db, arguments)


def _add_name(command: argparse.ArgumentParser) -> None:
    command.add_argument("project", metavar="PROJECT", help="full path, such as acme/widgets")
    command.add_argument("name", metavar="NAME", help="name of the package, however it is spelled")


def _add_files(command: argparse.ArgumentParser) -> None:
    _add_name(command)
    command.add_argument("version", metavar="VERSION")
    command.add_argument("--file", metavar="FILE", help="only this file of the version")
