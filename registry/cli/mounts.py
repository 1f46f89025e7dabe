"""`registry mount`: host names and paths of their own for projects and groups."""

from __future__ import annotations

import argparse
from typing import Any

from registry import mounts
from registry.cli.output import Result
from registry.cli.provisioning import OPERATOR, Commands, add_home, find_home, topic
from registry.db.connection import Database
from registry.db.mounts import MountRow, list_mounts


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the commands."""
    verb = topic(commands, "mount", "serve a project or group at a host name or path of its own")
    command = verb("create", create, "mount a project or group")
    command.add_argument("url", help="base URL, https://host/path, or /path below every host")
    add_home(command)
    command.add_argument("--type", choices=("npm", "pypi"), default="", help="only these packages (all)")
    verb("list", list_all, "list mounts")
    command = verb("delete", delete, "end a mount, at once")
    command.add_argument("id", type=int)


async def create(db: Database, arguments: argparse.Namespace) -> Result:
    """Mount a project or group."""
    home = await find_home(db, arguments)
    return _row(await mounts.create_mount(db, OPERATOR, home, url=arguments.url, package_type=arguments.type))


async def list_all(db: Database, _arguments: argparse.Namespace) -> Result:
    """List mounts."""
    return [_row(one) for one in await list_mounts(db)]


async def delete(db: Database, arguments: argparse.Namespace) -> Result:
    """End a mount."""
    await mounts.delete_mount(db, OPERATOR, arguments.id)
    return None


def _row(one: MountRow) -> dict[str, Any]:
    return {"id": one.id, "url": one.url, "type": one.package_type or None, "path": one.full_path}
