"""`registry settings`: what holds for the whole instance, as the API's application settings and plan limits."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from registry import accounts
from registry.api import settings as declared
from registry.cli.errors import CommandError
from registry.cli.output import Result
from registry.cli.provisioning import OPERATOR, Commands, topic
from registry.db import instance
from registry.db.connection import Database
from registry.server.parameters import parse

# Whatever the API accepts.
PARAMETERS = tuple(
    one for route in declared.ROUTES if route.method == "PUT" for one in route.parameters if one.nullable
)
DEFAULTS: Mapping[str, object] = {**declared.DEFAULTS, **declared.LIMITS}


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the commands."""
    verb = topic(commands, "settings", "show and change settings of the instance")
    verb("get", get, "show settings in force").add_argument("name", nargs="*", choices=[[], *DEFAULTS])
    verb("set", change, "change settings; an empty value returns to the default").add_argument(
        "assignment", nargs="+", metavar="NAME=VALUE"
    )


async def get(db: Database, arguments: argparse.Namespace) -> Result:
    """Show settings."""
    found = await instance.find_settings(db)
    return {name: found.get(name, DEFAULTS[name]) for name in arguments.name or DEFAULTS}


async def change(db: Database, arguments: argparse.Namespace) -> Result:
    """Change settings."""
    given: dict[str, str | None] = {}
    for assignment in arguments.assignment:
        name, separator, value = assignment.partition("=")
        if not separator or name not in DEFAULTS:
            raise CommandError(f"{assignment!r} sets nothing: NAME=VALUE, where NAME is one of {', '.join(DEFAULTS)}")
        given[name] = value or None
    names = set(given)
    changed = {name: value for name, value in parse(PARAMETERS, given).items() if name in names}
    found = await accounts.update_settings(db, OPERATOR, changed)
    return {name: found.get(name, DEFAULTS[name]) for name in given}
