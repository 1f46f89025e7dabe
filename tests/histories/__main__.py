"""`python -m tests.histories`: a run of any length; exit code 1, and the history is kept, when something is wrong."""

from __future__ import annotations

import argparse
import secrets
import sys
from pathlib import Path

from tests.histories.run import run

# More of them say the same.
SHOWN = 20


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.histories", description="Prove that reads are fresh.")
    parser.add_argument("--operations", type=int, default=20_000, help="how many, at least (20000)")
    parser.add_argument("--faults", action="store_true", help="restart Postgres, kill and replace replicas meanwhile")
    parser.add_argument("--seed", type=int, default=None, help="what all choices are made from")
    parser.add_argument("--history", type=Path, default=None, help="where to write it; kept then in any case")
    arguments = parser.parse_args()
    seed = secrets.randbelow(2**32) if arguments.seed is None else arguments.seed
    path = arguments.history or Path(f"history-{seed}.jsonl")
    result = run(arguments.operations, seed, path, faults=arguments.faults)
    print(f"seed {seed}, {result.seconds:.0f} s")
    print(f"operations {result.operations}: " + ", ".join(f"{n} {what}" for what, n in sorted(result.outcomes.items())))
    print(f"faults {result.faults.total()}: " + ", ".join(f"{n} x {what}" for what, n in sorted(result.faults.items())))
    print(f"violations {len(result.violations)}")
    for violation in result.violations[:SHOWN]:
        print(f"  {violation}")
    if result.violations:
        print(f"the history is in {path}")
    elif arguments.history is None:
        path.unlink()
    return 1 if result.violations else 0


if __name__ == "__main__":
    sys.exit(main())
