"""`python -m tests.soak`: a long soak; prints a table, and exits with 1 when anything is wrong or grows."""

from __future__ import annotations

import argparse
import logging
import secrets
import statistics
import sys
from collections.abc import Sequence

from tests.soak.run import run
from tests.soak.usage import MIB, Sample

ROWS = 10
# More of them say the same.
SHOWN = 20


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="Load and faults for a long time.")
    parser.add_argument("--minutes", type=float, default=10, help="how long (10)")
    parser.add_argument("--fault-every", type=float, default=15, metavar="SECONDS", help="between two faults (15)")
    parser.add_argument("--seed", type=int, default=None, help="what all choices are made from")
    arguments = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # the store's server prints a line for each request
    seed = secrets.randbelow(2**32) if arguments.seed is None else arguments.seed
    result = run(arguments.minutes * 60, seed, fault_every=arguments.fault_every)
    print(f"seed {seed}, {result.seconds:.0f} s, {result.operations / result.seconds:.0f} operations/s")
    print(f"operations {result.operations}: " + ", ".join(f"{n} {what}" for what, n in sorted(result.outcomes.items())))
    print(f"faults {result.faults.total()}: " + ", ".join(f"{n} x {what}" for what, n in sorted(result.faults.items())))
    _table(result.samples)
    wrong = [*result.violations[:SHOWN], *result.not_flat, *(f"still open: {one}" for one in result.left_open)]
    print(f"violations {len(result.violations)}, memory and open files " + ("NOT flat" if result.not_flat else "flat"))
    for line in wrong:
        print(f"  {line}")
    for line in result.errors[:SHOWN] if result.violations else ():
        print(line)
    return 1 if wrong else 0


def _table(samples: Sequence[Sample]) -> None:
    """Medians of equal parts of the run."""
    print("  seconds  RSS MiB  open files  child processes")
    for number in range(ROWS):
        part = samples[number * len(samples) // ROWS : (number + 1) * len(samples) // ROWS]
        if part:
            resident, files, children = (
                statistics.median(getattr(one, name) for one in part) for name in ("resident", "files", "children")
            )
            print(f"  {part[-1].seconds:7.0f}  {resident / MIB:7.1f}  {files:10.0f}  {children:15.0f}")


if __name__ == "__main__":
    sys.exit(main())
