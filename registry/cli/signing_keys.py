"""`registry signing-key`: the keys that verify npm's registry signatures, and the one this machine signs with."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from registry import app, catalog, logs, signing
from registry.cli import database, output
from registry.cli.errors import ConfigurationError
from registry.cli.output import Result
from registry.cli.provisioning import OPERATOR, Commands, day, midnight, topic
from registry.db.connection import Database
from registry.db.signing import list_keys
from registry.errors import Unavailable
from registry.settings import Settings
from registry.signing import SigningKey


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the commands."""
    verb = topic(commands, "signing-key", "list and expire the keys that sign npm versions, sign older versions")
    verb("list", list_all, "list every key that ever signed here")
    command = verb("expire", expire, "let a key expire, once no server uses it any more: it goes on verifying")
    command.add_argument("id", help="SHA256:..., as `list` shows it")
    command.add_argument(
        "--at", type=day, metavar="YYYY-MM-DD", help="first day on which it signs nothing; now if absent"
    )
    command = verb("sign", list_all, "sign what was published before there was a key")
    command.add_argument("--again", action="store_true", help="also what another key signed")
    command.set_defaults(run=sign)


async def list_all(db: Database, arguments: argparse.Namespace) -> Result:
    """List keys."""
    del arguments
    return [{"id": key.id, "expires_at": key.expires_at} for key in await list_keys(db)]


async def expire(db: Database, arguments: argparse.Namespace) -> Result:
    """Let a key expire."""
    await signing.expire(db, OPERATOR, arguments.id, midnight(arguments.at) or datetime.now(UTC))
    return None


def sign(settings: Settings, arguments: argparse.Namespace) -> int:
    """Sign older versions, and print how many."""
    logs.configure("error")

    async def work(database_url: str) -> dict[str, Any]:
        async with database.opened(settings, database_url) as db:
            key = await registered(with_key(settings), db)
            if key is None:
                raise ConfigurationError("there is no key to sign with: set REGISTRY_SIGNING_KEY_FILE")
            signed = 0
            for one in app.FORMATS:
                if one.signed_text is not None:
                    signed += await catalog.sign(
                        db, OPERATOR, key, one.package_type, one.signed_text, again=arguments.again
                    )
            return {"id": key.id, "signed": signed}

    with database.url(settings) as database_url:
        output.show(asyncio.run(work(database_url)), as_json=arguments.json)
    return 0


def with_key(settings: Settings) -> Settings:
    """The settings with a key to sign with: beside an embedded database one is made when none is given.

    Raises ConfigurationError when it cannot be read.
    """
    if settings.signing_key is not None or settings.database_url is not None:
        return settings
    path = settings.data_dir / "signing-key.pem"
    try:
        with contextlib.suppress(FileExistsError):
            _write(path, signing.generate())
        return settings.model_copy(update={"signing_key": SecretStr(path.read_text(encoding="utf-8"))})
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the signing key {path} cannot be used: {error}") from error


async def registered(settings: Settings, db: Database) -> SigningKey | None:
    """The key of the settings, known to everybody who verifies; None without one. Raises ConfigurationError."""
    if settings.signing_key is None:
        return None
    try:
        key = signing.load(settings.signing_key.get_secret_value())
    except signing.BadKey as error:
        raise ConfigurationError(f"REGISTRY_SIGNING_KEY {error}") from error
    try:
        await signing.register(db, OPERATOR, key)
    except Unavailable as error:
        raise ConfigurationError(f"REGISTRY_SIGNING_KEY: {error.text}") from error
    return key


def _write(path: Path, pem: str) -> None:
    """Make a file that only its owner reads; whole or not at all. Raises FileExistsError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(draft)
    finally:
        draft.unlink()
