from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.formats.pypi.reason import reason_phrase


@given(st.text(max_size=500))
def test_a_reason_is_one_short_printable_line(text: str) -> None:
    reason = reason_phrase(text)

    assert len(reason) <= 200
    assert all(" " <= character <= "~" for character in reason)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Validation failed: Name is invalid", "Validation failed: Name is invalid"),
        ("one\r\nSet-Cookie: a=b", "one Set-Cookie: a=b"),
        ("  one\u2028two\x85three\t four  ", "one two three four"),
        ("na\u00efve \u20ac \0\x1b[31m", "na?ve ? ??[31m"),
        ("", ""),
        ("x" * 201, "x" * 197 + "..."),
    ],
)
def test_a_reason_keeps_the_words(text: str, reason: str) -> None:
    assert reason == reason_phrase(text)
