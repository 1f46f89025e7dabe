"""Protection: which names fit a pattern, and whom a rule keeps out."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.access import AccessLevel
from registry.db.protection import ProtectionRule
from registry.protection import fits, is_protected

LETTERS = st.text("abAB-*", max_size=8)


@given(pattern=LETTERS, name=st.text("abAB-", max_size=12))
def test_a_name_fits_as_the_regular_expression_says(pattern: str, name: str) -> None:
    expression = ".*".join(re.escape(piece) for piece in pattern.split("*"))
    assert fits(pattern, name) is bool(re.fullmatch(expression, name, re.IGNORECASE))


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("@acme/*", "@acme/widget", True),
        ("@acme/*", "@Acme/Widget", True),
        ("@acme/*", "@acme-two/widget", False),
        ("*-internal", "tool-internal", True),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("*", "anything", True),
        ("a.c", "abc", False),
        ("a?c", "abc", False),
        ("", "", True),
    ],
)
def test_only_the_star_is_a_wildcard(pattern: str, name: str, *, expected: bool) -> None:
    assert expected is fits(pattern, name)


def test_no_pattern_takes_long() -> None:
    started = time.perf_counter()
    assert not fits("*a" * 127 + "b", "a" * 255)
    assert time.perf_counter() - started < 0.1


def a_rule(push: int | None, delete: int | None = None, *, pattern: str = "a*", kind: str = "npm") -> ProtectionRule:
    return ProtectionRule(1, 1, kind, pattern, pattern, push, delete, datetime.now(UTC))


def test_a_rule_keeps_out_who_has_less_than_its_level() -> None:
    rules = [a_rule(40, 50), a_rule(60, None, pattern="admin-*"), a_rule(None, 60, pattern="kept")]
    for name, action, least in (
        ("a-tool", "push", 40),
        ("a-tool", "delete", 50),
        ("admin-tool", "push", 60),
        ("admin-tool", "delete", 50),
        ("kept", "push", 0),
        ("kept", "delete", 60),
        ("b", "push", 0),
    ):
        for level in (0, *AccessLevel):
            assert (level < least) is is_protected(rules, action, "npm", name, level), (name, action, level)  # type: ignore[arg-type]
        assert not is_protected(rules, action, "pypi", name, 0)  # type: ignore[arg-type]
