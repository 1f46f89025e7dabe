"""`registry token`: personal access tokens. A token is shown when it is made, and never again."""

from __future__ import annotations

import argparse
from typing import Any

from registry import access_tokens, accounts
from registry.access import TOKEN_SCOPES
from registry.cli.output import Result
from registry.cli.provisioning import OPERATOR, Commands, day, every, find_user, topic
from registry.db import tokens
from registry.db.accounts import PersonalAccessToken
from registry.db.connection import Database
from registry.db.tokens import AccessToken, TokenFilter


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the commands."""
    verb = topic(commands, "token", "make, list and revoke personal access tokens")
    command = verb("create", create, "make a token of a user and show it")
    command.add_argument("--user", required=True, metavar="USERNAME")
    command.add_argument("--name", required=True, help="what it is for")
    command.add_argument(
        "--scope",
        required=True,
        action="extend",
        nargs="+",
        choices=TOKEN_SCOPES,
        metavar="SCOPE",
        help=", ".join(TOKEN_SCOPES),
    )
    command.add_argument("--expires", type=day, metavar="YYYY-MM-DD", help="first day on which it is refused")
    command.add_argument("--quiet", action="store_const", const="token", help="print the token and nothing else")
    command = verb("list", list_all, "list the tokens of a user")
    command.add_argument("--user", required=True, metavar="USERNAME")
    verb("revoke", revoke, "revoke a token, at once").add_argument("id", type=int)


async def create(db: Database, arguments: argparse.Namespace) -> Result:
    """Make a token."""
    user = await find_user(db, arguments.user)
    row, token = await accounts.create_personal_access_token(
        db, OPERATOR, user, name=arguments.name, scopes=arguments.scope, expires_at=arguments.expires
    )
    return {**_row(row), "token": token}


async def list_all(db: Database, arguments: argparse.Namespace) -> Result:
    """List tokens."""
    chosen = TokenFilter(user_id=(await find_user(db, arguments.user)).id)
    ids = await every(lambda window: tokens.page_tokens(db, chosen, window))
    return [
        {**_row(token), "last_used_at": token.last_used_at, "active": token.active}
        for token in await tokens.list_tokens(db, ids)
    ]


async def revoke(db: Database, arguments: argparse.Namespace) -> Result:
    """Revoke a token."""
    await access_tokens.revoke(db, OPERATOR, arguments.id)
    return None


def _row(token: PersonalAccessToken | AccessToken) -> dict[str, Any]:
    return {"id": token.id, "name": token.name, "scopes": token.scopes, "expires_at": token.expires_at}
