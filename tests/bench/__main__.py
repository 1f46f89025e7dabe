"""`python -m tests.bench`: run the benchmarks, print what they find, keep it in `results`, show it as a table."""

from __future__ import annotations

import argparse
import importlib
import sys

from tests.bench import measuring, report

# In the order of the table. Each is a module here with a `run`.
BENCHMARKS = (
    "reads",
    "downloads",
    "latency",
    "firsts",
    "scaling",
    "uploads",
    "publishing",
    "installs",
    "peers",
    "packuments",
    "listing",
)


def main() -> int:
    """Exit code 1 when a bar was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure the registry on this machine.")
    parser.add_argument("--only", choices=BENCHMARKS, action="append", help="run this benchmark alone; may be repeated")
    parser.add_argument("--quick", action="store_true", help="one round of each, to see that it works; nothing is kept")
    parser.add_argument("--table", action="store_true", help="run nothing: show what was kept, as the README has it")
    parser.add_argument("--update-readme", action="store_true", help="run nothing: put that table into the README")
    arguments = parser.parse_args()
    names = arguments.only or BENCHMARKS
    if arguments.table:
        print(report.render(names))
        return 0
    if arguments.update_readme:
        report.update(names)
        return 0
    return _run(names, quick=arguments.quick)


def _run(names: list[str] | tuple[str, ...], *, quick: bool) -> int:
    missed = False
    for name in names:
        print(f"{name}:", flush=True)
        measurements = importlib.import_module(f"tests.bench.{name}").run(quick=quick)
        place = "not kept" if quick else f"kept in {measuring.write(name, measurements)}"
        print(f"{name}, {place}\n\n{measuring.table(measurements)}\n", flush=True)
        missed = missed or not all(one.kept for one in measurements)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
