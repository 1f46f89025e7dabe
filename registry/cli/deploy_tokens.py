"""`registry deploy-token`: tokens of a project or group that belong to nobody."""

from __future__ import annotations

import argparse
from typing import Any

from registry import accounts
from registry.access import DEPLOY_TOKEN_SCOPES
from registry.accounts import place_of
from registry.cli.output import Result
from registry.cli.provisioning import OPERATOR, Commands, add_home, day, every, find_home, midnight, topic
from registry.db import tokens
from registry.db.accounts import DeployToken
from registry.db.connection import Database
from registry.db.tokens import DeployTokenDetails


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the commands."""
    verb = topic(commands, "deploy-token", "make, list and revoke tokens of projects and groups")
    command = verb("create", create, "make a deploy token and show it")
    add_home(command)
    command.add_argument("--name", required=True, help="what it is for")
    command.add_argument(
        "--scope",
        required=True,
        action="extend",
        nargs="+",
        choices=DEPLOY_TOKEN_SCOPES,
        metavar="SCOPE",
        help=", ".join(DEPLOY_TOKEN_SCOPES),
    )
    command.add_argument("--username", help="gitlab+deploy-token-ID if absent")
    command.add_argument("--expires", type=day, metavar="YYYY-MM-DD", help="first day on which it is refused")
    command.add_argument("--quiet", action="store_const", const="token", help="print the token and nothing else")
    add_home(verb("list", list_all, "list deploy tokens"))
    command = verb("revoke", revoke, "revoke a deploy token, at once")
    add_home(command)
    command.add_argument("id", type=int)


async def create(db: Database, arguments: argparse.Namespace) -> Result:
    """Make a deploy token."""
    row, token = await accounts.create_deploy_token(
        db,
        OPERATOR,
        await find_home(db, arguments),
        name=arguments.name,
        scopes=arguments.scope,
        username=arguments.username,
        expires_at=midnight(arguments.expires),
    )
    return {**_row(row), "token": token}


async def list_all(db: Database, arguments: argparse.Namespace) -> Result:
    """List deploy tokens."""
    place = place_of(await find_home(db, arguments))
    ids = await every(lambda window: tokens.page_deploy_tokens(db, place, active=False, window=window))
    return [
        {**_row(token), "active": not (token.revoked or token.expired)}
        for token in await tokens.list_deploy_tokens(db, ids, place)
    ]


async def revoke(db: Database, arguments: argparse.Namespace) -> Result:
    """Revoke a deploy token."""
    await accounts.revoke_deploy_token(db, OPERATOR, await find_home(db, arguments), arguments.id)
    return None


def _row(token: DeployToken | DeployTokenDetails) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "username": token.username,
        "scopes": token.scopes,
        "expires_at": token.expires_at,
    }
