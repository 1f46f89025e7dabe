"""`python -m tests.faults [--full]`: the fault matrix and the outages; `--full` tries each cell on each store."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Run pytest on this directory; answers its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--full", action="store_true", help="each cell on each store, not on the two in turn")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest, after --")
    arguments = parser.parse_args()
    environment = {**os.environ, **({"FULL_FAULT_MATRIX": "1"} if arguments.full else {})}
    directory = str(Path(__file__).parent)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", directory, *arguments.pytest]
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
