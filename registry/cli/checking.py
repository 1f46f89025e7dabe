"""`registry fsck`: checks everything that is stored, and mends what can be mended without loss."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from contextlib import aclosing

from registry import app, fsck, logs
from registry.cli import database, output
from registry.cli.errors import CommandError, ConfigurationError
from registry.errors import RegistryError
from registry.fsck import Finding, Mode
from registry.settings import Settings
from registry.storage import open_store


def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Print each finding as a line of JSON, and a summary on stderr.

    Exit code 0 when there was none, 1 when there was one (repaired or not), 2 when the check could not be made.
    """
    logs.configure("error")
    mode = Mode(deep=arguments.deep, repair=arguments.repair, min_age=arguments.min_age)
    try:
        with database.url(settings) as database_url:
            found = asyncio.run(check(settings, database_url, mode))
    except (CommandError, RegistryError) as error:
        raise ConfigurationError(f"the check could not be finished: {error}") from error
    return 1 if found else 0


async def check(settings: Settings, database_url: str, mode: Mode) -> int:
    """Check, tell, and answer how many findings there were. Raises what `fsck.run` raises, ConfigurationError."""
    examine = {one.package_type: one.examine for one in app.FORMATS}
    found: Counter[str] = Counter()
    try:
        async with (
            database.opened(settings, database_url) as db,
            open_store(settings.store_url) as store,
            aclosing(fsck.run(db, store, examine, mode)) as findings,
        ):
            async for finding in findings:
                output.json_line(finding.facts())
                found[_outcome(finding)] += 1
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    summary = ", ".join(f"{number} {outcome}" for outcome, number in sorted(found.items())) or "everything is in order"
    sys.stderr.write(f"registry fsck: {summary}\n")
    return found.total()


def _outcome(finding: Finding) -> str:
    return "repaired" if finding.repaired else f"{finding.severity}s"
