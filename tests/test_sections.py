"""Sections: whatever changes, the page is the one that would be rendered from nothing, and little of it is new."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.blocks import Block, digest, identity
from registry.db.connection import Torn
from registry.sections import KeptSections, Mark, Sections, join


@dataclass(frozen=True)
class Line:
    text: bytes


def line(mark: Mark, size: int = 0) -> Line:
    return Line(orjson.dumps([*mark, "x" * size]))


def lines(marks: list[Mark], size: int = 0) -> dict[int, Line]:
    return {mark[0]: line(mark, size) for mark in marks}


def fresh(marks: list[Mark], size: int = 0) -> Sections[Line]:
    return Sections[Line]().renewed(marks, lines(marks, size))


def body(sections: Sections[Line]) -> bytes:
    page = join(b"[", sections, b"]")
    return page if isinstance(page, bytes) else identity(page)


states = st.dictionaries(st.integers(1, 2**40) | st.integers(1, 400), st.integers(1, 3), max_size=300).map(
    lambda state: sorted(state.items())
)


def edited(marks: list[Mark], edits: list[tuple[str, int]]) -> Iterator[list[Mark]]:
    """What a page goes through: most of it stays as it is each time."""
    yield marks
    for edit, number in edits:
        place = number % max(1, len(marks))
        match edit:
            case "append":
                marks = [*marks, (max((mark[0] for mark in marks), default=0) + 1 + number % 3, 1)]
            case "remove":
                marks = marks[:place] + marks[place + 1 :]
            case "change":
                changed = [(number, revision + 1) for number, revision in marks[place : place + 1]]
                marks = [*marks[:place], *changed, *marks[place + 1 :]]
            case "cut":
                marks = marks[: max(place, len(marks) - 70)]
        yield marks


edits = st.lists(st.tuples(st.sampled_from(["append", "remove", "change", "cut"]), st.integers(0, 500)), max_size=8)
histories = st.lists(states, min_size=1, max_size=5) | st.builds(
    lambda size, some: [*edited([(number, 1) for number in range(1, size)], some)], st.integers(1, 400), edits
)


@given(histories)
def test_any_change_gives_the_page_and_the_blocks_that_no_history_gives(history: list[list[Mark]]) -> None:
    sections = Sections[Line]()
    for marks in history:
        sections = sections.renewed(marks, lines(sections.missing(marks)))

        assert sections.entries == [line(mark) for mark in marks]
        assert body(sections) == orjson.dumps([[*mark, ""] for mark in marks])
        assert digest(sections.blocks) == digest(fresh(marks).blocks)
        assert sections.missing(marks) == []


def test_only_what_is_new_or_changed_is_asked_for() -> None:
    before = [(number, 1) for number in range(1, 1001)]

    after = [(number, 2 if number == 500 else 1) for number in range(1, 1002)]

    assert fresh(before).missing(after) == [(500, 2), (1001, 1)]


def test_a_publish_into_a_thousand_entries_makes_one_block_anew() -> None:
    before = fresh([(number, 1) for number in range(1, 1001)])
    compressed = [block.deflated() for block in before.blocks]

    after = before.renewed([(number, 1) for number in range(1, 1002)], lines([(1001, 1)]))

    assert len(before.blocks) > 10
    assert after.blocks[: len(before.blocks) - 1] == before.blocks[:-1]
    assert [block.deflated() for block in after.blocks][: len(before.blocks) - 1] == compressed[:-1]
    assert len(after.blocks) - len(before.blocks) in {0, 1}


def test_the_first_block_of_a_page_has_no_comma_in_front() -> None:
    whole = [(number, 1) for number in range(1, 301)]
    before = fresh(whole)
    behind_the_first = whole[len(orjson.loads(b"[%b]" % before.blocks[0].raw)) :]

    after = before.renewed(behind_the_first, {})

    assert body(after) == orjson.dumps([[*mark, ""] for mark in behind_the_first])


def test_a_small_page_is_one_piece_and_a_large_one_blocks() -> None:
    marks = [(number, 1) for number in range(1, 201)]

    assert isinstance(join(b"[", fresh(marks), b"]"), bytes)
    page = join(b"[", fresh(marks, 1000), b"]")
    assert isinstance(page, tuple)
    assert [block.raw for block in (page[0], page[-1])] == [b"[", b"]"]
    assert all(isinstance(block, Block) for block in page)


def test_pages_are_kept_up_to_a_limit_the_oldest_going_first() -> None:
    page = fresh([(number, 1) for number in range(100)], 100)
    kept = KeptSections(limit=page.size * 2)

    for key in ("first", "second", "third"):
        kept.keep(key, page)

    assert [kept.find(key) for key in ("first", "second", "third")] == [None, page, page]
    kept.keep("second", page)
    kept.keep("large", fresh([(number, 1) for number in range(1000)], 100))
    assert [kept.find(key) for key in ("second", "third", "large")] == [page, page, None]


@dataclass(frozen=True)
class Row:
    id: int
    revision: int


@pytest.mark.parametrize("now", [[], [Row(2, 1)], [Row(2, 3)], [Row(1, 1), Row(2, 3)]])
async def test_rows_that_are_not_any_more_what_their_marks_said_are_noticed(now: list[Row]) -> None:
    async def list_rows(ids: Sequence[int] | None) -> list[Row]:
        assert [2] == ids
        return now

    with pytest.raises(Torn):
        await fresh([(1, 1), (2, 1)]).changed([(1, 1), (2, 2)], list_rows)
