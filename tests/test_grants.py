"""Grants: which names a prefix covers, and which prefixes get in each other's way."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import grants, tree
from registry.db.grants import Grant
from registry.errors import NotFound, Taken
from registry.grants import covering, overlap, owns, prefixes
from tests.people import OPERATOR, People

NAMES = st.from_regex(re.compile(r"[ab]{1,2}(-[ab]{1,2}){0,3}"), fullmatch=True)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def a_grant(prefix: str, group_id: int = 1) -> Grant:
    return Grant(group_id, "pypi", prefix, group_id, "acme", NOW)


@given(prefix=NAMES, name=NAMES)
def test_a_prefix_covers_its_name_and_those_that_go_on_with_a_hyphen(prefix: str, name: str) -> None:
    assert (prefix in prefixes(name)) is (name == prefix or name.startswith(f"{prefix}-"))


@given(one=NAMES, other=NAMES, names=st.lists(NAMES))
def test_prefixes_overlap_exactly_when_a_name_may_have_both(one: str, other: str, names: list[str]) -> None:
    both = any({one, other} <= set(prefixes(name)) for name in (*names, f"{one}-x", f"{other}-x", one, other))
    assert overlap(one, other) is both
    assert overlap(one, other) is overlap(other, one)


def test_covering_grants_come_with_the_shortest_prefix_first() -> None:
    known = [a_grant("acme-tools"), a_grant("acme"), a_grant("acm"), a_grant("acme-tools-x")]
    assert ["acme", "acme-tools"] == [grant.prefix for grant in covering(known, "acme-tools-y")]
    assert [] == covering(known, "acmefoo")


def test_a_group_owns_what_is_below_it_and_nothing_that_is_also_elsewhere() -> None:
    grant = a_grant("acme", 2)
    assert [True, True, False] == [owns(grant, places) for places in ([(1, 2, 3)], [], [(2,), (4,)])]


async def test_of_two_overlapping_grants_made_at_once_one_is_made(people: People) -> None:
    one, other = await people.group(), await people.group()
    db = people.services.db

    outcomes = await asyncio.gather(
        grants.create(db, OPERATOR, one, "pypi", "acme"),
        grants.create(db, OPERATOR, other, "pypi", "acme-tools"),
        return_exceptions=True,
    )

    assert 1 == sum(isinstance(outcome, Grant) for outcome in outcomes)
    assert 1 == sum(isinstance(outcome, Taken) for outcome in outcomes)


async def test_a_group_that_was_deleted_meanwhile_gets_none(people: People) -> None:
    group = await people.group()
    await tree.delete_group(people.services.db, OPERATOR, group)

    with pytest.raises(NotFound):
        await grants.create(people.services.db, OPERATOR, group, "pypi", "acme")
