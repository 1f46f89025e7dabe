"""Strict freshness, proved on a history: several replicas, many clients, and faults all the time."""

from __future__ import annotations

from pathlib import Path

from tests.histories.run import FAULTS, run

OPERATIONS = 1_500


def test_what_is_acknowledged_is_seen_by_every_later_read_on_every_replica_whatever_fails(tmp_path: Path) -> None:
    result = run(OPERATIONS, 20, tmp_path / "history.jsonl", faults=True)
    assert [] == [str(one) for one in result.violations]
    assert result.operations >= OPERATIONS
    assert len(result.faults) >= FAULTS, result.faults
