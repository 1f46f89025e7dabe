"""`python -m tests.stateful`: more and longer histories than the suite tries, other ones each time.

A disagreement is shrunk to few steps. `--suite` tries the suite's histories, for one that failed there.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from registry.db.migrate import migrate
from registry.embedded import EmbeddedPostgres
from tests.stateful import machine, registry

TEMPLATE = "stateful"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.stateful", description="Compare with the model.")
    parser.add_argument("--examples", type=int, default=500, metavar="N", help="how many histories (500)")
    parser.add_argument("--steps", type=int, default=60, metavar="N", help="steps of each at most (60)")
    parser.add_argument("--suite", action="store_true", help="exactly what the suite tries")
    arguments = parser.parse_args()
    examples, steps = (machine.EXAMPLES, machine.STEPS) if arguments.suite else (arguments.examples, arguments.steps)
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as directory:
        Path(directory).chmod(0o755)
        with EmbeddedPostgres.start(Path(directory) / "data", unsafe_fast=True) as server:
            asyncio.run(_make_template(server))
            machine.run(server, TEMPLATE, examples=examples, steps=steps, derandomize=arguments.suite, shrink=True)
    print(f"{examples} histories, and the registry always held what the model says.")


async def _make_template(server: EmbeddedPostgres) -> None:
    await registry.command(server, f"CREATE DATABASE {TEMPLATE}")
    await migrate(server.url_for(TEMPLATE))


if __name__ == "__main__":
    main()
