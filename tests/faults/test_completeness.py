"""No failpoint without its row in the matrix, no row without its failpoint."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import registry
from registry import failpoints
from tests.faults.matrix import OFFLINE, STORES, Cell, cells, every_cell

Choice = Callable[[str, str], Iterator[Cell]]

# What `catalog` and `staging` bracket has its places named once.
_REACHED = re.compile(r'failpoints\.reach(?:_in_thread)?\("([^"]+)"\)')
_CHANGED = re.compile(r'\b_?change\(db, "(\w+)"\)')


def test_the_failpoints_in_the_code_are_the_ones_that_can_be_armed() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in Path(registry.__file__).parent.rglob("*.py"))
    places = ("before-transaction", "before-commit", "after-commit")
    found = {f"{change}.{place}" for change in _CHANGED.findall(text) for place in places}
    named = _REACHED.findall(text)
    assert len(named) == len(set(named)), "each place has a name of its own"
    assert set(failpoints.NAMES) == found | set(named)
    assert len(set(failpoints.NAMES)) == len(failpoints.NAMES)


@pytest.mark.parametrize("choose", [cells, every_cell])
def test_every_failpoint_is_in_the_matrix_and_in_what_the_suite_tries_of_it(choose: Choice) -> None:
    tried = {cell.point for store in STORES for kind in ("pypi", "npm") for cell in choose(store, kind)}
    assert set(failpoints.NAMES) == tried | {name for name in failpoints.NAMES if name.startswith(OFFLINE)}


def test_the_suite_tries_every_deed_at_every_point_on_one_store_at_least() -> None:
    def tried(choose: Choice) -> set[Cell]:
        return {cell for store in STORES for kind in ("pypi", "npm") for cell in choose(store, kind)}

    assert tried(cells) == tried(every_cell)
