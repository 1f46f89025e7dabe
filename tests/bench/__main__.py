"""`python -m tests.bench`: run the benchmarks, print what they find, keep it in `results`."""

from __future__ import annotations

import argparse
import sys

from tests.bench import listing, measuring, npm, reads, uploads
from tests.bench.measuring import Measurement


def _reads() -> list[Measurement]:
    return [
        Measurement(
            f"{row['workload']}, {row['connections']} connections: speed, as a ratio to bare aiohttp",
            row["ratio"],
            "",
            least=row["bar"] or None,
        )
        for row in reads.run()
    ]


BENCHMARKS = {"reads": _reads, "uploads": uploads.run, "npm": npm.run, "listing": listing.run}


def main() -> int:
    """Exit code 1 when a bar was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure the registry on this machine.")
    parser.add_argument("--only", choices=BENCHMARKS, action="append", help="run this benchmark alone; may be repeated")
    missed = False
    for name in parser.parse_args().only or BENCHMARKS:
        measurements = BENCHMARKS[name]()
        path = measuring.write(name, measurements)
        print(f"{name}, kept in {path}\n\n{measuring.table(measurements)}\n")
        missed = missed or not all(one.kept for one in measurements)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
