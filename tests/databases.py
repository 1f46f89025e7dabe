"""Databases of tests, and their end."""

from __future__ import annotations

import asyncio
import contextlib

import asyncpg


async def drop(connection: asyncpg.Connection[asyncpg.Record], name: str) -> None:
    """Drop a database with whoever is connected to it."""
    while True:
        with contextlib.suppress(asyncpg.InsufficientPrivilegeError):  # a vacuum is under way, and soon over
            await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
            return
        await asyncio.sleep(0.1)
