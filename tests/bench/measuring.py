"""Measurements: what a benchmark found, compared with its bar, as a table and as JSON."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number. `most` or `least` is the bar it must keep, None where nothing was promised."""

    title: str
    value: float
    unit: str
    most: float | None = None
    least: float | None = None

    @property
    def kept(self) -> bool:
        """Whether the bar was kept."""
        return (self.most is None or self.value <= self.most) and (self.least is None or self.value >= self.least)

    @property
    def bar(self) -> str:
        """The bar as people read it."""
        if self.most is not None:
            return f"at most {self.most:g}"
        return "" if self.least is None else f"at least {self.least:g}"


def table(measurements: Sequence[Measurement]) -> str:
    """One line each: title, value and unit, bar, and whether it was missed."""
    rows = [
        (one.title, f"{one.value:,.2f}".rstrip("0").rstrip("."), one.unit, one.bar, "" if one.kept else "MISSED")
        for one in measurements
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        f"{title:<{widths[0]}}  {value:>{widths[1]}} {unit:<{widths[2]}}  {bar:<{widths[3]}}  {missed}".rstrip()
        for title, value, unit, bar, missed in rows
    )


def write(name: str, measurements: Sequence[Measurement]) -> Path:
    """Keep the numbers of one benchmark, with what they were measured on."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    document = {
        "benchmark": name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "measurements": [asdict(one) | {"kept": one.kept} for one in measurements],
    }
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path
