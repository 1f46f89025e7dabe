"""`python -m tests.replicas --seconds 600`: half of the time replicas are replaced, half of it they are killed."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
from functools import partial
from pathlib import Path

from registry.db.migrate import migrate
from registry.embedded import EmbeddedPostgres
from tests.replicas import fleet
from tests.replicas.traffic import Traffic


def main() -> int:
    """Print what the clients saw; 1 when a rolling restart failed one of them, or anything acknowledged was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.replicas", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    seconds = parser.parse_args().seconds / 2
    with tempfile.TemporaryDirectory(prefix="replicas-", dir="/tmp") as name:
        place = Path(name)
        place.chmod(0o755)
        with EmbeddedPostgres.start(place / "postgres") as postgres:
            asyncio.run(migrate(postgres.url))
            with fleet.running(postgres.url, place) as running:
                replaced = Traffic(running, place / "replaced")
                replaced.run(partial(running.replace, number=signal.SIGTERM), seconds)
                print(f"SIGTERM, one after the other: {replaced.tally}", *replaced.tally.failures, sep="\n  ")
                killed = Traffic(running, place / "killed", patience=True)
                killed.run(partial(running.replace, number=signal.SIGKILL), seconds)
                print(f"SIGKILL, at random: {killed.tally}", *killed.tally.lost, sep="\n  ")
    return 1 if replaced.tally.failures or replaced.tally.lost or killed.tally.lost else 0


sys.exit(main())
