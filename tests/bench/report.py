"""The report: kept results as the table of the README."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.bench import measuring
from tests.bench.measuring import RATIO, Measurement

README = Path(__file__).parents[2] / "README.md"
_PLACE = re.compile(r"(<!-- measured: .*?-->\n)(.*?)(<!-- /measured -->)", re.DOTALL)


def rows(measurements: Iterable[Measurement]) -> list[str]:
    """A line for each title that has a bar or is a ratio; what was found at several places stands in one line."""
    found = []
    for title, group in itertools.groupby(measurements, lambda one: one.title):
        ones = list(group)
        bar = ", ".join(dict.fromkeys(one.bar for one in ones if one.bar))
        if bar or any(one.unit == RATIO for one in ones):
            found.append(f"| {title} | {bar} | {', '.join(map(_figure, ones))} |")
    return found


def _figure(one: Measurement) -> str:
    text = f"{one.at}: {one.figure} {one.unit}" if one.at else f"{one.figure} {one.unit}"
    return text if one.kept else f"**{text}**"


def render(names: Sequence[str]) -> str:
    """The table of these benchmarks, as far as there are results."""
    lines = ["| Workload | Bar | Found |", "|---|---|---|"]
    places = []
    for name in names:
        kept = measuring.read(name)
        if kept is None:
            continue
        place, measurements = kept
        places.append(place)
        lines += rows(measurements)
    where = "; ".join(dict.fromkeys(places))
    return "\n".join([f"Measured on {where}. What missed its bar is in bold.", "", *lines, ""])


def update(names: Sequence[str]) -> None:
    """Put the table between its markers in the README."""
    text = README.read_text(encoding="utf-8")
    table = render(names)
    README.write_text(_PLACE.sub(lambda match: match[1] + table + match[3], text), encoding="utf-8")
