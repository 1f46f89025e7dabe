"""`registry project`: what packages belong to."""

from __future__ import annotations

import argparse
from typing import Any

from registry import tree
from registry.access import SYSTEM
from registry.cli.errors import CommandError
from registry.cli.groups import VISIBILITIES
from registry.cli.output import Result
from registry.cli.provisioning import OPERATOR, Commands, every, find_group, find_namespace, find_project, topic
from registry.db import listings
from registry.db.connection import Database
from registry.db.listings import ProjectDetails, ProjectFilter, sight_of
from registry.model import Project

ACCESS_LEVELS = ("disabled", "private", "enabled", "public")


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the commands."""
    verb = topic(commands, "project", "make, list and delete projects")
    command = verb("create", create, "make a project in a group or a user's namespace")
    command.add_argument("path", help="full path, such as acme/widgets")
    command.add_argument("--name", help="the last part of the path if absent")
    command.add_argument("--visibility", choices=VISIBILITIES, default="private")
    command.add_argument(
        "--packages", choices=ACCESS_LEVELS, default="enabled", help="package registry; `public`: anyone may install"
    )
    command.add_argument("--description", default="")
    command = verb("list", list_all, "list projects")
    command.add_argument("--group", metavar="PATH", help="only those below a group")
    command.add_argument("--search", metavar="TEXT", help="part of a name or path")
    verb("delete", delete, "delete a project with its packages").add_argument("path")


async def create(db: Database, arguments: argparse.Namespace) -> Result:
    """Make a project."""
    above, _, path = arguments.path.strip("/").rpartition("/")
    if not above:
        raise CommandError(f"{arguments.path!r} names no group: a full path is GROUP/PROJECT")
    project = await tree.create_project(
        db,
        OPERATOR,
        namespace=await find_namespace(db, above),
        name=arguments.name or path,
        path=path,
        visibility=arguments.visibility,
        package_registry_access_level=arguments.packages,
        description=arguments.description,
    )
    return _row(project)


async def list_all(db: Database, arguments: argparse.Namespace) -> Result:
    """List projects."""
    below = (await find_group(db, arguments.group)).id if arguments.group else None
    chosen, sight = ProjectFilter(below=below, search=arguments.search, search_namespaces=True), sight_of(SYSTEM)
    ids = await every(lambda window: listings.page_projects(db, sight, chosen, window))
    return [_row(project) for project in await listings.list_projects(db, ids)]


async def delete(db: Database, arguments: argparse.Namespace) -> Result:
    """Delete a project."""
    await tree.delete_project(db, OPERATOR, await find_project(db, arguments.path))
    return None


def _row(project: Project | ProjectDetails) -> dict[str, Any]:
    return {
        "id": project.id,
        "path": project.full_path,
        "name": project.name,
        "visibility": project.visibility,
        "packages": project.package_registry_access_level,
    }
