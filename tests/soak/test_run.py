"""A short soak. It is too short to tell whether memory grows; the long one tells."""

from __future__ import annotations

from tests.soak.run import run

SECONDS = 6.0
# Each kind of fault, and what it takes to recover from it.
KINDS = 4


def test_a_mixed_load_with_faults_ends_with_everything_right_and_nothing_left_open() -> None:
    result = run(SECONDS, 7, fault_every=0.5)
    assert ([], []) == (result.violations, result.left_open)
    assert KINDS == len(result.faults), result.faults
    assert result.operations > 0, result.outcomes
