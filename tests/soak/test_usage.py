from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen

import pytest

from tests.soak import usage
from tests.soak.usage import MIB, Sample


def samples(resident: list[int], files: int = 30, children: int = 2) -> list[Sample]:
    return [Sample(number, mib * MIB, files, children) for number, mib in enumerate(resident)]


def test_what_fills_at_first_and_comes_in_waves_is_flat() -> None:
    assert [] == usage.faults(samples([60, 90, 100, 100, 101, 99, 100, 140, 101, 100]))


def test_what_grows_all_the_time_is_told() -> None:
    assert [f"resident grows: {240 * MIB} in the last third, {180 * MIB} in the middle one"] == usage.faults(
        samples(list(range(100, 280, 20)))
    )


def test_every_kind_of_growth_is_told() -> None:
    growing = [Sample(number, 100 * MIB, 20 + 20 * number, number) for number in range(12)]
    assert ["files", "children"] == [one.partition(" ")[0] for one in usage.faults(growing)]


def test_a_few_samples_tell_nothing() -> None:
    assert ["too few samples to tell"] == usage.faults(samples([100] * 8))


@pytest.fixture
def child(tmp_path: Path) -> Iterator[int]:
    """A process that holds one file open and says so."""
    code = f"f = open({str(tmp_path / 'held')!r}, 'w'); print('held', flush=True); input()"
    with Popen([sys.executable, "-c", code], stdin=PIPE, stdout=PIPE, stderr=DEVNULL) as process:
        assert process.stdout is not None
        assert b"held\n" == process.stdout.readline()
        yield process.pid
        process.communicate(b"\n")


def test_a_look_sees_files_and_children(child: int, tmp_path: Path) -> None:
    assert [str(tmp_path / "held")] == usage.regular_files(child)
    assert 4 == usage.take(child, 0).files
    assert usage.take(child, 0).resident > MIB
    assert usage.take(os.getpid(), 0).children >= 1
