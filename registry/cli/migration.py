"""`registry migrate`: brings the schema up to this release."""

from __future__ import annotations

import argparse
import asyncio

from registry import logs
from registry.cli import database, output
from registry.db.migrate import migrate
from registry.settings import Settings


def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Apply what is missing, past the pooler, and name it. Waits for another one that migrates."""
    del arguments
    logs.configure("warning")
    with database.url(settings) as database_url:
        asyncio.run(_migrate(database.direct_url(settings, database_url)))
    return 0


async def _migrate(database_url: str) -> None:
    connection = await database.connect(database_url)
    await connection.close(timeout=database.CONNECT_SECONDS)
    applied = await migrate(database_url)
    for name in applied:
        output.line(f"applied {name}")
    if not applied:
        output.line("the schema is up to date")
    await database.check(database_url)
