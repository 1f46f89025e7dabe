"""Comparing: the registry beside bare aiohttp that answers the same bytes and headers, in alternate rounds."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from tests.bench import load
from tests.bench.clients import Connection
from tests.bench.load import Case, Measure
from tests.bench.measuring import RATIO, Measurement
from tests.bench.processes import Server

SECONDS = 2.0
# What belongs to one answer, not to the document. A kept `Connection: close` would end every connection.
_NOT_KEPT = frozenset({"date", "server", "content-length", "connection", "transfer-encoding"})


@dataclasses.dataclass(frozen=True, slots=True)
class Kept:
    """A case as bare aiohttp answers it: its path there and the headers of the answer."""

    path: str
    headers: dict[str, str]


def capture(
    server: Server, cases: Sequence[Case], directory: Path, *, status: int = 200, files: Sequence[Path] = ()
) -> list[Kept]:
    """Keep what the registry answers, for bare aiohttp to answer the same; with `files`, from those files."""
    index, kept = [], []
    connection = Connection(server.port)
    for number, case in enumerate(cases):
        answer = connection.get(case.path, case.headers, status=status)
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in _NOT_KEPT}
        kept.append(Kept(f"/api/{number}", headers))
        entry = {"path": kept[-1].path, "status": status, "headers": headers}
        if files:
            entry["file"] = str(files[number])
        else:
            entry["body"] = f"body-{number}"
            (directory / f"body-{number}").write_bytes(answer.body)
        index.append(entry)
    connection.close()
    (directory / "index.json").write_text(json.dumps(index))
    return kept


@dataclasses.dataclass(frozen=True, slots=True)
class Pair:
    """What rounds gave for the registry and for what it is compared with; ratios are medians of the rounds' own."""

    ours: Measure
    theirs: Measure
    per_cpu: float
    p99: float

    @property
    def errors(self) -> int:
        """On both sides."""
        return self.ours.errors + self.theirs.errors


def compare(ours: Server, theirs: Server, case: Case, other: str, *, rounds: int, seconds: float = SECONDS) -> Pair:
    """Alternate rounds against the registry and, under the path `other`, against something else."""
    mine, others = [], []
    for _ in range(rounds):
        others.append(load.run_wrk(theirs.url, dataclasses.replace(case, path=other), theirs.pids, seconds))
        mine.append(load.run_wrk(ours.url, case, ours.pids, seconds))
    return pair(mine, others)


def pair(mine: Sequence[Measure], others: Sequence[Measure]) -> Pair:
    """The rounds of both sides, taken in turns."""
    rounds = list(zip(mine, others, strict=True))
    return Pair(
        load.median(mine),
        load.median(others),
        statistics.median(one.per_cpu_second / other.per_cpu_second for one, other in rounds),
        statistics.median(one.p99 / other.p99 for one, other in rounds),
    )


def speed(title: str, found: Pair, *, at: str = "", bar: float | None = None) -> Measurement:
    """Requests per CPU second as a ratio; printed at once, for who watches."""
    ours, theirs = found.ours, found.theirs
    detail = (
        f"{ours.per_cpu_second:,.0f} against {theirs.per_cpu_second:,.0f} requests per CPU second; p50 {ours.p50:.2f} "
        f"against {theirs.p50:.2f} ms, p99 {ours.p99:.1f} against {theirs.p99:.1f} ms"
    )
    one = Measurement(title, found.per_cpu, RATIO, least=bar, at=at, detail=detail, errors=found.errors)
    print(f"  {title} {at}: {one.figure} {'' if one.kept else 'MISSED '}({detail})", flush=True)
    return one
