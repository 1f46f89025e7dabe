"""Conditions: what is taken for a time, and what was changed since."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from registry.conditions import require_unmodified, unmodified_since
from registry.errors import PreconditionFailed

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Sun, 22 Nov 2026 12:00:00 GMT", NOON),
        ("Sun, 22 Nov 2026 13:00:00 +0100", NOON.astimezone(timezone(timedelta(hours=1)))),
        ("2026-11-22T12:00:00Z", NOON),
        (" 2026-11-22T12:00:00 ", NOON),
        ("2026-11-22", datetime(2026, 11, 22, tzinfo=UTC)),
        ("Sun, 99 Nov 2026 12:00:00 GMT", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_a_time_is_understood_and_anything_else_ignored(header: str | None, expected: datetime | None) -> None:
    assert expected == unmodified_since(header)


def test_what_was_changed_in_the_same_second_counts_as_unmodified() -> None:
    """An HTTP date has no fractions, so a client that repeats what it saw must not be refused."""
    require_unmodified(NOON + timedelta(microseconds=999_999), NOON)
    require_unmodified(NOON, NOON + timedelta(days=1))
    require_unmodified(NOON, None)
    with pytest.raises(PreconditionFailed):
        require_unmodified(NOON + timedelta(seconds=1), NOON)
