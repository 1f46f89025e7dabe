"""Measurements: what a benchmark found, compared with its bar, as a table and as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
MIB = 1024 * 1024
MB = 1000 * 1000
RATIO = "x"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number. `most` or `least` is the bar it must keep, None where nothing was promised.

    `at` tells apart measurements of the same title, `detail` is what the number was made from, `errors` counts answers
    that were not what was asked for: with any, no bar is kept.
    """

    title: str
    value: float
    unit: str
    most: float | None = None
    least: float | None = None
    at: str = ""
    detail: str = ""
    errors: int = 0

    @property
    def kept(self) -> bool:
        """Whether the bar was kept."""
        above = self.least is None or self.value >= self.least
        return above and (self.most is None or self.value <= self.most) and not self.errors

    @property
    def bar(self) -> str:
        """The bar as people read it."""
        if self.most is not None:
            return f"at most {self.most:g}"
        return "" if self.least is None else f"at least {self.least:g}"

    @property
    def figure(self) -> str:
        """The value as people read it: two places, fewer where there are none, and none beyond a hundred."""
        text = f"{self.value:,.0f}" if abs(self.value) >= 100 else f"{self.value:.2f}".rstrip("0").rstrip(".")
        return f"{text} with {self.errors:,} errors" if self.errors else text


def table(measurements: Sequence[Measurement]) -> str:
    """One line each: title, value and unit, bar, and whether it was missed."""
    rows = [
        (
            f"{one.title}, {one.at}" if one.at else one.title,
            one.figure,
            one.unit,
            one.bar,
            "" if one.kept else "MISSED",
            one.detail,
        )
        for one in measurements
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        f"{title:<{widths[0]}}  {value:>{widths[1]}} {unit:<{widths[2]}}  {bar:<{widths[3]}}  {missed:<{widths[4]}}"
        f"  {detail}".rstrip()
        for title, value, unit, bar, missed, detail in rows
    )


def write(name: str, measurements: Sequence[Measurement]) -> Path:
    """Keep the numbers of one benchmark, with what they were measured on."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    document = {
        "benchmark": name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "measurements": [asdict(one) | {"kept": one.kept} for one in measurements],
    }
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path


def read(name: str) -> tuple[str, list[Measurement]] | None:
    """When and on what a benchmark was measured last, and what it found; None when it never was."""
    try:
        document = json.loads((RESULTS / f"{name}.json").read_bytes())
    except FileNotFoundError:
        return None
    found = []
    for one in document["measurements"]:
        one.pop("kept")
        found.append(Measurement(**one))
    return f"{document['at'][:10]}, {document['machine']}, Python {document['python']}", found
