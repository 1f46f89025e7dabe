"""`registry gc`: one run of the clean-up, now."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import aclosing
from datetime import timedelta

from registry import janitor, logs
from registry.cli import database, output
from registry.cli.errors import ConfigurationError
from registry.janitor import Grace
from registry.settings import Settings
from registry.storage import open_store


def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Print each step as a line of JSON; exit code 1 when something could not be removed."""
    logs.configure("error")
    grace = Grace(
        abandoned=arguments.grace,
        unreferenced=min(janitor.DEFAULT.unreferenced, arguments.grace),
        restore=arguments.restore_window,
    )
    with database.url(settings) as database_url:
        failures = asyncio.run(_collect(settings, database_url, grace, dry_run=arguments.dry_run))
    return 1 if failures else 0


def seconds(text: str) -> timedelta:
    """Read an option. Raises ValueError."""
    value = timedelta(seconds=float(text))
    if value < timedelta():
        raise ValueError("a time is not negative")
    return value


async def _collect(settings: Settings, database_url: str, grace: Grace, *, dry_run: bool) -> int:
    failures = 0
    try:
        async with database.opened(settings, database_url) as db, open_store(settings.store_url) as store:
            steps = janitor.plan(db, store, grace) if dry_run else janitor.sweep(db, store, grace)
            async with aclosing(steps):
                async for step in steps:
                    output.json_line(step.facts())
                    failures += step.action == "failed"
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    return failures
